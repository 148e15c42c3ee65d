// Command mailark-import uploads an archive to an IMAP server.
package main

import (
	"context"
	"errors"
	"os"

	"mailark/internal/cli"
	"mailark/internal/importer"
)

func main() { os.Exit(cli.Main(command())) }

// run imports and prints the summary.
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
	opts.Progress = func(p importer.Progress) { bar.Show(p.State()) }
	if f.JSON && !f.Quiet {
		opts.Done = func(m importer.MailboxResult) { con.Event(mailboxEvent{"mailbox", m}) }
	}
	summary, runErr := importer.Run(ctx, opts)
	bar.Close()
	switch {
	case f.JSON:
		err = printJSON(con, summary)
	case runErr == nil || len(summary.Mailboxes) > 0: // else the error says it all
		err = summary.Print(con.Stdout)
	}
	return summary.ExitCode(), errors.Join(explain(runErr), err, logFile.Close())
}

// explain adds what to do to errors only this program knows.
func explain(err error) error {
	if errors.Is(err, importer.ErrUsage) {
		return &cli.UsageError{Text: err.Error(), Hint: "mailark list ARCHIVE shows what is in the archive"}
	}
	return err
}
