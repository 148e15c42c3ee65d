package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mailark/internal/session"
)

const (
	firstPause = time.Second
	waitPause  = 15 * time.Second // when the server asks for patience
	longest    = 2 * time.Minute
)

// link is the connection to the target, made again when it is lost. For one goroutine, but for drop.
type link struct {
	opts     *Options
	target   *session.Target // nil: not connected
	appends  int             // begun on this connection
	failures int             // in a row, without progress
	dialled  bool            // once was connected
}

func newLink(opts *Options) *link {
	opts.Target.Password = askOnce(opts.Target.Password)
	return &link{opts: opts}
}

// askOnce remembers the password: a run that has to connect again at night must not wait for somebody
// to type it.
func askOnce(ask func(context.Context) (string, error)) func(context.Context) (string, error) {
	if ask == nil {
		return nil
	}
	var mu sync.Mutex
	var known *string
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != nil {
			return *known, nil
		}
		password, err := ask(ctx)
		if err == nil {
			known = &password
		}
		return password, err
	}
}

// connect makes a connection if there is none. The first one is tried once; later ones again and
// again, with growing pauses, until there have been too many failures without progress (ErrGaveUp). A
// refused sign-in or a bad certificate ends it at once.
func (l *link) connect(ctx context.Context) error {
	for l.target == nil {
		t, err := session.DialTarget(ctx, l.opts.Target)
		switch {
		case err == nil:
			l.target, l.appends, l.dialled = t, 0, true
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !l.dialled || errors.Is(err, session.ErrTLS) || errors.Is(err, session.ErrSignIn) && !patience(err):
			return fmt.Errorf("connect to %s: %w", l.opts.Target.Host, err)
		}
		if err := l.pause(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// do runs f with a connection, which must be something that may be done twice. Lost connections are
// made again and f is run again; a server that asks for patience gets it.
func (l *link) do(ctx context.Context, f func(*session.Target) error) error {
	for {
		if err := l.connect(ctx); err != nil {
			return err
		}
		err := f(l.target)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !lost(err) && !patience(err):
			return err
		}
		if lost(err) {
			l.drop()
		}
		if err := l.pause(ctx, err); err != nil {
			return err
		}
	}
}

// pause counts a failure and waits before the next try.
func (l *link) pause(ctx context.Context, cause error) error {
	l.failures++
	if l.failures > l.opts.Reconnects {
		return fmt.Errorf("%w: %w", ErrGaveUp, cause)
	}
	wait := firstPause
	if patience(cause) {
		wait = waitPause
	}
	wait = min(wait<<min(l.failures-1, 10), longest)
	l.opts.Log.Info("trying again", "after", wait, "failures", l.failures, "reason", cause)
	return l.opts.Sleep(ctx, wait)
}

// progress says that something has been achieved since the last failure.
func (l *link) progress() {
	l.failures = 0
}

// drop gives up the connection.
func (l *link) drop() {
	if l.target != nil {
		_ = l.target.Close() // it never fails, and nothing is owed
		l.target = nil
	}
}

// lost reports whether an error took the connection with it.
func lost(err error) bool {
	var e *session.Error
	return errors.As(err, &e) && e.Scope == session.ScopeSession
}

// patience reports whether the server wants to be asked again later.
func patience(err error) bool {
	var e *session.Error
	return errors.As(err, &e) && e.Class == session.ClassWait
}

// temporary reports whether to wait and try again on this connection.
func temporary(err error) bool {
	var e *session.Error
	return errors.Is(err, errRefusing) || patience(err) ||
		errors.As(err, &e) && e.Scope == session.ScopeMessage && e.Class == session.ClassRetry
}

// fullWords reports whether a refusal is for want of room, by the words of servers that give no code.
func fullWords(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"quota", "storage limit", "mailbox full", "mailbox is full", "over limit"},
		func(s string) bool { return strings.Contains(text, s) })
}

// words is what to tell people about an error: the server's own words, if it said any.
func words(err error) string {
	var e *session.Error
	if errors.As(err, &e) {
		switch {
		case e.Server != "":
			return e.Server
		case e.Err != nil:
			return e.Err.Error()
		}
	}
	return err.Error()
}
