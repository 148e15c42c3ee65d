package archive

import (
	"errors"
	"fmt"
	"syscall"
)

// What callers branch on.
var (
	// ErrNotArchive: the directory is missing, or holds no archive of a known format (exit code 10).
	ErrNotArchive = errors.New("no archive there, or unknown format")
	// ErrLocked: another writer holds the archive (exit code 11).
	ErrLocked = errors.New("archive is locked by another writer")
	// ErrExists: Create found an archive, or files that are none, in the directory; Extract found anything.
	ErrExists = errors.New("directory is not empty")
	// ErrInside: Extract was to write into the archive itself.
	ErrInside = errors.New("directory lies inside the archive")
	// ErrBusy: another Extract writes into the same directory.
	ErrBusy = errors.New("another extract is at work there")
)

// VersionError says that an archive has a version of the format that this program does not know (exit code 10). It is
// an ErrNotArchive.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s says format version %d, this program knows version %d", infoFile, e.Version, formatVersion)
}

func (e *VersionError) Unwrap() error { return ErrNotArchive }

// DamageError says that octets on the disk are not what was written there (exit code 7).
type DamageError struct {
	File   string // path relative to the archive
	Offset int64  // octets from the start of the file, -1 if unknown
	Reason string
}

func (e *DamageError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s is damaged: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s is damaged at octet %d: %s", e.File, e.Offset, e.Reason)
}

// MissingError says that segments, or their directory, are not there (exit code 7). It is a *DamageError.
type MissingError struct {
	Files     []string // paths relative to the archive
	CanGiveUp bool     // RepairOptions.GiveUpMissing would give them up
}

func (e *MissingError) Error() string {
	if len(e.Files) > 1 {
		return fmt.Sprintf("%s and %d more are missing", e.Files[0], len(e.Files)-1)
	}
	return e.Files[0] + " is missing"
}

func (e *MissingError) Unwrap() error {
	return &DamageError{File: e.Files[0], Offset: -1, Reason: "it is missing"}
}

// SpaceError says that the disk, or the user's share of it, is full (exit code 13). Everything committed is safe, and the
// next run goes on from there.
type SpaceError struct {
	Dir  string // of the archive
	Need int64  // octets that should be free there for the next commit
	Err  error  // the error itself; errors.Is finds ENOSPC or EDQUOT in it
}

func (e *SpaceError) Error() string { return "the disk is full: " + e.Err.Error() }

func (e *SpaceError) Unwrap() error { return e.Err }

// commitSlack is for what is written beside the frames of a commit: records, uidlists, spools.
const commitSlack = 8 << 20

// explainFull makes an error a *SpaceError if it is about a full disk.
func (o *Options) explainFull(dir string, err error) error {
	var known *SpaceError
	if errors.As(err, &known) || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	// Every lane but the first writes its frame into a scratch file before it is copied.
	frames := 2*int64(o.Lanes) - 1
	return &SpaceError{Dir: dir, Need: frames*o.FrameSize + commitSlack, Err: err}
}

// ExplainFull makes an error of writing beside the archive, such as into a spool in its directory, a *SpaceError
// if it is about a full disk.
func (w *Writer) ExplainFull(err error) error { return w.opts.explainFull(w.dir, err) }
