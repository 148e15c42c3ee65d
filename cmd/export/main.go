// Command mailark-export copies everything on an IMAP server into an archive.
package main

import (
	"context"
	"errors"
	"os"

	"mailark/internal/cli"
	"mailark/internal/exporter"
)

func main() { os.Exit(cli.Main(command())) }

// run exports and prints the summary.
func (f *flags) run(ctx context.Context, con *cli.Console, args []string) (int, error) {
	log, logFile, err := f.Logger(con)
	if err != nil {
		return 0, err
	}
	opts, err := f.options(con, log, args[0])
	if err != nil {
		return 0, errors.Join(err, logFile.Close())
	}
	bar := con.NewRun(&f.Output)
	opts.Progress = func(p exporter.Progress) { bar.Show(p.State()) }
	if f.JSON && !f.Quiet {
		opts.Done = func(m exporter.Mailbox) { con.Event(mailboxEvent{"mailbox", m}) }
	}
	result, runErr := exporter.Run(ctx, opts)
	bar.Close()
	switch {
	case f.JSON:
		err = printJSON(con, result)
	case runErr == nil || len(result.Mailboxes) > 0: // else the error says it all
		err = result.Print(con.Stdout, f.Verbose)
	}
	return result.ExitCode(), errors.Join(explain(runErr), err, logFile.Close())
}

// explain adds what to do to errors only this program knows.
func explain(err error) error {
	var usage *exporter.UsageError
	var source *exporter.SourceError
	switch {
	case errors.As(err, &usage):
		return &cli.UsageError{Text: usage.Text, Hint: "mailark-export --dry-run shows the mailboxes of the account"}
	case errors.As(err, &source):
		return &cli.UsageError{
			Text: source.Error(),
			Hint: "name another directory, or give --other-source if it is the same account under another name",
		}
	}
	return err
}
