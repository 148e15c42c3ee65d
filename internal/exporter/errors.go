package exporter

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"mailark/archive"
	"mailark/internal/limit"
	"mailark/internal/maildirsource"
	"mailark/internal/session"
)

// ErrGaveUp is wrapped by the error of a run that lost its connection again and again (exit code 75).
var ErrGaveUp = errors.New("gave up after several tries")

// UsageError says that the options cannot be meant (exit code 64). Nothing was copied or changed.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

// SourceError says that the archive was begun from another account (exit code 64).
type SourceError struct{ Archive, Asked archive.Source }

func (e *SourceError) Error() string {
	return fmt.Sprintf("the archive holds the mail of %s at %s, not of %s at %s",
		e.Archive.User, e.Archive.Host, e.Asked.User, e.Asked.Host)
}

// FiguresError says that the figures of a mailbox do not add up, which is our own mistake (exit code 1).
type FiguresError struct {
	Mailbox string
	Figures Figures
	Have    int // listed messages that are in the archive
}

func (e *FiguresError) Error() string {
	f := e.Figures
	return fmt.Sprintf("internal error: the figures of %q do not add up: listed %d, archived before %d, now %d, "+
		"vanished %d, refused %d, left %d; the archive has %d of those listed",
		e.Mailbox, f.Listed, f.Before, f.Now, f.Vanished, f.Refused, f.Left, e.Have)
}

// errRenumbered says that a mailbox was opened again and had another UIDVALIDITY.
var errRenumbered = errors.New("UIDVALIDITY changed meanwhile")

// stopError ends the run, not only the mailbox in hand.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

// crowdedError says that the server has refused one connection more than there are. It unwraps to the refusal.
type crowdedError struct{ err error }

func (e *crowdedError) Error() string { return e.err.Error() }
func (e *crowdedError) Unwrap() error { return e.err }

// mailboxError ends the mailbox in hand; the others go on.
type mailboxError struct {
	text string
	lost bool // it was because the connection was lost again and again
}

func (e *mailboxError) Error() string { return e.text }

// Unwrap is ErrGaveUp if the connection was lost again and again.
func (e *mailboxError) Unwrap() error {
	if e.lost {
		return ErrGaveUp
	}
	return nil
}

// words is what to tell people about an error: the server's own words, if it said any.
func words(err error) string {
	var remote *session.Error
	if errors.As(err, &remote) {
		switch {
		case remote.Server != "":
			return remote.Server
		case remote.Err != nil:
			return remote.Err.Error()
		}
	}
	return err.Error()
}

// lostConnection reports whether an error of the session took the connection with it.
func lostConnection(err error) bool {
	var remote *session.Error
	return errors.As(err, &remote) && remote.Scope == session.ScopeSession
}

// asksPatience reports whether the server wants to be asked again later.
func asksPatience(err error) bool {
	var remote *session.Error
	return errors.As(err, &remote) && remote.Class == session.ClassWait
}

// Exit codes (DESIGN, "Command lines").
const (
	exitComplete    = 0
	exitError       = 1
	exitPartial     = 3
	exitChanged     = 4
	exitDamaged     = 7
	exitLimit       = 8
	exitNoArchive   = 10
	exitLocked      = 11
	exitFull        = 13
	exitConnect     = 14
	exitTLS         = 15
	exitSignIn      = 16
	exitUsage       = 64
	exitTemporary   = 75
	exitInterrupted = 130
)

// exitCode is the exit code of a run that an error has ended.
func exitCode(err error) int {
	var (
		usage   *UsageError
		source  *SourceError
		damage  *archive.DamageError
		figures *FiguresError
		remote  *session.Error
		ended   *limit.Error
	)
	switch {
	case errors.As(err, &figures):
		return exitError
	case errors.As(err, &ended):
		return exitLimit
	case errors.Is(err, ErrGaveUp):
		return exitTemporary
	case errors.As(err, &usage), errors.As(err, &source), errors.Is(err, maildirsource.ErrNoMaildir):
		return exitUsage
	case errors.Is(err, archive.ErrNotArchive), errors.Is(err, archive.ErrExists):
		return exitNoArchive
	case errors.Is(err, archive.ErrLocked):
		return exitLocked
	case errors.As(err, &damage):
		return exitDamaged
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitFull
	case errors.Is(err, session.ErrTLS):
		return exitTLS
	case errors.Is(err, session.ErrSignIn):
		return exitSignIn
	case errors.Is(err, session.ErrConnect):
		return exitConnect
	// Behind the others: a connection that timed out is a deadline exceeded too.
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return exitInterrupted
	case errors.As(err, &remote) && remote.Class != session.ClassFinal:
		return exitTemporary
	}
	return exitError
}
