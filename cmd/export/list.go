package main

import (
	"context"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/exporter"
)

// overview is the last line that --list writes with --json, behind a line for each mailbox.
type overview struct {
	Event    string         `json:"event"`
	Source   archive.Source `json:"source"`
	Exit     int            `json:"exit"`
	Messages int            `json:"messages"`
	Octets   int64          `json:"octets"`
	Skipped  int            `json:"skipped"`
}

// overviewEvent is a line that --list writes with --json for each mailbox.
type overviewEvent struct {
	Event string `json:"event"`
	exporter.OverviewMailbox
}

// runList shows what the account holds.
func (f *flags) runList(ctx context.Context, con *cli.Console, opts exporter.Options) (int, error) {
	bar := con.NewRun(&f.Output)
	opts.Progress = func(p exporter.Progress) { bar.Show(p.State()) }
	result, listErr := exporter.List(ctx, opts)
	bar.Close()
	if listErr != nil {
		return result.ExitCode(), explain(listErr) // half a list would be taken for a whole one
	}
	if !f.JSON {
		return result.ExitCode(), result.Print(con.Stdout)
	}
	for i := range result.Mailboxes {
		con.Event(overviewEvent{"mailbox", result.Mailboxes[i]})
	}
	messages, octets := result.Total()
	con.Event(overview{
		Event: "summary", Source: result.Source, Exit: result.ExitCode(), Messages: messages, Octets: octets, Skipped: result.Skipped,
	})
	return result.ExitCode(), con.EventErr()
}
