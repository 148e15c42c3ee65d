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
	"os"
	"slices"
	"sync"
)

// MemoryLimit is how many octets of one message a spool keeps in memory before it moves the
// message to a file. It is also the largest buffer a reused spool holds on to.
const MemoryLimit = 1 << 20

// Spool receives the octets of one message with Write and gives them back, as often as asked,
// with Open. The zero value is not usable; call New. A Spool is for one goroutine at a time.
type Spool struct {
	dir  string
	pool *sync.Pool // of *[]byte, shared with the spools this one was moved to
	buf  []byte
	file *os.File
	size int64
	hash hash.Hash
	err  error
}

// New returns an empty spool whose overflow file, if it needs one, is made in dir.
func New(dir string) *Spool {
	return &Spool{dir: dir, pool: new(sync.Pool), hash: sha256.New()}
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
		s.grow()
		s.buf = append(s.buf, p...)
	} else if _, err := s.file.Write(p); err != nil {
		s.err = fmt.Errorf("write spool: %w", err)
		return 0, s.err
	}
	s.hash.Write(p)
	s.size += int64(len(p))
	return len(p), nil
}

// readRoom is how much is read at once: much enough that a whole piece comes straight from the network.
const readRoom = 64 << 10

// ReadFrom adds what r gives until its end, without a buffer in between. Its error is r's, or the one that broke the spool (Err).
func (s *Spool) ReadFrom(r io.Reader) (n int64, err error) {
	for {
		if s.err != nil {
			return n, s.err
		}
		if s.file != nil || len(s.buf)+readRoom > MemoryLimit {
			// The octets that may not stay in memory need one.
			m, err := io.CopyBuffer(writerOnly{s}, r, make([]byte, readRoom))
			return n + m, err
		}
		s.grow()
		s.buf = slices.Grow(s.buf, readRoom)
		m, err := r.Read(s.buf[len(s.buf) : len(s.buf)+readRoom])
		s.hash.Write(s.buf[len(s.buf) : len(s.buf)+m])
		s.buf = s.buf[:len(s.buf)+m]
		s.size += int64(m)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// writerOnly hides ReadFrom.
type writerOnly struct{ io.Writer }

// WriteTo gives w all octets from the first, as Open does, without a buffer in between where they are in memory.
func (s *Spool) WriteTo(w io.Writer) (int64, error) {
	if s.file != nil {
		return io.Copy(w, s.Open())
	}
	n, err := w.Write(s.buf)
	return int64(n), err
}

// grow takes a buffer that an earlier message has used, if there is one.
func (s *Spool) grow() {
	if s.buf != nil {
		return
	}
	if b, ok := s.pool.Get().(*[]byte); ok {
		s.buf = (*b)[:0]
	}
}

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
	s.file, s.buf = f, s.buf[:0]
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
	if s.buf != nil {
		buf := s.buf[:0]
		s.buf = nil
		s.pool.Put(&buf)
	}
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
