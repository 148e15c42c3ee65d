package main

import (
	"context"
	"errors"
	"fmt"

	"mailark/internal/cli"
	"mailark/internal/exporter"
)

// finalPasses is how many passes --final makes at most.
const finalPasses = 10

// passes is the last line that --final writes with --json, behind the summary of each pass.
type passes struct {
	Event  string `json:"event"`
	Final  bool   `json:"final"` // two passes in a row have agreed
	Passes int    `json:"passes"`
	Exit   int    `json:"exit"`
}

// runFinal repeats the run until two passes agree.
func (f *flags) runFinal(ctx context.Context, con *cli.Console, opts exporter.Options) (int, error) {
	var printErr error
	note := func(err error) { printErr = errors.Join(printErr, err) }
	bar := con.NewRun(&f.Output)
	opts.Progress = func(p exporter.Progress) { bar.Show(p.State()) }
	f.follow(con, &opts)
	result, runErr := exporter.Final(ctx, opts, finalPasses, func(n int, r *exporter.Result) {
		bar.Close()
		switch {
		case f.JSON:
			note(printJSON(con, r))
		case r.Err == nil || len(r.Mailboxes) > 0: // else the error says it all
			_, err := fmt.Fprintf(con.Stdout, "Pass %d\n", n)
			note(errors.Join(err, r.Print(con.Stdout, f.Verbose)))
		}
		bar = con.NewRun(&f.Output)
	})
	bar.Close()
	code := result.ExitCode()
	switch {
	case f.JSON:
		con.Event(passes{Event: "final", Final: result.Agreed, Passes: len(result.Passes), Exit: code})
		note(con.EventErr())
	case runErr == nil || len(result.Last().Mailboxes) > 0:
		_, err := fmt.Fprintln(con.Stdout, result.Line())
		note(err)
	}
	return code, errors.Join(explain(runErr), printErr)
}
