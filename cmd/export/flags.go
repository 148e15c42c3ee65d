package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/exporter"
	"mailark/internal/session"
)

// flags are the program's flags.
type flags struct {
	cli.Connection
	cli.RunFlags
	cli.Limits
	connections  int
	otherSource  bool
	believeEmpty bool
	full         bool
	maildir      string
	server       cli.Section // the flags of Connection
	limits       cli.Section // the flags of Limits
	modes
}

func command() *cli.Command {
	f := &flags{}
	f.server, f.limits = f.Connection.Section(), f.Limits.Section()
	disk := cli.NewFlags()
	disk.StringVar(&f.maildir, "maildir", "",
		"copy the Maildir tree `DIR` of this machine (Dovecot, Courier, mbsync, mutt …) in place of a server's mail")
	run := f.RunFlags.Section()
	run.Flags.IntVar(&f.connections, "connections", exporter.DefaultConnections,
		fmt.Sprintf("copy over up to `N` connections at a time, 1 to %d", exporter.MaxConnections))
	run.Flags.BoolVar(&f.otherSource, "other-source", false,
		"add to an archive that was begun from another host or user")
	run.Flags.BoolVar(&f.full, "full", false,
		"list every mailbox, also where the server's figures say that nothing has changed")
	run.Flags.BoolVar(&f.believeEmpty, "believe-empty", false,
		"take a mailbox that is suddenly empty for emptied, and mark its messages as gone")
	return &cli.Command{
		Name: "mailark-export", Args: "ARCHIVE", MaxArgs: 1, Unpiped: true,
		About: "Copies every mailbox of an IMAP account, or of a Maildir tree, into ARCHIVE, a directory, which is made if\n" +
			"need be. Changes nothing in the source. Run it again to go on after a stop, or to fetch what is new.",
		Sections: []cli.Section{f.server, {Title: "In place of a server", Flags: disk}, run, f.modes.section(), f.limits},
		Run:      f.run,
	}
}

// options turns the flags into options of an export to dir.
func (f *flags) options(con *cli.Console, log *slog.Logger, dir string) (exporter.Options, error) {
	session, err := f.session(con, log)
	limits, limitErr := f.Limits.Apply(&session)
	if f.connections < 1 || f.connections > exporter.MaxConnections {
		err = errors.Join(err, &cli.UsageError{
			Text: fmt.Sprintf("--connections %d: want 1 to %d", f.connections, exporter.MaxConnections),
		})
	}
	return exporter.Options{
		Session: session, Maildir: f.maildir, Dir: dir, Archive: archive.Options{Program: cli.Program()},
		Include: f.Mailboxes, Exclude: f.Excludes,
		Connections: f.connections, DryRun: f.DryRun, Full: f.full,
		OtherSource: f.otherSource, BelieveEmpty: f.believeEmpty,
		Limits: limits, Log: log,
	}, errors.Join(err, limitErr)
}

// session is how to reach the server, if it is one that mail is to be read from.
func (f *flags) session(con *cli.Console, log *slog.Logger) (session.Options, error) {
	if f.maildir == "" {
		return f.Session(con, log)
	}
	var idle []string
	f.server.Flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed {
			idle = append(idle, "--"+flag.Name)
		}
	})
	if bandwidth := f.limits.Flags.Lookup("bwlimit"); bandwidth.Changed {
		idle = append(idle, "--"+bandwidth.Name)
	}
	if len(idle) > 0 {
		return session.Options{}, &cli.UsageError{
			Text: "--maildir reads from the disk, not from a server: it does not go with " + strings.Join(idle, ", "),
			Hint: "leave out --maildir to copy from a server, or the others (also in the environment, MAILARK_HOST …) to copy from the disk",
		}
	}
	return session.Options{Program: cli.Program()}, nil
}
