package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
	"mailark/internal/spool"
)

// listWindow is how many messages are read in the order of their places before they are printed in
// the order of their UIDs: frames are decompressed once, and lines appear soon.
const listWindow = 2000

type list struct {
	json        bool
	includeGone bool
}

func listCommand() *cli.Command {
	var l list
	fs := cli.NewFlags()
	fs.BoolVar(&l.includeGone, "include-gone", false, "also what is no longer on the server")
	cli.AddJSON(fs, &l.json)
	return &cli.Command{
		Name: "mailark list", Args: "ARCHIVE [MAILBOX]", MinArgs: 1, MaxArgs: 2,
		Short: "list the mailboxes, or the messages of one mailbox",
		About: "Lists the mailboxes with number, size and dates of their messages; with MAILBOX, one line\n" +
			"a message: UID, date, size, flags, subject. Without --include-gone it shows what the server\n" +
			"held at the last run.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			r, err := archive.Open(args[0], options(con))
			if err != nil {
				return 0, err
			}
			defer func() { _ = r.Close() }()
			out := cli.NewPrinter(con.Stdout)
			if len(args) == 1 {
				l.mailboxes(out, r)
				return cli.ExitComplete, out.Err()
			}
			found, err := findMailboxes(r, args[1])
			if err != nil {
				return 0, err
			}
			for _, m := range found {
				if err := l.messages(ctx, out, r, m); err != nil {
					return 0, err
				}
			}
			return cli.ExitComplete, out.Err()
		},
	}
}

func (l *list) choose(r *archive.Reader, mailbox uint32) []*archive.Message {
	if l.includeGone {
		return slices.Collect(r.Messages(mailbox))
	}
	return r.Current(mailbox)
}

// mailboxSummary is one line of the list of mailboxes.
type mailboxSummary struct {
	Mailbox    string     `json:"mailbox"`
	Raw        string     `json:"raw"`
	Role       string     `json:"role,omitempty"`
	Messages   int        `json:"messages"`
	Octets     int64      `json:"octets"`
	Oldest     *time.Time `json:"oldest,omitempty"`
	Newest     *time.Time `json:"newest,omitempty"`
	Subscribed bool       `json:"subscribed"`
	Listed     bool       `json:"listed"`
}

func summarize(m *archive.Mailbox, msgs []*archive.Message) mailboxSummary {
	s := mailboxSummary{
		Mailbox: m.Name(), Raw: m.Raw, Role: m.Role(), Messages: len(msgs),
		Subscribed: m.Subscribed, Listed: m.Listed,
	}
	for _, msg := range msgs {
		s.Octets += msg.Size
		if date := msg.InternalDate; !date.IsZero() {
			if s.Oldest == nil || date.Before(*s.Oldest) {
				s.Oldest = &date
			}
			if s.Newest == nil || date.After(*s.Newest) {
				s.Newest = &date
			}
		}
	}
	return s
}

// The name comes last: nothing has to be aligned behind it, however wide its characters are.
const mailboxLine = "%9s  %10s  %-10s  %-10s  %-10s  %s"

func (l *list) mailboxes(out *cli.Printer, r *archive.Reader) {
	if !l.json {
		out.Linef(mailboxLine, "MESSAGES", "SIZE", "OLDEST", "NEWEST", "ROLE", "MAILBOX")
	}
	boxes := r.Mailboxes()
	slices.SortStableFunc(boxes, func(a, b *archive.Mailbox) int { return slices.Compare(a.Path, b.Path) })
	messages, octets := 0, int64(0)
	for _, m := range boxes {
		s := summarize(m, l.choose(r, m.ID))
		messages, octets = messages+s.Messages, octets+s.Octets
		if l.json {
			out.JSON(s)
			continue
		}
		name := s.Mailbox
		if !s.Listed {
			name += "   (no longer on the server)"
		}
		out.Linef(mailboxLine, humane.Count(s.Messages), humane.Octets(s.Octets), day(s.Oldest), day(s.Newest),
			dash(strings.TrimPrefix(s.Role, `\`)), name)
	}
	if !l.json {
		out.Linef(mailboxLine, humane.Count(messages), humane.Octets(octets), "", "", "",
			"in "+counted(len(boxes), "mailbox", "mailboxes"))
	}
}

// messageLine is one line of the list of messages.
type messageLine struct {
	Mailbox      string     `json:"mailbox"`
	UID          uint32     `json:"uid"`
	Epoch        uint32     `json:"epoch"`
	InternalDate *time.Time `json:"internaldate,omitempty"`
	Octets       int64      `json:"octets"`
	Flags        []string   `json:"flags"`
	SHA256       string     `json:"sha256"`
	Subject      string     `json:"subject"`
	Gone         bool       `json:"gone,omitempty"`
	Error        string     `json:"error,omitempty"`
}

func (l *list) messages(ctx context.Context, out *cli.Printer, r *archive.Reader, m *archive.Mailbox) error {
	sp := spool.New("")
	defer func() { _ = sp.Close() }()
	for window := range slices.Chunk(l.choose(r, m.ID), listWindow) {
		subjects, err := readSubjects(ctx, r, window, sp)
		if err != nil {
			return err
		}
		for _, msg := range window {
			l.message(out, m, msg, subjects[msg.Key])
		}
		if out.Err() != nil {
			return out.Err()
		}
	}
	return nil
}

func (l *list) message(out *cli.Printer, m *archive.Mailbox, msg *archive.Message, s subject) {
	if !l.json {
		text := s.text
		if s.err != nil {
			text = "(" + s.err.Error() + ")"
		}
		gone := ""
		if msg.Gone {
			gone = "  (gone)"
		}
		out.Linef("%10d  %-16s  %9s  %-5s  %s%s", msg.UID, minute(msg.InternalDate), humane.Octets(msg.Size),
			letters(msg.Flags), text, gone)
		return
	}
	line := messageLine{
		Mailbox: m.Name(), UID: msg.UID, Epoch: msg.Epoch, Octets: msg.Size, SHA256: msg.Sum.String(),
		Flags: append([]string{}, msg.Flags...), Subject: s.text, Gone: msg.Gone,
	}
	if !msg.InternalDate.IsZero() {
		line.InternalDate = &msg.InternalDate
	}
	if s.err != nil {
		line.Error = s.err.Error()
	}
	out.JSON(line)
}

type subject struct {
	text string
	err  error // the message is damaged
}

// readSubjects reads messages in the order of their places.
func readSubjects(
	ctx context.Context, r *archive.Reader, msgs []*archive.Message, sp *spool.Spool,
) (map[archive.Key]subject, error) {
	byPlace := slices.Clone(msgs)
	slices.SortFunc(byPlace, func(a, b *archive.Message) int { return a.Place.Compare(b.Place) })
	subjects := make(map[archive.Key]subject, len(msgs))
	for _, msg := range byPlace {
		err := r.Load(ctx, msg, sp)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			subjects[msg.Key] = subject{err: err}
			continue
		}
		subjects[msg.Key] = subject{text: readSubject(sp.Open())}
	}
	return subjects, nil
}
