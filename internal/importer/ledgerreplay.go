package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// replay reads all whole lines and returns where they end. A power cut may leave pages of NULs, or none,
// among octets that were not yet synced, and all that was synced lies before the last intents. So the first
// line with a NUL ends the ledger, as a torn one does, if no intent stands after it: the intents whose
// results are lost by that are in doubt, and will be looked for.
func (l *ledger) replay(r io.Reader, who identity) (end int64, err error) {
	lines := newLineReader(r)
	for n := 1; ; n++ {
		data, err := lines.next()
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err == nil {
			err = l.replayLine(n, data, who)
		}
		if errors.Is(err, ErrLedgerOther) {
			return 0, err
		}
		if err != nil && n > 1 && lines.unsynced(data) {
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%w: line %d: %w (if you move the file away, mail that is in the target is "+
				"recognised by its octets)", ErrLedgerDamaged, n, err)
		}
		end += int64(len(data)) + 1
	}
}

func (l *ledger) replayLine(n int, data []byte, who identity) error {
	rec, err := decodeLine(data)
	if err != nil {
		return err
	}
	if (n == 1) != (rec.T == lineLedger) {
		return errors.New(`the first line, and no other, is of kind "ledger"`)
	}
	switch rec.T {
	case lineLedger:
		return checkHeader(rec, who)
	case lineMailbox:
		if rec.Dir == "" || rec.To == "" {
			return errors.New("dir or to is missing")
		}
		l.mapped[rec.Dir] = rec.To
		return nil
	case lineIntent, lineAdopted:
		e, err := rec.entry()
		if err != nil {
			return err
		}
		if e.id <= l.lastID {
			return fmt.Errorf("id %d does not follow id %d", e.id, l.lastID)
		}
		return l.keep(e)
	case lineStored, lineRefused, lineVoid:
		e := l.byID[rec.ID]
		if err := rec.finish(e); err != nil {
			return err
		}
		return l.finished(e)
	}
	return fmt.Errorf("unknown kind %.40q: written by a newer version of this program?", rec.T)
}

func checkHeader(rec *line, who identity) error {
	if rec.Version != ledgerVersion {
		return fmt.Errorf("format version %d, this program knows %d", rec.Version, ledgerVersion)
	}
	if rec.Archive != who.archive {
		return fmt.Errorf("%w: it is of archive %s, not %s", ErrLedgerOther, rec.Archive, who.archive)
	}
	if rec.Host != who.host || rec.User != who.user {
		return fmt.Errorf("%w: it is for %s at %s, not %s at %s",
			ErrLedgerOther, rec.User, rec.Host, who.user, who.host)
	}
	return nil
}

// lineReader splits a file into lines of at most maxLine octets.
type lineReader struct {
	r    io.Reader
	buf  []byte
	used int // octets of buf given out already
	eof  bool
}

func newLineReader(r io.Reader) *lineReader { return &lineReader{r: r} }

// next is the next line without its newline, valid until the call after. io.EOF: what is left, if
// anything, is torn.
func (lr *lineReader) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(lr.buf[lr.used:], '\n'); i >= 0 && i < maxLine {
			data := lr.buf[lr.used : lr.used+i]
			lr.used += i + 1
			return data, nil
		}
		if len(lr.buf)-lr.used >= maxLine {
			return nil, fmt.Errorf("longer than %d octets", maxLine)
		}
		if lr.eof {
			return nil, io.EOF
		}
		lr.buf = append(lr.buf[:0], lr.buf[lr.used:]...)
		lr.used = 0
		lr.buf = slices.Grow(lr.buf, maxLine)
		n, err := lr.r.Read(lr.buf[len(lr.buf):cap(lr.buf)])
		lr.buf = lr.buf[:len(lr.buf)+n]
		if errors.Is(err, io.EOF) {
			lr.eof = true
		} else if err != nil {
			return nil, err
		}
	}
}

// unsynced reports whether a line that cannot be read is what a power cut left: it, or the line that
// was too long to be read, holds NULs, and no line comes after it that was synced before others were written.
func (lr *lineReader) unsynced(bad []byte) bool {
	rest := io.MultiReader(bytes.NewReader(lr.buf[lr.used:]), lr.r)
	if lr.eof {
		rest = bytes.NewReader(lr.buf[lr.used:])
	}
	if bytes.IndexByte(bad, 0) < 0 && bytes.IndexByte(lr.buf[lr.used:], 0) < 0 {
		return false
	}
	const overlap = 64
	buf := make([]byte, overlap, 64<<10)
	for {
		n, err := io.ReadFull(rest, buf[overlap:cap(buf)])
		window := buf[:overlap+n]
		for _, kind := range []string{lineIntent, lineMailbox, lineLedger} {
			if bytes.Contains(window, []byte(`{"t":"`+kind+`"`)) {
				return false
			}
		}
		if err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
		copy(buf, window[len(window)-overlap:])
	}
}
