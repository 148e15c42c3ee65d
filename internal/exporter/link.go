package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"mailark/internal/session"
)

// link is the connection to the source. It is made when it is first needed and made again when it
// is lost. One goroutine at a time uses it.
type link struct {
	dial  dialer
	retry Retry
	log   *slog.Logger

	src      server
	selected *session.Selected // what EXAMINE said of the mailbox that is open; nil: none is
	mailbox  string            // its name
	opened   int               // times a mailbox was opened
	entered  bool              // has signed in at least once
	losses   int               // connections lost in a row, for the pause
	stalls   int               // those lost over the mailbox in hand without a message copied
	dials    int               // connections in a row that could not be made
}

// connect makes the connection if there is none. Every error ends the run.
func (l *link) connect(ctx context.Context) error {
	for l.src == nil {
		src, err := l.dial(ctx)
		if err == nil {
			l.src, l.entered, l.dials = src, true, 0
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !l.worthAnotherDial(err) {
			return &stopError{err}
		}
		if l.dials++; l.dials >= l.patience() {
			return &stopError{fmt.Errorf("no connection in %d attempts: %w: %w", l.dials, ErrGaveUp, err)}
		}
		if err := l.lose(ctx, err, false); err != nil {
			return err
		}
	}
	return nil
}

// worthAnotherDial: a server that has let us in before comes back; one that never could be reached
// and does not ask for patience is more likely a wrong name.
func (l *link) worthAnotherDial(err error) bool {
	var remote *session.Error
	switch {
	case !errors.As(err, &remote):
		return false
	case l.entered && errors.Is(err, session.ErrConnect):
		return true
	case l.entered:
		return remote.Class != session.ClassFinal
	}
	return remote.Class == session.ClassWait ||
		remote.Class == session.ClassRetry && !errors.Is(err, session.ErrConnect) && !errors.Is(err, session.ErrTLS)
}

// lose drops the connection after err and waits until it is time for a new one. counted: it counts
// against the patience with the mailbox in hand.
func (l *link) lose(ctx context.Context, err error, counted bool) error {
	l.drop()
	pause := doubled(l.retry.Backoff, l.losses, maxBackoff)
	if asksPatience(err) {
		pause = doubled(l.retry.Wait, l.losses, maxWait)
	}
	l.losses++
	if counted {
		l.stalls++
	}
	if counted && l.stalls >= l.retry.Losses {
		return &mailboxError{lost: true, text: fmt.Sprintf(
			"lost the connection %d times in a row without copying anything: %s", l.stalls, words(err))}
	}
	l.log.Warn("connection lost", "reason", words(err), "again in", pause)
	return l.retry.Sleep(ctx, pause)
}

// patience is how many connections in a row may fail to be made.
func (l *link) patience() int {
	if !l.entered {
		return min(l.retry.Attempts, l.retry.Losses)
	}
	return l.retry.Losses
}

// alive notes that something was copied.
func (l *link) alive() { l.losses, l.stalls = 0, 0 }

// begin notes that a mailbox is begun, with a patience of its own.
func (l *link) begin() { l.stalls = 0 }

func (l *link) drop() {
	if l.src != nil {
		_ = l.src.Close() // it is no use any more, whatever it says
	}
	l.src = nil
	l.leave()
}

// leave forgets which mailbox is open, so that the next enter looks at it afresh.
func (l *link) leave() { l.selected, l.mailbox = nil, "" }

// nowIn notes which mailbox has been opened.
func (l *link) nowIn(mailbox string, sel *session.Selected) {
	l.selected, l.mailbox = sel, mailbox
	l.opened++
}

// do runs op on a live connection, on a new one if it loses that, and later if the server asks for
// patience. An error is a stopError, the context's, or the last one of op.
func (l *link) do(ctx context.Context, op func(src server) error) error {
	for try := 1; ; try++ {
		if err := l.connect(ctx); err != nil {
			return err
		}
		err := op(l.src)
		var stop *stopError
		switch {
		case err == nil, errors.As(err, &stop):
			return err
		case ctx.Err() != nil:
			l.drop()
			return context.Cause(ctx)
		case errors.Is(err, session.ErrSignIn): // it may turn out with the first operation
			return &stopError{err}
		case lostConnection(err):
			if loseErr := l.lose(ctx, err, true); loseErr != nil {
				return loseErr
			}
		case asksPatience(err):
			if try < l.retry.Attempts {
				if err := l.pause(ctx, err, try); err != nil {
					return err
				}
			}
		default:
			return err
		}
		if try >= l.retry.Attempts {
			return err
		}
	}
}

// pause waits because the server has asked for it.
func (l *link) pause(ctx context.Context, err error, try int) error {
	d := doubled(l.retry.Wait, try-1, maxWait)
	l.log.Warn("the server asks for patience", "reason", words(err), "again in", d)
	return l.retry.Sleep(ctx, d)
}

// enter opens the mailbox, unless it is open, and returns what EXAMINE said of it.
func (l *link) enter(ctx context.Context, mailbox string) (*session.Selected, error) {
	if l.src != nil && l.selected != nil && l.mailbox == mailbox {
		return l.selected, nil
	}
	err := l.do(ctx, func(src server) error {
		sel, err := src.Examine(ctx, mailbox)
		if err == nil {
			l.nowIn(mailbox, sel)
		}
		return err
	})
	if err != nil {
		return nil, asMailboxError(ctx, "open", err)
	}
	return l.selected, nil
}

// asMailboxError makes what neither ends the run nor comes from the context a matter of the mailbox.
func asMailboxError(ctx context.Context, verb string, err error) error {
	var (
		stop    *stopError
		mailbox *mailboxError
	)
	if ctx.Err() != nil || errors.As(err, &stop) || errors.As(err, &mailbox) || errors.Is(err, errRenumbered) {
		return err
	}
	return &mailboxError{text: fmt.Sprintf("%s: %s", verb, words(err)), lost: lostConnection(err)}
}
