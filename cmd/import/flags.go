package main

import (
	"errors"
	"log/slog"

	"mailark/internal/cli"
	"mailark/internal/importer"
)

// defaultHost is where most people take their mail.
const defaultHost = "imap.gmail.com"

// flags are the program's flags.
type flags struct {
	cli.Connection
	cli.RunFlags
	cli.Limits
	ledger       string
	includeGone  bool
	retryRefused bool
}

func command() *cli.Command {
	f := &flags{Connection: cli.Connection{Host: defaultHost}}
	run := f.RunFlags.Section()
	run.Flags.StringVar(&f.ledger, "ledger", "",
		"keep the record of what was uploaded in `FILE` (default: in the archive, under imports/)")
	run.Flags.BoolVar(&f.includeGone, "include-gone", false,
		"also mail that had left the old server when it was last copied")
	run.Flags.BoolVar(&f.retryRefused, "retry-refused", false,
		"send again what the target refused in an earlier run")
	return &cli.Command{
		Name: "mailark-import", Args: "ARCHIVE", MinArgs: 1, MaxArgs: 1, Unpiped: true,
		About: "Uploads the mail of ARCHIVE, which mailark-export made, to an IMAP account. No message is uploaded\n" +
			"twice, and mail that is there already is recognised. Run it again to go on after a stop.",
		Sections: []cli.Section{f.Connection.Section(), run, f.Limits.Section()},
		Run:      f.run,
	}
}

// options turns the flags into options of an import of dir.
func (f *flags) options(con *cli.Console, log *slog.Logger, dir string) (importer.Options, error) {
	session, err := f.Session(con, log)
	limits, limitErr := f.Limits.Apply(&session)
	return importer.Options{
		Archive: dir, Target: session, Ledger: f.ledger,
		Include: f.Mailboxes, Exclude: f.Excludes,
		IncludeGone: f.includeGone, RetryRefused: f.retryRefused, DryRun: f.DryRun,
		Limits: limits, Log: log, Program: cli.Program(),
	}, errors.Join(err, limitErr)
}
