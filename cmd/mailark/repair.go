package main

import (
	"context"
	"errors"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

// repair puts aside what is damaged and says what it did; verify says what is left to do.
func repair(ctx context.Context, con *cli.Console, dir string, giveUp, json, quiet bool) error {
	bar := con.NewProgress(quiet)
	result, err := archive.Repair(ctx, dir, options(con), archive.RepairOptions{
		GiveUpMissing: giveUp,
		Progress: func(done, total int64) {
			bar.Show(cli.Status{Octets: done, OctetsTotal: total})
		},
	})
	bar.Close()
	if err != nil {
		return stopped(con, dir, err, result != nil)
	}
	out := cli.NewPrinter(con.Stdout)
	if json {
		repairJSON(out, result)
		return out.Err()
	}
	for _, p := range result.Problems {
		out.Linef("repaired: %v", p)
	}
	if len(result.Problems) > 0 {
		out.Linef("%s put aside, %s; %s in them stored again", counted(result.Frames, "frame", "frames"),
			humane.Octets(result.Octets), counted(result.Rescued, "message", "messages"))
		out.Linef("%s of records written again, %s sealed anew",
			counted(result.Copies, "copy", "copies"), counted(result.Seals, "segment", "segments"))
	}
	return out.Err()
}

// stopped adds to an error of a repair what to do next. changed: something was repaired before it.
func stopped(con *cli.Console, dir string, err error, changed bool) error {
	var missing *archive.MissingError
	var damage *archive.DamageError
	switch {
	case errors.As(err, &missing):
		hint := "if it is on another disk or in a backup, put it back"
		if missing.CanGiveUp {
			hint += "; else run: mailark verify --repair --give-up-missing " + dir
		}
		return &cli.Advice{Err: err, Hint: hint + "; nothing was changed"}
	case changed:
		con.Notef("the repair is not done; run it again and it goes on")
	case errors.As(err, &damage):
		con.Notef("nothing was repaired; run first: mailark rebuild %s", dir)
	}
	return err
}

func repairJSON(out *cli.Printer, r *archive.RepairResult) {
	for _, p := range r.Problems {
		out.JSON(struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{"repaired", p.Error()})
	}
	out.JSON(struct {
		Type    string `json:"type"`
		Frames  int    `json:"frames"`
		Octets  int64  `json:"octets"`
		Rescued int    `json:"rescued"`
		Copies  int    `json:"copies"`
		Seals   int    `json:"seals"`
	}{"repair", r.Frames, r.Octets, r.Rescued, r.Copies, r.Seals})
}
