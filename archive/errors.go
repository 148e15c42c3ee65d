package archive

import (
	"errors"
	"fmt"
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
