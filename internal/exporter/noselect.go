package exporter

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mailark/internal/session"
)

// maxTried is how many mailboxes that LIST calls \Noselect are tried in one run.
const maxTried = 200

// listMailboxes asks for the mailboxes. Those that LIST calls \Noselect and that have none below them are opened once: some
// servers say so of mailboxes that hold mail (quirk LIST-20: Zimbra). Those that open are not \Noselect.
func (x *export) listMailboxes(ctx context.Context) ([]session.Mailbox, error) {
	listed, err := x.listConfirmed(ctx)
	if err != nil {
		return nil, err
	}
	tried := 0
	for i := range listed {
		if !isNoselectLeaf(listed, i) || tried == maxTried {
			continue
		}
		tried++
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

func isNoselectLeaf(listed []session.Mailbox, i int) bool {
	m := &listed[i]
	if m.Foreign || m.Raw == "" || !slices.ContainsFunc(m.Attrs, isNoselect) {
		return false
	}
	return m.Delim == "" || !slices.ContainsFunc(listed, func(other session.Mailbox) bool {
		return len(other.Raw) > len(m.Raw)+len(m.Delim) && strings.HasPrefix(other.Raw, strings.TrimSuffix(m.Raw, m.Delim)+m.Delim)
	})
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
