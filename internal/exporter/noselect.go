package exporter

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mailark/internal/session"
)

// listMailboxes asks for the mailboxes. Those that LIST calls \Noselect and that have none below them are opened once: some
// servers say so of mailboxes that hold mail (quirk LIST-20: Zimbra). Those that open are not \Noselect.
func (x *export) listMailboxes(ctx context.Context) ([]session.Mailbox, error) {
	listed, err := x.listConfirmed(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(listed))
	for i := range listed {
		names[i] = listed[i].Raw
	}
	slices.Sort(names)
	for i := range listed {
		if !isNoselectLeaf(&listed[i], names) {
			continue
		}
		opens, err := x.opens(ctx, listed[i].Name)
		if err != nil {
			return nil, err
		}
		if opens {
			x.opts.Log.Info("LIST calls a mailbox \\Noselect, and it can be opened", "mailbox", listed[i].Name)
			listed[i].Attrs = slices.DeleteFunc(slices.Clone(listed[i].Attrs), isNoselect)
		}
	}
	return listed, nil
}

func isNoselect(attr string) bool { return strings.EqualFold(attr, `\Noselect`) }

// isNoselectLeaf reports whether LIST calls a mailbox \Noselect and none of the sorted names is below it.
func isNoselectLeaf(m *session.Mailbox, names []string) bool {
	if m.Foreign || m.Raw == "" || !slices.ContainsFunc(m.Attrs, isNoselect) {
		return false
	}
	above := strings.TrimSuffix(m.Raw, m.Delim) + m.Delim
	below, _ := slices.BinarySearch(names, above+"\x00") // behind the name itself, which may end in the delimiter
	return m.Delim == "" || below == len(names) || !strings.HasPrefix(names[below], above)
}

// opens tries to open a mailbox. An error ends the run.
func (x *export) opens(ctx context.Context, name string) (opens bool, err error) {
	err = x.store.during(ctx, func(ctx context.Context) (err error) {
		opens, err = x.link.opens(ctx, name)
		return err
	})
	return opens, err
}

// opens tries to open a mailbox. Where the server does not say whether that is possible, whoever lists the mailbox is to
// find out. An error ends the run.
func (l *link) opens(ctx context.Context, name string) (bool, error) {
	err := l.do(ctx, func(src server) error {
		_, err := src.Examine(ctx, name)
		return err
	})
	l.leave()
	l.begin()
	var stop *stopError
	if ctx.Err() != nil || errors.As(err, &stop) {
		return false, err
	}
	return err == nil || asksPatience(err) || lostConnection(err), nil
}
