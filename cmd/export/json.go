package main

import (
	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/exporter"
)

// summary is the last line that --json writes.
type summary struct {
	Event     string             `json:"event"`
	Archive   string             `json:"archive"`
	Source    archive.Source     `json:"source"`
	Exit      int                `json:"exit"`
	Error     string             `json:"error,omitempty"`
	DryRun    bool               `json:"dry_run"`
	Created   bool               `json:"created"`
	Total     exporter.Figures   `json:"total"`
	Stored    int64              `json:"stored"` // octets added to the segments, compressed
	Seconds   float64            `json:"seconds"`
	Mailboxes []exporter.Mailbox `json:"mailboxes"`
	Refused   []exporter.Refused `json:"refused"`
	Skipped   int                `json:"skipped"`
	Unseen    int                `json:"unseen"`
	Unlisted  []string           `json:"unlisted"`
	Changed   []string           `json:"changed"`
}

func printJSON(con *cli.Console, r *exporter.Result) error {
	s := summary{
		Event: "summary", Archive: r.Dir, Source: r.Source, Exit: r.ExitCode(), DryRun: r.DryRun, Created: r.Created,
		Total: r.Total(), Stored: r.Stored, Seconds: r.Duration.Seconds(),
		Mailboxes: r.Mailboxes, Refused: r.Refused, Skipped: r.Skipped, Unseen: r.Unseen,
		Unlisted: r.Unlisted, Changed: r.Changed,
	}
	if r.Err != nil {
		s.Error = r.Err.Error()
	}
	con.Event(s)
	return con.EventErr()
}

// mailboxEvent is a line that --json writes for each mailbox that is through.
type mailboxEvent struct {
	Event string `json:"event"`
	exporter.Mailbox
}
