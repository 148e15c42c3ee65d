// Package spool holds one message at a time between the wire and the disk: in memory while it is
// small, in an unlinked temporary file when it is not, so that a message of any size costs at most
// the memory limit. The SHA-256 is computed as the octets pass.
//
// A spool promises nothing after a crash: its file has no name, so nothing is left behind.
package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
	"os"
)

// MemoryLimit is how many octets of one message a spool keeps in memory before it moves the
// message to a file. It is also the largest buffer a reused spool holds on to.
const MemoryLimit = 1 << 20

// Spool receives the octets of one message with Write and gives them back, as often as asked,
// with Open. The zero value is not usable; call New. A Spool is for one goroutine at a time.
type Spool struct {
	dir  string
	pool chan []byte // of empty buffers, shared with the spools this one was moved to, and with others of a set
	buf  []byte
	file *os.File
	size int64
	hash hash.Hash
	err  error
}

// New returns an empty spool whose overflow file, if it needs one, is made in dir.
func New(dir string) *Spool {
	return NewSet(dir, 1)[0]
}

// NewSet returns n empty spools that share their buffers: of those not in use they keep n at most.
func NewSet(dir string, n int) []*Spool {
	pool := make(chan []byte, n)
	set := make([]*Spool, n)
	for i := range set {
		set[i] = &Spool{dir: dir, pool: pool, hash: sha256.New()}
	}
	return set
}

// Write adds octets. An error (disk full, mostly) is remembered and returned by every later call.
func (s *Spool) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.file == nil && len(s.buf)+len(p) > MemoryLimit {
		if s.err = s.spill(); s.err != nil {
			return 0, s.err
		}
	}
	if s.file == nil {
		s.grow(len(p))
		s.buf = append(s.buf, p...)
	} else if _, err := s.file.Write(p); err != nil {
		s.err = fmt.Errorf("write spool: %w", err)
		return 0, s.err
	}
	s.hash.Write(p)
	s.size += int64(len(p))
	return len(p), nil
}

// ReadFrom adds what r has, until its end. Other than by Write the octets are not copied on their way. An error is the
// reader's, or that of the spool, which is remembered.
func (s *Spool) ReadFrom(r io.Reader) (int64, error) {
	before := s.size
	for s.err == nil {
		if s.file != nil || len(s.buf) == MemoryLimit {
			_, err := io.CopyBuffer(onlyWriter{s}, r, make([]byte, copySize))
			return s.size - before, err //nolint:wrapcheck // the reader's or our own
		}
		s.grow(1)
		n, err := r.Read(s.buf[len(s.buf):min(cap(s.buf), MemoryLimit)])
		p := s.buf[len(s.buf) : len(s.buf)+n]
		s.buf = s.buf[:len(s.buf)+n]
		s.hash.Write(p)
		s.size += int64(n)
		if err == io.EOF {
			return s.size - before, nil
		}
		if err != nil {
			return s.size - before, err //nolint:wrapcheck // the reader's
		}
	}
	return 0, s.err
}

// copySize is how much of a large message is copied at once.
const copySize = 256 << 10

// onlyWriter hides ReadFrom.
type onlyWriter struct{ io.Writer }

// Expect says how many octets are to come, so that memory for them is taken at once.
func (s *Spool) Expect(size int64) {
	if s.err == nil && s.file == nil && size <= MemoryLimit {
		s.grow(int(size))
	}
}

// grow makes room for n octets, if it can in a buffer that an earlier message has used.
func (s *Spool) grow(n int) {
	if s.buf == nil {
		select {
		case s.buf = <-s.pool:
		default:
		}
	}
	if need := len(s.buf) + n; need > cap(s.buf) {
		size := max(minBuffer, 1<<bits.Len(uint(need-1)))
		s.buf = append(make([]byte, 0, size), s.buf...)
	}
}

// minBuffer is the smallest buffer, octets.
const minBuffer = 16 << 10

// Scratch makes a file in dir that has already lost its name: it is gone when it is closed, or
// when the process ends, however it ends.
func Scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "spool-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("create spool: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink spool: %w", err), f.Close())
	}
	return f, nil
}

// spill moves what is in memory to a file.
func (s *Spool) spill() error {
	f, err := Scratch(s.dir)
	if err != nil {
		return err
	}
	if _, err := f.Write(s.buf); err != nil {
		return errors.Join(fmt.Errorf("write spool: %w", err), f.Close())
	}
	s.file = f
	s.release()
	return nil
}

// Size is the number of octets written so far.
func (s *Spool) Size() int64 { return s.size }

// Sum is the SHA-256 of the octets written so far.
func (s *Spool) Sum() (sum [sha256.Size]byte) {
	s.hash.Sum(sum[:0])
	return sum
}

// Err is the error that broke the spool, or nil.
func (s *Spool) Err() error { return s.err }

// Open returns a reader of all octets from the first. Readers are independent of each other and
// are valid until the next Write, Reset or Close.
func (s *Spool) Open() *io.SectionReader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return io.NewSectionReader(bytes.NewReader(s.buf), 0, s.size)
}

// WriteTo writes all octets from the first, and leaves them.
func (s *Spool) WriteTo(w io.Writer) (int64, error) {
	if s.file == nil {
		n, err := w.Write(s.buf)
		return int64(n), err //nolint:wrapcheck // the writer's
	}
	return io.CopyBuffer(onlyWriter{w}, s.Open(), make([]byte, copySize)) //nolint:wrapcheck // the writer's
}

// release gives the buffer to a later message.
func (s *Spool) release() {
	if s.buf == nil {
		return
	}
	select {
	case s.pool <- s.buf[:0]:
	default:
	}
	s.buf = nil
}

// Reset empties the spool for the next message and keeps its memory.
func (s *Spool) Reset() error {
	err := s.Close()
	s.size, s.err = 0, nil
	s.hash.Reset()
	return err
}

// Move gives the content to a new spool and leaves this one empty, ready for the next message.
func (s *Spool) Move() *Spool {
	moved := *s
	*s = Spool{dir: s.dir, pool: s.pool, hash: sha256.New()}
	return &moved
}

// Close gives memory and file back. The spool can be used again after Reset.
func (s *Spool) Close() error {
	s.release()
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
