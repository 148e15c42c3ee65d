package main

import (
	"io"

	"mailark/internal/cli"
	"mailark/internal/importer"
)

// summary is the one line that --json writes.
type summary struct {
	Exit  int                    `json:"exit"`
	Total importer.MailboxResult `json:"total"`
	*importer.Summary
}

func printJSON(w io.Writer, s *importer.Summary) error {
	out := cli.NewPrinter(w)
	out.JSON(summary{Exit: s.ExitCode(), Total: s.Total(), Summary: s})
	return out.Err()
}
