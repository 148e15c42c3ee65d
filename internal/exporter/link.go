package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mailark/internal/session"
)

// link is a connection to the source. It is made when it is first needed and made again when it
// is lost. One goroutine at a time uses it.
type link struct {
	dial  dialer
	retry Retry
	log   *slog.Logger
	crew  *crew
	first bool // the run begins with it

	src      server
	selected *session.Selected // what EXAMINE said of the mailbox that is open; nil: none is
	mailbox  string            // its name
	opened   int               // times a mailbox was opened
	entered  bool              // has signed in at least once
	losses   int               // connections lost in a row, for the pause
	stalls   int               // those lost over the mailbox in hand without a message copied
	dials    int               // connections in a row that could not be made
	turned   int               // those refused while others were in
	helping  bool              // with the mailbox of another; a connection that cannot be made is given up
}

// connect makes the connection if there is none. Every error ends the run.
func (l *link) connect(ctx context.Context) error {
	for l.src == nil {
		l.crew.enter()
		src, err := l.dial(ctx)
		l.crew.entered(err == nil)
		if err == nil {
			l.src, l.entered, l.dials, l.turned = src, true, 0, 0
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if l.helping {
			return &crowdedError{err}
		}
		if l.crew.others() > 0 {
			if err := l.turnedAway(ctx, err); err != nil {
				return err
			}
			continue
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

// turnedAway waits after a connection was refused while others of the run are in, so that it is not the server as such
// that is out of reach. After a few tries only the end of another connection makes room.
func (l *link) turnedAway(ctx context.Context, err error) error {
	pause, again := l.anotherTry(err)
	if !again {
		l.crew.refuse(err)
	}
	l.log.Info("no further connection", "reason", words(err), "again in", pause)
	return l.crew.awaitRoom(ctx, pause, l.retry.Sleep)
}

// anotherTry is how long to wait before a connection refused while others are in is tried again; again is false, and the
// pause 0, when that was done often enough or is of no use.
func (l *link) anotherTry(err error) (pause time.Duration, again bool) {
	l.turned++
	var remote *session.Error
	if l.turned >= l.retry.Attempts || errors.As(err, &remote) && remote.Class == session.ClassFinal {
		return 0, false
	}
	if asksPatience(err) {
		return doubled(l.retry.Wait, l.turned-1, maxWait), true
	}
	return doubled(l.retry.Backoff, l.turned-1, maxBackoff), true
}

// join makes a further connection. Without an error stay is false if the server allows no more; then the work is left
// to the others.
func (l *link) join(ctx context.Context) (stay bool, err error) {
	l.turned = 0
	for l.crew.inHand() {
		l.helping = true
		err := l.connect(ctx)
		l.helping = false
		var crowded *crowdedError
		if err == nil || !errors.As(err, &crowded) {
			return err == nil, err
		}
		pause, again := l.anotherTry(err)
		if !again && l.crew.inHand() { // else the last of several that try at the same time would go too
			l.crew.refuse(crowded.err)
			return false, nil
		}
		l.log.Info("no further connection", "reason", words(err), "again in", pause)
		if err := l.retry.Sleep(ctx, pause); err != nil {
			return false, err
		}
	}
	err = l.connect(ctx) // the others have lost theirs
	return err == nil, err
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
		l.crew.left()
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
		case err == nil, errors.As(err, &stop), errors.As(err, new(*crowdedError)):
			return err
		case ctx.Err() != nil:
			l.drop()
			return context.Cause(ctx)
		case errors.Is(err, session.ErrSignIn): // it may turn out with the first operation
			if err := l.notLetIn(ctx, err); err != nil {
				return err
			}
			continue
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

// notLetIn ends a connection that turns out to have been signed in to no purpose. While others are in, that is one more than
// the server has room for; without an error it is worth to try again.
func (l *link) notLetIn(ctx context.Context, err error) error {
	l.drop()
	l.crew.refuse(err)
	switch {
	case l.helping:
		return &crowdedError{err}
	case l.crew.others() > 0:
		return l.crew.awaitRoom(ctx, 0, l.retry.Sleep)
	case !l.crew.crowded() || l.losses >= l.retry.Losses:
		return &stopError{err}
	}
	return l.lose(ctx, err, false) // the server may not have noticed yet that the others have left
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
	if ctx.Err() != nil || errors.As(err, new(*crowdedError)) || errors.As(err, &stop) || errors.As(err, &mailbox) || errors.Is(err, errRenumbered) {
		return err
	}
	return &mailboxError{text: fmt.Sprintf("%s: %s", verb, words(err)), lost: lostConnection(err)}
}
