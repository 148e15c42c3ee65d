package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"mailark/archive"
	"mailark/internal/limit"
	"mailark/internal/session"
)

// Exit codes, the same for every program.
const (
	ExitComplete    = 0
	ExitError       = 1
	ExitPartial     = 3
	ExitChanged     = 4
	ExitDifference  = 7
	ExitLimit       = 8
	ExitNoArchive   = 10
	ExitLocked      = 11
	ExitTargetFull  = 13
	ExitConnect     = 14
	ExitTLS         = 15
	ExitSignIn      = 16
	ExitUsage       = 64
	ExitTemporary   = 75
	ExitInterrupted = 130
)

// exitTable is the list in --help. A test keeps it and the constants together.
const exitTable = `    0  complete
    1  error
    3  finished, but some messages or mailboxes were not copied (they are listed)
    4  the source changed meanwhile: run again
    7  verify or audit found a difference
    8  stopped at a limit or quota: run again later
   10  no archive there, or one of an unknown format
   11  the archive is locked by another run
   13  the target, or the disk, is full
   14  cannot connect
   15  TLS or certificate
   16  sign-in refused
   64  wrong use: flags, arguments, environment
   75  temporary trouble, gave up after several tries: run again
  130  interrupted: run the same command again, it goes on
`

// UsageError is a mistake in flags, arguments or environment (exit code 64).
type UsageError struct {
	Text string
	Hint string // what to do; may be empty
}

func (e *UsageError) Error() string { return e.Text }

// usagef is a UsageError without a hint.
func usagef(format string, args ...any) *UsageError {
	return &UsageError{Text: fmt.Sprintf(format, args...)}
}

// ExitCode is the exit code that belongs to an error; nil is 0.
func ExitCode(err error) int {
	var (
		usage  *UsageError
		damage *archive.DamageError
		remote *session.Error
		end    *limit.Error
	)
	switch {
	case err == nil:
		return ExitComplete
	case errors.As(err, &end):
		return ExitLimit
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, archive.ErrNotArchive):
		return ExitNoArchive
	case errors.Is(err, archive.ErrLocked):
		return ExitLocked
	case errors.Is(err, session.ErrTLS):
		return ExitTLS
	case errors.Is(err, session.ErrSignIn):
		return ExitSignIn
	case errors.Is(err, session.ErrConnect):
		return ExitConnect
	case errors.As(err, &damage):
		return ExitDifference
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ExitTargetFull
	case errors.As(err, &remote):
		return remoteExit(remote)
	}
	return ExitError
}

func remoteExit(e *session.Error) int {
	switch {
	case strings.EqualFold(e.Code, "OVERQUOTA"):
		return ExitTargetFull
	case e.Class == session.ClassFinal:
		return ExitError
	}
	return ExitTemporary
}
