package main

import (
	"context"
	"errors"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

// repair puts aside what is damaged and says what it did; verify says what is left to do.
func repair(ctx context.Context, con *cli.Console, dir string, json, quiet bool) error {
	bar := con.NewProgress(quiet)
	result, err := archive.Repair(ctx, dir, options(con), func(done, total int64) {
		bar.Show(cli.Status{Octets: done, OctetsTotal: total})
	})
	bar.Close()
	var damage *archive.DamageError
	if errors.As(err, &damage) {
		con.Notef("nothing was repaired; run first: mailark rebuild %s", dir)
	}
	if err != nil {
		return err
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
