package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	octetsPerMessage = 64      // of catalog, compressed: half of them are the SHA-256
	maxReserve       = 1 << 20 // messages that the length of a file, which may hold anything, makes room for
)

// replay reads the catalog and returns what it says and where its last whole commit ends. What
// follows that is the torn tail of a commit that never was. A *DamageError means that something is
// wrong before the last commit, where no crash can have left it; any other error is one of reading.
func replay(r io.ReaderAt, size int64, info Info) (Catalog, int64, error) {
	c := newCatalog(info)
	ahead, err := newReadAhead(r, size, maxAhead)
	if err != nil {
		return c, 0, err
	}
	defer ahead.stop()
	c.index.reserve(int(min(size/octetsPerMessage, maxReserve)))
	var offset int64
	for {
		f, records, err := ahead.next()
		if errors.Is(err, io.EOF) {
			return c, offset, nil
		}
		if errors.Is(err, errLimit) {
			return c, offset, &DamageError{File: catalogFile, Offset: offset, Reason: err.Error()}
		}
		if err != nil && !isContent(err) {
			return c, offset, fmt.Errorf("read %s: %w", catalogFile, err)
		}
		if err != nil {
			return c, offset, c.tornOrDamaged(r, offset, size, err)
		}
		if err := c.applyCommit(records, f.length); err != nil {
			return c, offset, &DamageError{File: catalogFile, Offset: offset, Reason: err.Error()}
		}
		offset += f.length
	}
}

// tornOrDamaged is nil if nothing whole follows the broken frame at offset.
func (c *Catalog) tornOrDamaged(r io.ReaderAt, offset, size int64, reason error) error {
	at, _, err := c.findCommit(r, offset+1, size)
	if err != nil {
		return fmt.Errorf("read %s: %w", catalogFile, err)
	}
	if at < 0 {
		return nil
	}
	return &DamageError{File: catalogFile, Offset: offset, Reason: fmt.Sprintf("%v, but a commit follows at %d", reason, at)}
}

// applyCommit applies the records of one commit, whose frame in the catalog has the given length. It keeps nothing of
// plain.
func (c *Catalog) applyCommit(plain []byte, packed int64) error {
	var commit *record
	lines := newLineReader(c)
	for len(plain) > 0 {
		line, rest, ok := bytes.Cut(plain, []byte{'\n'})
		if !ok || len(line) > maxRecord {
			return fmt.Errorf("a record does not end, or is longer than %d", maxRecord)
		}
		plain = rest
		if commit != nil {
			known, err := lines.apply(line)
			if err != nil {
				return err
			}
			if known {
				continue
			}
		}
		r, err := parseRecord(line)
		if err != nil {
			return err
		}
		switch {
		case commit == nil && (r.T != recCommit || r.N != c.commits+1):
			return fmt.Errorf("%s %d where commit %d is next", r.T, r.N, c.commits+1)
		case commit == nil && r.Archive != c.info.ID:
			return fmt.Errorf("commit %d is of archive %.64q", r.N, r.Archive)
		case commit == nil:
			commit = r
		case r.T == recCommit:
			return errors.New("two commits in one frame")
		}
		if err := c.apply(r); err != nil {
			return err
		}
	}
	if commit == nil {
		return errors.New("a frame without records")
	}
	if commit.Segment > maxSegment || int(commit.Segment) > len(c.segments) {
		return fmt.Errorf("commit %d is in segment %d, which is unknown", commit.N, commit.Segment)
	}
	return c.endCommit(commit, packed)
}

// endCommit moves the end of the segment behind the copy of the commit's records.
func (c *Catalog) endCommit(commit *record, packed int64) error {
	if commit.Segment == 0 {
		return nil // of a seal
	}
	s := c.segment(commit.Segment)
	if s.sealed || commit.Offset < s.end {
		return fmt.Errorf("commit %d at %d of segment %d, which ends at %d", commit.N, commit.Offset, s.number, s.end)
	}
	s.copies = append(s.copies, span{offset: commit.Offset, length: skippableHeader + packed})
	s.end = commit.Offset + skippableHeader + packed
	return nil
}
