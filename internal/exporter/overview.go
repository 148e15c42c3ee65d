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
	Foreign     bool   `json:"foreign,omitempty"` // other people's, or shared: export leaves it out, and nothing was asked of it
	Failed      string `json:"failed,omitempty"`  // why there are no figures
}

// Overview is what an account holds.
type Overview struct {
	Source    archive.Source
	Mailboxes []OverviewMailbox // those the options choose, foreign ones too; by name, INBOX first
	Skipped   int               // those the options leave out
	Err       error             // what ended it early
}

// measurer is a server that may tell the size of a mailbox without listing it.
type measurer interface {
	Measure(ctx context.Context, name string) (m session.Measure, ok bool, err error)
}

// List tells what mailboxes an account has and how much is in them, and copies nothing. Dir is not used. The result is
// never nil; its Err is the error.
func List(ctx context.Context, options Options) (*Overview, error) {
	opts := options.withDefaults()
	o := &Overview{Source: archive.Source{Host: opts.Session.Host, User: opts.Session.User}}
	l := &link{dial: dialIMAP(opts.Session), retry: opts.Retry, log: opts.Log}
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
	set := glob.NewSet(opts.Include, opts.Exclude)
	at := Progress{MailboxesOf: len(listing.Mailboxes)}
	for i := range listing.Mailboxes {
		m := &listing.Mailboxes[i]
		info := mailboxInfo(m)
		if !set.Has(info.Name()) {
			o.Skipped++
			continue
		}
		at.Mailbox = info.Name()
		opts.Progress(at)
		box := OverviewMailbox{
			Name: info.Name(), Raw: m.Raw, Role: info.Role(), Subscribed: m.Subscribed, NoMail: !m.Selectable(), Foreign: m.Foreign,
		}
		if err := box.measure(ctx, l, m); err != nil {
			return err
		}
		o.Mailboxes = append(o.Mailboxes, box)
		at.Mailboxes++
	}
	if err := set.Unused(); err != nil {
		return &UsageError{fmt.Sprintf("%v; %s", err, knownNames(listing.Mailboxes))}
	}
	slices.SortStableFunc(o.Mailboxes, func(a, b OverviewMailbox) int {
		if first := b2i(b.Name == "INBOX") - b2i(a.Name == "INBOX"); first != 0 {
			return first
		}
		return strings.Compare(a.Name, b.Name)
	})
	return nil
}

// measure finds out how much is in the mailbox. What is wrong with the mailbox itself is noted; an error ends all.
func (b *OverviewMailbox) measure(ctx context.Context, l *link, m *session.Mailbox) error {
	if b.Failed = fault(m); b.Failed != "" || b.NoMail || b.Foreign {
		return nil
	}
	l.begin()
	ok, err := b.status(ctx, l, m.Name)
	if err == nil && !ok {
		err = b.sum(ctx, l, m.Name)
	}
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

// status asks by STATUS. Where that is refused the mailbox is opened after all.
func (b *OverviewMailbox) status(ctx context.Context, l *link, name string) (ok bool, err error) {
	var m session.Measure
	err = l.do(ctx, func(src server) (err error) {
		if asked, can := src.(measurer); can {
			m, ok, err = asked.Measure(ctx, name)
		}
		return err
	})
	var stop *stopError
	switch {
	case err == nil && ok:
		b.Messages, b.Octets, b.UIDValidity = int(m.Messages), m.Octets, m.UIDValidity
		return true, nil
	case lostConnection(err):
		return false, asMailboxError(ctx, "measure", err)
	case err != nil && (ctx.Err() != nil || errors.As(err, &stop) || errors.Is(err, ErrGaveUp)):
		return false, err
	}
	return false, nil
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
		count, size, validity, subscribed := humane.Count(m.Messages), humane.Octets(m.Octets), fmt.Sprint(m.UIDValidity), "no"
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
