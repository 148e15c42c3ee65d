package main

import (
	"context"
	"errors"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

func rebuildCommand() *cli.Command {
	var json, quiet, force bool
	fs := cli.NewFlags()
	fs.BoolVar(&force, "force", false, "also where the catalog is fine, or the new one would know less")
	cli.AddJSON(fs, &json)
	cli.AddQuiet(fs, &quiet)
	return &cli.Command{
		Name: "mailark rebuild", Args: "ARCHIVE", MinArgs: 1, MaxArgs: 1,
		Short: "make a lost or damaged catalog anew from the segments",
		About: "Makes catalog.jsonl.zst anew from the copies of the records that are in the segments, from what is\n" +
			"readable in the old catalog, and where both are lost from the mail itself; makes archive.json if\n" +
			"that is lost, and renews SHA256SUMS and README.txt. Mostly nothing at all is lost; what is, is said.\n" +
			"The old catalog stays beside the new one as catalog.jsonl.zst.old-1. Segments are not changed:\n" +
			"mailark verify --repair does that. Exit code 0 when the catalog is whole again, 3 when mail is lost or\n" +
			"something the catalog said cannot be known again (no mailbox counts as copied whole then, and\n" +
			"mailark-export is to be run again), 7 when the segments are damaged too.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			bar := con.NewProgress(quiet)
			result, err := archive.Rebuild(ctx, args[0], options(con), archive.RebuildOptions{
				Force: force,
				Progress: func(done, total int64) {
					bar.Show(cli.Status{Octets: done, OctetsTotal: total})
				},
			})
			bar.Close()
			if errors.Is(err, archive.ErrFewer) {
				con.Notef("nothing was changed; --force does it all the same, and keeps the old catalog beside the new one")
			}
			if err != nil {
				return 0, err
			}
			out := cli.NewPrinter(con.Stdout)
			if json {
				rebuildJSON(out, result)
			} else {
				printRebuild(out, args[0], result)
			}
			return rebuildExit(result), out.Err()
		},
	}
}

func rebuildExit(r *archive.RebuildResult) int {
	switch {
	case r.Damage != nil:
		return cli.ExitDifference
	case r.Unknown != (archive.Unknown{}):
		return cli.ExitPartial
	}
	return cli.ExitComplete
}

func printRebuild(out *cli.Printer, dir string, r *archive.RebuildResult) {
	if r.MadeInfo {
		out.Linef("archive.json was lost and has been made anew")
	}
	switch {
	case r.Unchanged:
		out.Linef("the catalog is fine: %s; it was not changed", counted(r.Messages, "message", "messages"))
	default:
		out.Linef("%s in the catalog now", counted(r.Messages, "message", "messages"))
		out.Linef("%s from the segments, %s from the old catalog, %s made anew",
			counted(r.FromSegments, "commit", "commits"), humane.Count(r.FromCatalog), humane.Count(r.Made))
	}
	if r.OldCatalog != "" {
		out.Linef("the old catalog is kept as %s", r.OldCatalog)
	}
	for _, line := range lost(&r.Unknown) {
		out.Linef("%s", line)
	}
	for _, line := range unknown(&r.Unknown) {
		out.Linef("not known any more: %s", line)
	}
	if r.Damage != nil {
		out.Linef("the segments are damaged: %v", r.Damage)
	}
	if r.Damage != nil || r.Unknown.Octets > 0 {
		out.Linef("now run: mailark verify --repair %s", dir)
	}
	if r.Unknown != (archive.Unknown{}) {
		out.Linef("no mailbox counts as copied whole until the next mailark-export, which fetches what is missing," +
			" if the server still has it")
	}
}

// lost says in words what the segments do not hold any more.
func lost(u *archive.Unknown) []string {
	var lines []string
	switch {
	case u.Commits == 1:
		lines = append(lines, "1 commit is lost: its mail is not in the archive any more; run mailark-export again")
	case u.Commits > 1:
		lines = append(lines, humane.Count(u.Commits)+
			" commits are lost: their mail is not in the archive any more; run mailark-export again")
	}
	if u.Ends > 0 {
		lines = append(lines, counted(u.Ends, "segment", "segments")+
			" without an end: whether mail is lost with it is not known; run mailark-export again")
	}
	return lines
}

// unknown says in words what the commits made anew do not know.
func unknown(u *archive.Unknown) []string {
	var lines []string
	for _, fact := range []struct {
		n         int
		one, many string
		words     string
	}{
		{u.Messages, "message", "messages", " known by the name of the file: the zone of the date (it is in UTC now), keywords without a" +
			" letter, later changes of flags, and whether it has left the server"},
		{u.Remade, "commit", "commits", " made anew from the mail alone: changes of flags, and what has left the server"},
		{u.Letters, "keyword", "keywords", ": the letter in file names is left"},
		{u.Links, "message", "messages", " whose octets were stored with another one that is lost"},
		{u.Mailboxes, "mailbox", "mailboxes", " known by the directory: attributes and role, the name on the wire"},
		{u.Names, "mailbox", "mailboxes", " without a name"},
		{u.UIDValidity, "UIDVALIDITY", "UIDVALIDITYs", ": the next export begins a new epoch and takes what is there by its content"},
		{u.Records, "record", "records", " about things that are lost"},
	} {
		if fact.n > 0 {
			lines = append(lines, counted(fact.n, fact.one, fact.many)+fact.words)
		}
	}
	if u.Octets > 0 {
		lines = append(lines, humane.Octets(u.Octets)+" of the segments cannot be read")
	}
	return lines
}

func rebuildJSON(out *cli.Printer, r *archive.RebuildResult) {
	damage := ""
	if r.Damage != nil {
		damage = r.Damage.Error()
	}
	out.JSON(struct {
		Type         string   `json:"type"`
		Unchanged    bool     `json:"unchanged"`
		OldCatalog   string   `json:"old_catalog,omitempty"`
		MadeInfo     bool     `json:"made_info"`
		Messages     int      `json:"messages"`
		FromSegments int      `json:"from_segments"`
		FromCatalog  int      `json:"from_catalog"`
		Made         int      `json:"made"`
		Lost         []string `json:"lost"`
		Unknown      []string `json:"unknown"`
		Damage       string   `json:"damage,omitempty"`
	}{
		"result", r.Unchanged, r.OldCatalog, r.MadeInfo, r.Messages, r.FromSegments, r.FromCatalog, r.Made,
		append([]string{}, lost(&r.Unknown)...), append([]string{}, unknown(&r.Unknown)...), damage,
	})
}
