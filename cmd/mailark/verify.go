package main

import (
	"context"
	"io"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

func verifyCommand() *cli.Command {
	var json, quiet bool
	fs := cli.NewFlags()
	cli.AddJSON(fs, &json)
	cli.AddQuiet(fs, &quiet)
	return &cli.Command{
		Name: "mailark verify", Args: "ARCHIVE", MinArgs: 1, MaxArgs: 1,
		Short: "read everything and compare every checksum",
		About: "Reads every frame, computes the SHA-256 of every message, compares the catalog with the\n" +
			"segments and the sealed segments with SHA256SUMS. Names every message that is hurt.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			bar := con.NewProgress(quiet)
			result, err := archive.Verify(ctx, args[0], options(con), func(done, total int64) {
				bar.Show(cli.Status{Octets: done, OctetsTotal: total})
			})
			bar.Close()
			if err != nil {
				return 0, err
			}
			exit := cli.ExitComplete
			if len(result.Problems) > 0 || len(result.Damaged) > 0 {
				exit = cli.ExitDifference
			}
			if json {
				return exit, verifyJSON(con.Stdout, result)
			}
			return exit, printVerify(con.Stdout, result)
		},
	}
}

func printVerify(w io.Writer, r *archive.VerifyResult) error {
	out := cli.NewPrinter(w)
	for _, p := range r.Problems {
		out.Linef("problem: %v", p)
	}
	for _, d := range r.Damaged {
		out.Linef("damaged: %s uid %d: %s", d.Mailbox, d.UID, d.Reason)
	}
	out.Linef("%s messages, %s of mail in %s frames read",
		humane.Count(r.Messages), humane.Octets(r.Octets), humane.Count(r.Frames))
	if r.Unfinished > 0 {
		out.Linef("%s in the segments not in the catalog yet: the next export adds that, nothing is missing",
			counted(r.Unfinished, "commit is", "commits are"))
	}
	if len(r.Problems) == 0 && len(r.Damaged) == 0 {
		out.Linef("all well")
	} else {
		out.Linef("%s, %s damaged", counted(len(r.Problems), "problem", "problems"),
			counted(len(r.Damaged), "message", "messages"))
	}
	return out.Err()
}

func verifyJSON(w io.Writer, r *archive.VerifyResult) error {
	out := cli.NewPrinter(w)
	for _, p := range r.Problems {
		out.JSON(struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{"problem", p.Error()})
	}
	for _, d := range r.Damaged {
		out.JSON(struct {
			Type    string `json:"type"`
			Mailbox string `json:"mailbox"`
			UID     uint32 `json:"uid"`
			Reason  string `json:"reason"`
		}{"damaged", d.Mailbox, d.UID, d.Reason})
	}
	out.JSON(struct {
		Type     string `json:"type"`
		Frames   int    `json:"frames"`
		Messages int    `json:"messages"`
		Octets   int64  `json:"octets"`
		Problems int    `json:"problems"`
		Damaged  int    `json:"damaged"`
	}{"result", r.Frames, r.Messages, r.Octets, len(r.Problems), len(r.Damaged)})
	return out.Err()
}

func options(con *cli.Console) *archive.Options {
	return &archive.Options{Program: cli.Program(), Log: con.Warnings()}
}
