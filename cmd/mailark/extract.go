package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/glob"
	"mailark/internal/humane"
)

type extract struct {
	mailboxes   []string
	includeGone bool
	compress    string
	json, quiet bool
	gone        int // messages left out because they are no longer on the server
	aside       int // messages of the chosen mailboxes that were put aside and have not come back
}

func extractCommand() *cli.Command {
	var e extract
	flags := cli.NewFlags()
	cli.AddMailboxes(flags, &e.mailboxes)
	flags.BoolVar(&e.includeGone, "include-gone", false, "also what is no longer on the server")
	cli.AddChoice(flags, &e.compress, "compress", "compress each message file by itself", "none", string(archive.Gzip), string(archive.Zstd))
	cli.AddJSON(flags, &e.json)
	cli.AddQuiet(flags, &e.quiet)
	return &cli.Command{
		Name: "mailark extract", Args: "ARCHIVE DIR", MinArgs: 2, MaxArgs: 2,
		Short: "write the mail as a Maildir++ tree",
		About: "Writes a Maildir++ tree to DIR, for Dovecot, mutt, notmuch and whatever reads Maildir: names and\n" +
			"flags as of the last run, INTERNALDATE as the time of the file. INBOX is DIR/Maildir. DIR must be\n" +
			"new or empty; the tree is there when it is whole, or not at all. Dovecot serves it as it lies,\n" +
			"with the UIDs of the old server.\n\n" +
			"With --compress, Dovecot with its zlib plugin reads the tree as before, notmuch only gzip, mutt\n" +
			"and Python's mailbox neither.",
		Sections: []cli.Section{{Title: "Flags", Flags: flags}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			r, err := archive.Open(args[0], options(con))
			if err != nil {
				return 0, err
			}
			defer func() { _ = r.Close() }()
			return e.run(ctx, con, r, args[1])
		},
	}
}

func (e *extract) run(ctx context.Context, con *cli.Console, r *archive.Reader, dir string) (int, error) {
	opts := archive.ExtractOptions{IncludeGone: e.includeGone}
	if e.compress != "none" {
		opts.Compress = archive.Compression(e.compress)
	}
	total, err := e.choose(r, &opts)
	if err != nil {
		return 0, err
	}
	most := total.OctetsTotal
	bar := con.NewProgress(e.quiet)
	opts.Progress = func(messages int, octets int64) {
		total.Messages, total.Octets = int64(messages), octets
		bar.Show(total)
	}
	result, err := r.Extract(ctx, dir, opts)
	bar.Close()
	if err != nil {
		return 0, advise(err, most)
	}
	return e.print(cli.NewPrinter(con.Stdout), dir, result)
}

// advise adds what to do about an error. most is how many octets the tree may take.
func advise(err error, most int64) error {
	hint := ""
	switch {
	case errors.Is(err, archive.ErrExists):
		hint = "name a directory that is new or empty; nothing was written there"
	case errors.Is(err, archive.ErrInside):
		hint = "name a directory outside the archive, which holds nothing but its own files"
	case errors.Is(err, archive.ErrBusy):
		hint = "wait until it ends, or name another directory"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = fmt.Sprintf("free some space or name a directory on another disk, then run the command again: the tree takes up to %s "+
			"before compression; what was written of it is removed", humane.Octets(most))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		hint = "DIR must be a directory, or the name of a new one, where you may write; the archive must be readable"
	case errors.Is(err, syscall.EINVAL):
		hint = "does the disk of DIR allow a colon in file names, which Maildir needs? FAT, exFAT and NTFS do not; an archive may lie there, a tree may not"
	default:
		return err
	}
	return &cli.Advice{Err: err, Hint: hint}
}

// choose turns the globs into mailboxes and counts what will be written.
func (e *extract) choose(r *archive.Reader, opts *archive.ExtractOptions) (cli.Status, error) {
	var total cli.Status
	chosen := glob.NewSet(e.mailboxes, nil)
	l := list{includeGone: e.includeGone}
	for _, m := range r.Mailboxes() {
		if !chosen.Has(m.Name()) {
			continue
		}
		opts.Mailboxes = append(opts.Mailboxes, m.ID)
		for _, msg := range l.choose(r, m.ID) {
			total.MessagesTotal++
			total.OctetsTotal += msg.Size
		}
		for msg := range r.Messages(m.ID) {
			if !e.includeGone && (msg.Gone || !m.Listed) {
				e.gone++
			}
		}
	}
	awaited, lost := r.PutAside()
	for _, k := range slices.Concat(awaited, lost) {
		if slices.Contains(opts.Mailboxes, k.Mailbox) {
			e.aside++
		}
	}
	if err := chosen.Unused(); err != nil {
		return total, &cli.UsageError{
			Text: "--mailbox: " + err.Error(), Hint: "mailark list " + r.Dir() + " shows the names",
		}
	}
	return total, nil
}

func (e *extract) print(out *cli.Printer, dir string, r archive.ExtractResult) (int, error) {
	exit := cli.ExitComplete
	switch {
	case len(r.Damaged) > 0:
		exit = cli.ExitDifference
	case e.aside > 0:
		exit = cli.ExitPartial
	}
	if e.json {
		out.JSON(struct {
			Mailboxes int   `json:"mailboxes"`
			Messages  int   `json:"messages"`
			Octets    int64 `json:"octets"`
			Damaged   int   `json:"damaged"`
			Gone      int   `json:"gone"`
			Aside     int   `json:"put_aside"`
		}{r.Mailboxes, r.Messages, r.Octets, len(r.Damaged), e.gone, e.aside})
		return exit, out.Err()
	}
	for _, d := range r.Damaged {
		out.Linef("damaged, not written: %s uid %d: %s", d.Mailbox, d.UID, d.Reason)
	}
	out.Linef("%s in %s, %s written to %s", counted(r.Messages, "message", "messages"),
		counted(r.Mailboxes, "mailbox", "mailboxes"), humane.Octets(r.Octets), dir)
	if e.aside > 0 {
		out.Linef("missing: %s, damaged once and put aside; mailark verify names them", counted(e.aside, "message", "messages"))
	}
	if e.gone > 0 {
		out.Linef("left out: %s no longer on the server (--include-gone has them too)", counted(e.gone, "message", "messages"))
	}
	return exit, out.Err()
}
