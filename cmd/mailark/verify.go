package main

import (
	"context"
	"errors"
	"io"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

func verifyCommand() *cli.Command {
	var json, quiet, mend, giveUp bool
	fs := cli.NewFlags()
	fs.BoolVar(&mend, "repair", false, "put aside what is damaged, so that the next export fetches it again")
	fs.BoolVar(&giveUp, "give-up-missing", false, "with --repair: segments that are missing are lost for good")
	cli.AddJSON(fs, &json)
	cli.AddQuiet(fs, &quiet)
	return &cli.Command{
		Name: "mailark verify", Args: "ARCHIVE", MinArgs: 1, MaxArgs: 1,
		Short: "read everything and compare every checksum",
		About: "Reads every frame, computes the SHA-256 of every message, compares the catalog with the\n" +
			"segments and the sealed segments with SHA256SUMS. Names every message that is hurt.\n\n" +
			"With --repair, messages in damaged frames that can still be read are stored again, the rest counts as\n" +
			"not archived: the next mailark-export fetches it, if the server still has it. Damaged octets are kept\n" +
			"in ARCHIVE/damaged. Then everything is verified once more. A damaged catalog is not repaired here: run\n" +
			"mailark rebuild first. What cannot be opened or read is not called damaged: the check stops there. A\n" +
			"segment file that is missing may be on another disk or in a backup: it is given up only with\n" +
			"--give-up-missing. If it is found after all, put it back and repair again: its mail is taken back.\n\n" +
			"Exit code 0 when all is well, 3 when messages were put aside and have not come back (they are listed),\n" +
			"7 when there is damage.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			if giveUp && !mend {
				return 0, &cli.UsageError{Text: "--give-up-missing goes with --repair"}
			}
			if mend {
				if err := repair(ctx, con, args[0], giveUp, json, quiet); err != nil {
					return 0, err
				}
			}
			bar := con.NewProgress(quiet)
			result, err := archive.Verify(ctx, args[0], options(con), func(done, total int64) {
				bar.Show(cli.Status{Octets: done, OctetsTotal: total})
			})
			bar.Close()
			if err != nil {
				return 0, err
			}
			exit := cli.ExitComplete
			switch {
			case len(result.Problems) > 0 || len(result.Damaged) > 0:
				exit = cli.ExitDifference
			case len(result.Awaited)+len(result.Lost) > 0:
				exit = cli.ExitPartial
			}
			if json {
				return exit, verifyJSON(con.Stdout, result)
			}
			return exit, printVerify(con.Stdout, args[0], result)
		},
	}
}

func printVerify(w io.Writer, dir string, r *archive.VerifyResult) error {
	out := cli.NewPrinter(w)
	for _, p := range r.Problems {
		out.Linef("problem: %v", p)
	}
	for _, d := range r.Damaged {
		out.Linef("damaged: %s uid %d: %s", d.Mailbox, d.UID, d.Reason)
	}
	for _, d := range r.Lost {
		out.Linef("lost: %s uid %d: %s", d.Mailbox, d.UID, d.Reason)
	}
	for _, d := range r.Awaited {
		out.Linef("to be fetched again: %s uid %d", d.Mailbox, d.UID)
	}
	out.Linef("%s, %s of mail in %s read", counted(r.Messages, "message", "messages"),
		humane.Octets(r.Octets), counted(r.Frames, "frame", "frames"))
	if r.Unfinished > 0 && len(r.Problems) == 0 {
		out.Linef("%s in the segments not in the catalog yet: the next export adds that, nothing is missing",
			counted(r.Unfinished, "commit is", "commits are"))
	}
	if n := len(r.Awaited); n > 0 {
		out.Linef("%s put aside; run mailark-export again to fetch them", counted(n, "message", "messages"))
	}
	if n := len(r.Lost); n > 0 {
		out.Linef("%s lost: put aside, and not on the server any more", counted(n, "message is", "messages are"))
	}
	switch {
	case len(r.Problems) > 0 || len(r.Damaged) > 0:
		out.Linef("%s, %s damaged", counted(len(r.Problems), "problem", "problems"),
			counted(len(r.Damaged), "message", "messages"))
		out.Linef("to mend what can be mended: mailark %s %s", mending(r.Problems), dir)
	case len(r.Awaited)+len(r.Lost) > 0:
		out.Linef("all else is well")
	default:
		out.Linef("all well")
	}
	return out.Err()
}

// mending is the command that comes next.
func mending(problems []error) string {
	for _, p := range problems {
		var damage *archive.DamageError
		if errors.As(p, &damage) && damage.File == "catalog.jsonl.zst" {
			return "rebuild"
		}
	}
	return "verify --repair"
}

func verifyJSON(w io.Writer, r *archive.VerifyResult) error {
	out := cli.NewPrinter(w)
	for _, p := range r.Problems {
		out.JSON(struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{"problem", p.Error()})
	}
	for _, kind := range []struct {
		name string
		list []archive.Damaged
	}{{"damaged", r.Damaged}, {"awaited", r.Awaited}, {"lost", r.Lost}} {
		for _, d := range kind.list {
			out.JSON(struct {
				Type    string `json:"type"`
				Mailbox string `json:"mailbox"`
				UID     uint32 `json:"uid"`
				Reason  string `json:"reason"`
			}{kind.name, d.Mailbox, d.UID, d.Reason})
		}
	}
	out.JSON(struct {
		Type     string `json:"type"`
		Frames   int    `json:"frames"`
		Messages int    `json:"messages"`
		Octets   int64  `json:"octets"`
		Problems int    `json:"problems"`
		Damaged  int    `json:"damaged"`
		Awaited  int    `json:"awaited"`
		Lost     int    `json:"lost"`
	}{"result", r.Frames, r.Messages, r.Octets, len(r.Problems), len(r.Damaged), len(r.Awaited), len(r.Lost)})
	return out.Err()
}

func options(con *cli.Console) *archive.Options {
	return &archive.Options{Program: cli.Program(), Log: con.Warnings()}
}
