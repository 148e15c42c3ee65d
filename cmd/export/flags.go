package main

import (
	"errors"
	"fmt"
	"log/slog"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/exporter"
)

// flags are the program's flags.
type flags struct {
	cli.Connection
	cli.RunFlags
	connections  int
	otherSource  bool
	believeEmpty bool
	modes
}

func command() *cli.Command {
	f := &flags{}
	run := f.RunFlags.Section()
	run.Flags.IntVar(&f.connections, "connections", exporter.DefaultConnections,
		fmt.Sprintf("copy over up to `N` connections at a time, 1 to %d", exporter.MaxConnections))
	run.Flags.BoolVar(&f.otherSource, "other-source", false,
		"add to an archive that was begun from another host or user")
	run.Flags.BoolVar(&f.believeEmpty, "believe-empty", false,
		"take a mailbox that is suddenly empty for emptied, and mark its messages as gone")
	return &cli.Command{
		Name: "mailark-export", Args: "ARCHIVE", MaxArgs: 1, Unpiped: true,
		About: "Copies every mailbox of an IMAP account into ARCHIVE, a directory, which is made if need be.\n" +
			"Changes nothing on the server. Run it again to go on after a stop, or to fetch what is new.",
		Sections: []cli.Section{f.Connection.Section(), run, f.modes.section()},
		Run:      f.run,
	}
}

// options turns the flags into options of an export to dir.
func (f *flags) options(con *cli.Console, log *slog.Logger, dir string) (exporter.Options, error) {
	session, err := f.Session(con, log)
	if f.connections < 1 || f.connections > exporter.MaxConnections {
		err = errors.Join(err, &cli.UsageError{
			Text: fmt.Sprintf("--connections %d: want 1 to %d", f.connections, exporter.MaxConnections),
		})
	}
	return exporter.Options{
		Session: session, Dir: dir, Archive: archive.Options{Program: cli.Program()},
		Include: f.Mailboxes, Exclude: f.Excludes,
		Connections: f.connections, DryRun: f.DryRun, OtherSource: f.otherSource, BelieveEmpty: f.believeEmpty,
		Log: log,
	}, err
}

func status(p exporter.Progress) cli.Status {
	what := p.Mailbox
	if what != "" {
		what = fmt.Sprintf("%d/%d %s", p.Mailboxes+1, p.MailboxesOf, what)
	}
	return cli.Status{
		What: what, Growing: p.Mailboxes+1 < p.MailboxesOf,
		Messages: int64(p.Messages), MessagesTotal: int64(p.MessagesPlanned),
		Octets: p.Octets, OctetsTotal: p.OctetsPlanned,
	}
}
