package main

import (
	"mailark/internal/cli"
	"mailark/internal/importer"
)

// summary is the last line that --json writes.
type summary struct {
	Event string                 `json:"event"`
	Exit  int                    `json:"exit"`
	Total importer.MailboxResult `json:"total"`
	*importer.Summary
}

func printJSON(con *cli.Console, s *importer.Summary) error {
	con.Event(summary{Event: "summary", Exit: s.ExitCode(), Total: s.Total(), Summary: s})
	return con.EventErr()
}

// mailboxEvent is a line that --json writes for each mailbox that is through.
type mailboxEvent struct {
	Event string `json:"event"`
	importer.MailboxResult
}
