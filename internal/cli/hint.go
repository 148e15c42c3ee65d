package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/session"
)

// Advice is an error that knows what to do about it better than its cause tells.
type Advice struct {
	Err  error
	Hint string
}

func (a *Advice) Error() string { return a.Err.Error() }

// Unwrap is the error itself, which decides the exit code.
func (a *Advice) Unwrap() error { return a.Err }

// hint is one plain line on what to do about an error, or "".
func hint(err error) string {
	var (
		usage  *UsageError
		advice *Advice
		damage *archive.DamageError
		newer  *archive.VersionError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "nothing is lost; run the same command again and it goes on"
	case errors.As(err, &advice):
		return advice.Hint
	case errors.As(err, &usage):
		return usage.Hint
	case errors.Is(err, archive.ErrExists):
		return "name a directory that is new, empty or an archive already; nothing was written there"
	case errors.As(err, &newer):
		return "use a newer Mailark; nothing was changed"
	case errors.Is(err, archive.ErrNotArchive):
		return "check the path; an archive is the directory with the file archive.json in it"
	case errors.Is(err, archive.ErrLocked):
		return "wait until the other run ends, or stop it; a lock never outlives its process"
	case errors.As(err, &damage):
		return "run: mailark verify ARCHIVE   (it names every message that is hurt; mailark rebuild mends a catalog, verify --repair segments)"
	}
	if h := sessionHint(err); h != "" {
		return h
	}
	return diskHint(err)
}

func sessionHint(err error) string {
	var cert *session.CertificateError
	switch {
	case errors.As(err, &cert) && cert.NotPinned:
		return "go on only when the server's keeper has told you this fingerprint; the password was not sent"
	case errors.As(err, &cert):
		return "ask the server's keeper for the SHA-256 fingerprint, or compare it from another network; the password was not sent"
	case errors.Is(err, session.ErrTLS):
		return "check --host, --port and --tls"
	case errors.Is(err, session.ErrSignIn):
		return "check --user (or --authuser) and the password; many services want an app password for IMAP"
	case errors.Is(err, session.ErrConnect):
		return "check --host, --port and --tls, and that the server can be reached from here"
	}
	return ""
}

func diskHint(err error) string {
	var space *archive.SpaceError
	switch {
	case errors.As(err, &space):
		return fmt.Sprintf("free at least %s in %s and run the same command again: it goes on where it stopped",
			humane.Octets(space.Need), space.Dir)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space, then run the same command again: it goes on where it stopped"
	case errors.Is(err, syscall.EIO):
		return "the disk has failed to read or write: look after it before you run the same command again"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "choose a place you may write to; import reads a read-only archive with --ledger FILE"
	}
	return ""
}
