package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mailark/archive"
	"mailark/internal/glob"
	"mailark/internal/humane"
	"mailark/internal/session"
)

// OverviewMailbox is one mailbox of an account.
type OverviewMailbox struct {
	Name        string `json:"mailbox"` // levels joined by "/", as patterns take it
	Raw         string `json:"raw"`     // on the wire
	Role        string `json:"role,omitempty"`
	Messages    int    `json:"messages"`
	Octets      int64  `json:"octets"` // sum of RFC822.SIZE, an estimate on some servers
	UIDValidity uint32 `json:"uidvalidity"`
	Subscribed  bool   `json:"subscribed"`
	NoMail      bool   `json:"no_mail,omitempty"` // \Noselect: it cannot hold any
	Foreign     bool   `json:"foreign,omitempty"` // other people's, or shared: export leaves it out; nothing was asked
	Failed      string `json:"failed,omitempty"`  // why there are no figures
}

// Overview is what an account holds.
type Overview struct {
	Source    archive.Source
	Mailboxes []OverviewMailbox // those the options choose, foreign ones too; by name, INBOX first
	Skipped   int               // those the options leave out
	Err       error             // what ended it early
}

// measurer is a server that may tell the sizes of mailboxes without listing them.
type measurer interface {
	Measures(ctx context.Context, names []string, fn func(name string, m session.Measure)) error
}

// List tells what mailboxes an account has and how much is in them, and copies nothing. Dir is not used. The result is
// never nil; its Err is the error.
func List(ctx context.Context, options Options) (*Overview, error) {
	opts := options.withDefaults()
	ctx, end := watched(ctx, &opts)
	defer end()
	o := &Overview{Source: opts.shown()}
	l := &link{
		dial: opts.dialer(new(archive.Catalog), true), retry: opts.Retry, log: opts.Log, crew: newCrew(&opts), first: true,
	}
	defer l.drop()
	o.Err = o.fill(ctx, l, &opts)
	return o, o.Err
}

func (o *Overview) fill(ctx context.Context, l *link, opts *Options) error {
	var listing *session.Listing
	err := l.do(ctx, func(src server) (err error) {
		listing, err = src.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	chosen, err := o.choose(listing.Mailboxes, opts)
	if err != nil {
		return err
	}
	measured, err := measures(ctx, l, chosen)
	if err != nil {
		return err
	}
	at := Progress{MailboxesOf: len(chosen)}
	for i := range o.Mailboxes {
		box := &o.Mailboxes[i]
		at.Mailbox = box.Name
		opts.Progress(at)
		if m, ok := measured[chosen[i].Name]; ok {
			box.Messages, box.Octets, box.UIDValidity = int(m.Messages), m.Octets, m.UIDValidity
		} else if err := box.open(ctx, l, &chosen[i]); err != nil {
			return err
		}
		at.Mailboxes++
	}
	return nil
}

// choose applies the patterns. INBOX comes first.
func (o *Overview) choose(listed []session.Mailbox, opts *Options) ([]session.Mailbox, error) {
	set := glob.NewSet(opts.Include, opts.Exclude)
	chosen := slices.DeleteFunc(slices.Clone(listed), func(m session.Mailbox) bool {
		info := mailboxInfo(&m)
		return !set.Has(info.Name())
	})
	if err := set.Unused(); err != nil {
		return nil, &UsageError{fmt.Sprintf("%v; %s", err, knownNames(listed))}
	}
	slices.SortStableFunc(chosen, func(a, b session.Mailbox) int {
		if first := b2i(b.Name == "INBOX") - b2i(a.Name == "INBOX"); first != 0 {
			return first
		}
		return strings.Compare(a.Name, b.Name)
	})
	o.Skipped = len(listed) - len(chosen)
	for i := range chosen {
		m := &chosen[i]
		info := mailboxInfo(m)
		o.Mailboxes = append(o.Mailboxes, OverviewMailbox{
			Name: info.Name(), Raw: m.Raw, Role: info.Role(), Subscribed: m.Subscribed,
			NoMail: !m.Selectable(), Foreign: m.Foreign, Failed: fault(m),
		})
	}
	return chosen, nil
}

// measures asks for the sizes of all mailboxes at once. What the server does not tell, or loses the connection over, is
// left out.
func measures(ctx context.Context, l *link, chosen []session.Mailbox) (map[string]session.Measure, error) {
	measured := make(map[string]session.Measure)
	err := l.do(ctx, func(src server) error {
		asked, can := src.(measurer)
		if !can {
			return nil
		}
		var names []string
		for i := range chosen {
			m := &chosen[i]
			if _, done := measured[m.Name]; !done && m.Selectable() && !m.Foreign && fault(m) == "" {
				names = append(names, m.Name)
			}
		}
		return asked.Measures(ctx, names, func(name string, m session.Measure) { measured[name] = m })
	})
	if lostConnection(err) && ctx.Err() == nil {
		err = nil
	}
	return measured, err
}

// open finds out how much is in a mailbox by listing it. What is wrong with the mailbox itself is noted; an error ends
// all.
func (b *OverviewMailbox) open(ctx context.Context, l *link, m *session.Mailbox) error {
	if b.Failed != "" || b.NoMail || b.Foreign {
		return nil
	}
	l.begin()
	err := b.sum(ctx, l, m.Name)
	var own *mailboxError
	switch {
	case errors.Is(err, errRenumbered):
		b.Failed = "its UIDVALIDITY changed meanwhile"
	case errors.As(err, &own):
		b.Failed = own.text
	case err != nil:
		return err
	}
	return nil
}

// sum opens the mailbox and adds up the sizes of its messages.
func (b *OverviewMailbox) sum(ctx context.Context, l *link, name string) error {
	l.leave()
	found, err := l.list(ctx, name)
	if err != nil {
		return err
	}
	b.Messages, b.Octets, b.UIDValidity = len(found.messages), octets(found.messages), found.selected.UIDValidity
	if !found.sound() {
		b.Failed = fmt.Sprintf("the server says %s messages but lists %s",
			humane.Count(found.selected.Exists), humane.Count(len(found.messages)))
	}
	return nil
}

// Total is the number of messages, and their octets.
func (o *Overview) Total() (messages int, octets int64) {
	for i := range o.Mailboxes {
		messages += o.Mailboxes[i].Messages
		octets += o.Mailboxes[i].Octets
	}
	return messages, octets
}

// ExitCode is the program's exit code: 0 if every mailbox has its figures.
func (o *Overview) ExitCode() int {
	switch failed := func(m OverviewMailbox) bool { return m.Failed != "" }; {
	case o.Err != nil:
		return exitCode(o.Err)
	case slices.ContainsFunc(o.Mailboxes, failed):
		return exitPartial
	}
	return exitComplete
}

// Print writes the mailboxes for people. Names come last: nothing has to be aligned behind them, however wide they are.
func (o *Overview) Print(w io.Writer) error {
	var out strings.Builder
	const line = "%9s  %9s  %11s  %-3s  %-9s  %s\n"
	fmt.Fprintf(&out, line, "messages", "size", "UIDVALIDITY", "sub", "role", "mailbox")
	for i := range o.Mailboxes {
		m := &o.Mailboxes[i]
		count, size, validity := humane.Count(m.Messages), humane.Octets(m.Octets), fmt.Sprint(m.UIDValidity)
		subscribed := "no"
		if m.NoMail || m.Foreign || m.UIDValidity == 0 && m.Failed != "" {
			count, size, validity = "-", "-", "-"
		}
		if m.Subscribed {
			subscribed = "yes"
		}
		role := strings.TrimPrefix(m.Role, `\`)
		if role == "" {
			role = "-"
		}
		fmt.Fprintf(&out, line, count, size, validity, subscribed, role, humane.Printable(cutName(m.Name))+m.note())
	}
	messages, octets := o.Total()
	fmt.Fprintf(&out, line, humane.Count(messages), humane.Octets(octets), "", "", "", "in "+humane.Plural(len(o.Mailboxes), "mailbox"))
	if o.Skipped > 0 {
		fmt.Fprintf(&out, "%s left out by --mailbox or --exclude\n", humane.Plural(o.Skipped, "mailbox"))
	}
	for i := range o.Mailboxes {
		if m := &o.Mailboxes[i]; m.Failed != "" {
			fmt.Fprintf(&out, "look: mailbox %s: %s\n", humane.Printable(cutName(m.Name)), humane.Printable(m.Failed))
		}
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("write list: %w", err)
	}
	return nil
}

// note says why a mailbox has no figures.
func (b *OverviewMailbox) note() string {
	switch {
	case b.Foreign:
		return "  (other people's or shared: export leaves it out)"
	case b.NoMail:
		return "  (holds no mail)"
	}
	return ""
}
