// Command mailark-export copies everything on an IMAP server into an archive.
package main

import (
	"context"
	"errors"
	"os"

	"mailark/internal/cli"
	"mailark/internal/exporter"
	"mailark/internal/maildirsource"
)

func main() { os.Exit(cli.Main(command())) }

// run does what the flags ask for.
func (f *flags) run(ctx context.Context, con *cli.Console, args []string) (int, error) {
	if err := f.check(args); err != nil {
		return cli.ExitUsage, err
	}
	log, logFile, err := f.Logger(con)
	if err != nil {
		return 0, err
	}
	opts, err := f.options(con, log, append(args, "")[0])
	if err != nil {
		return 0, errors.Join(err, logFile.Close())
	}
	work := f.export
	switch {
	case f.audit:
		work = f.runAudit
	case f.list:
		work = f.runList
	case f.final:
		work = f.runFinal
	}
	code, err := work(ctx, con, opts)
	return code, errors.Join(err, logFile.Close())
}

// export copies and prints the summary.
func (f *flags) export(ctx context.Context, con *cli.Console, opts exporter.Options) (int, error) {
	bar := con.NewRun(&f.Output)
	opts.Progress = func(p exporter.Progress) { bar.Show(p.State()) }
	f.follow(con, &opts)
	result, runErr := exporter.Run(ctx, opts)
	bar.Close()
	var err error
	switch {
	case f.JSON:
		err = printJSON(con, result)
	case runErr == nil || len(result.Mailboxes) > 0: // else the error says it all
		err = result.Print(con.Stdout, f.Verbose)
	}
	return result.ExitCode(), errors.Join(explain(runErr), err)
}

// follow writes an event for each mailbox that is through, if events are asked for.
func (f *flags) follow(con *cli.Console, opts *exporter.Options) {
	if f.JSON && !f.Quiet {
		opts.Done = func(m exporter.Mailbox) { con.Event(mailboxEvent{"mailbox", m}) }
	}
}

// explain adds what to do to errors only this program knows.
func explain(err error) error {
	var usage *exporter.UsageError
	var source *exporter.SourceError
	switch {
	case errors.As(err, &usage):
		return &cli.UsageError{Text: usage.Text, Hint: "mailark-export --list shows the mailboxes of the account"}
	case errors.Is(err, maildirsource.ErrNoMaildir):
		return &cli.UsageError{
			Text: err.Error(),
			Hint: "give the directory that holds the mailboxes, such as --maildir ~/Maildir: one of them has the directories cur, new and tmp",
		}
	case errors.As(err, &source):
		return &cli.UsageError{
			Text: source.Error(),
			Hint: "name another directory, or give --other-source if it is the same account under another name",
		}
	}
	return err
}
