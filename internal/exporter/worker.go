package exporter

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"mailark/internal/humane"
)

// copyAll copies the mailboxes, several at a time.
func (x *export) copyAll(ctx context.Context, chosen []source) error {
	x.chosen = x.selectable(chosen)
	x.copied, x.refused = make([]*Mailbox, len(x.chosen)), make([][]Refused, len(x.chosen))
	x.store.at.MailboxesOf = len(x.chosen)
	changed := x.passOverUnchanged()
	x.foresee(changed)
	if err := x.store.during(ctx, func(ctx context.Context) error { return x.work(ctx, changed) }); err != nil {
		return err
	}
	if n := len(x.crew.mailboxes); n > 0 {
		return fmt.Errorf("internal error: %s were not begun", humane.Plural(n, "mailbox"))
	}
	x.store.at.Mailbox = ""
	x.store.progress(x.store.at)
	return x.miscounted
}

// work has a worker for each connection do what there is to do about the mailboxes. The first error that ends the run ends all.
func (x *export) work(ctx context.Context, mailboxes []int) error {
	group, ctx := errgroup.WithContext(ctx)
	dialling, over := context.WithCancel(ctx)
	defer over()
	x.crew.begin(mailboxes, over)
	for i := range x.opts.Connections {
		l := x.link
		if i > 0 {
			l = x.newLink()
		}
		group.Go(func() error {
			defer l.drop()
			return x.worker(ctx, dialling, l)
		})
	}
	return group.Wait() //nolint:wrapcheck // errors of our own
}

// worker does what the crew gives it, until there is nothing more or the server has no room for its connection.
// dialling ends when there is nothing more to make a connection for.
func (x *export) worker(ctx, dialling context.Context, l *link) error {
	for {
		t, err := x.crew.next(ctx, l)
		switch {
		case err != nil:
			return err
		case t.dial:
			stay, err := l.join(dialling)
			if dialling.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil || !stay {
				return err
			}
		case t.help != nil:
			if err := t.help.help(ctx, l); err != nil {
				return err
			}
		case t.mailbox > 0:
			err := x.copyMailbox(ctx, l, t.mailbox-1)
			x.crew.ended()
			if err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// help fetches portions of a mailbox that another worker copies, as long as that is of use. What is wrong with the
// mailbox or the server is for that worker to judge.
func (t *transfer) help(ctx context.Context, l *link) error {
	helping, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &fetcher{transfer: t, link: l}
	if !t.join(f, cancel) {
		return nil
	}
	l.begin()
	l.helping = true
	useless, err := f.runBeside(helping)
	l.helping = false
	t.part(f, useless)
	var stop *stopError
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.As(err, &stop) {
		return err
	}
	return nil
}

// runBeside asks for portions until there are none or it is of no use.
func (f *fetcher) runBeside(ctx context.Context) (useless bool, err error) {
	for portion := f.spare(f.link); portion != nil; portion = f.spare(f.link) {
		how, suspect, text, err := f.ask(ctx, portion)
		if err != nil {
			f.putBack(portion)
			return true, err
		}
		f.reportBeside(f.link, portion, how, suspect, text)
		if f.dismissed {
			return true, nil
		}
	}
	return false, nil
}
