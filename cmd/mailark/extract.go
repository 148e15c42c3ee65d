package main

import (
	"context"
	"fmt"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/glob"
	"mailark/internal/humane"
)

type extract struct {
	mailboxes   []string
	includeGone bool
	json, quiet bool
}

func extractCommand() *cli.Command {
	var e extract
	fs := cli.NewFlags()
	cli.AddMailboxes(fs, &e.mailboxes)
	fs.BoolVar(&e.includeGone, "include-gone", false, "also what is no longer on the server")
	cli.AddJSON(fs, &e.json)
	cli.AddQuiet(fs, &e.quiet)
	return &cli.Command{
		Name: "mailark extract", Args: "ARCHIVE DIR", MinArgs: 2, MaxArgs: 2,
		Short: "write the mail as a Maildir++ tree",
		About: "Writes a Maildir++ tree to DIR, for Dovecot, mutt, notmuch and whatever reads Maildir: names and\n" +
			"flags as of the last run, INTERNALDATE as the time of the file. INBOX is DIR/Maildir.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			r, err := archive.Open(args[0], options(con))
			if err != nil {
				return 0, err
			}
			defer func() { _ = r.Close() }()
			return e.run(ctx, con, r, args[1])
		},
	}
}

func (e *extract) run(ctx context.Context, con *cli.Console, r *archive.Reader, dir string) (int, error) {
	opts := archive.ExtractOptions{IncludeGone: e.includeGone}
	total, err := e.choose(r, &opts)
	if err != nil {
		return 0, err
	}
	bar := con.NewProgress(e.quiet)
	opts.Progress = func(messages int, octets int64) {
		total.Messages, total.Octets = int64(messages), octets
		bar.Show(total)
	}
	result, err := r.Extract(ctx, dir, opts)
	bar.Close()
	if err != nil {
		return 0, fmt.Errorf("extract to %s: %w", dir, err)
	}
	return e.print(cli.NewPrinter(con.Stdout), dir, result)
}

// choose turns the globs into mailboxes and counts what will be written.
func (e *extract) choose(r *archive.Reader, opts *archive.ExtractOptions) (cli.Status, error) {
	var total cli.Status
	chosen := glob.NewSet(e.mailboxes, nil)
	l := list{includeGone: e.includeGone}
	for _, m := range r.Mailboxes() {
		if !chosen.Has(m.Name()) {
			continue
		}
		opts.Mailboxes = append(opts.Mailboxes, m.ID)
		for _, msg := range l.choose(r, m.ID) {
			total.MessagesTotal++
			total.OctetsTotal += msg.Size
		}
	}
	if err := chosen.Unused(); err != nil {
		return total, &cli.UsageError{
			Text: "--mailbox: " + err.Error(), Hint: "mailark list " + r.Dir() + " shows the names",
		}
	}
	return total, nil
}

func (e *extract) print(out *cli.Printer, dir string, r archive.ExtractResult) (int, error) {
	exit := cli.ExitComplete
	if len(r.Damaged) > 0 {
		exit = cli.ExitDifference
	}
	if e.json {
		out.JSON(struct {
			Mailboxes int   `json:"mailboxes"`
			Messages  int   `json:"messages"`
			Octets    int64 `json:"octets"`
			Damaged   int   `json:"damaged"`
		}{r.Mailboxes, r.Messages, r.Octets, len(r.Damaged)})
		return exit, out.Err()
	}
	for _, d := range r.Damaged {
		out.Linef("damaged, not written: %s uid %d: %s", d.Mailbox, d.UID, d.Reason)
	}
	out.Linef("%s in %s, %s written to %s", counted(r.Messages, "message", "messages"),
		counted(r.Mailboxes, "mailbox", "mailboxes"), humane.Octets(r.Octets), dir)
	return exit, out.Err()
}
