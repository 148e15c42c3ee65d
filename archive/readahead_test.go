package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// catalogOf is a file of frames that hold so many octets each, and what they hold.
func catalogOf(t *testing.T, sizes ...int) (file []byte, plains [][]byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 5))
	w := new(Writer)
	for _, size := range sizes {
		piece := make([]byte, 4096)
		for i := range piece {
			piece[i] = byte(rng.Uint32())
		}
		plain := bytes.Repeat(piece, size/len(piece)+1)[:size]
		for i := 0; i < len(plain); i += 1000 { // so that it does not compress to nothing
			copy(plain[i:], fmt.Sprintf("%x", rng.Uint64()))
		}
		packed, err := w.packRecords(plain)
		if err != nil {
			t.Fatal(err)
		}
		file, plains = append(file, packed...), append(plains, plain)
	}
	return file, plains
}

// watchedReader knows how far it has been read, and when it must not be read any more.
type watchedReader struct {
	*bytes.Reader
	t       *testing.T
	reached atomic.Int64
	closed  bool
}

func (w *watchedReader) ReadAt(p []byte, off int64) (int, error) {
	if w.closed {
		w.t.Error("read after stop")
	}
	w.reached.Store(max(w.reached.Load(), off))
	return w.Reader.ReadAt(p, off)
}

// TestReadAheadOfLargeAndSmall: every commit comes as it is, and stays so until the next is asked for; behind a large one
// nothing is read until then.
func TestReadAheadOfLargeAndSmall(t *testing.T) {
	const limit = 100_000
	sizes := []int{10, 200, 70_000, 3, limit + 1, 3 * limit, 100, 5 * limit, limit, limit + 1, 5, 100_000, 1}
	file, plains := catalogOf(t, sizes...)
	in := &watchedReader{Reader: bytes.NewReader(file), t: t}
	a, err := newReadAhead(in, int64(len(file)), limit)
	if err != nil {
		t.Fatal(err)
	}
	defer a.stop()
	for i, want := range plains {
		frame, got, err := a.next()
		if err != nil {
			t.Fatalf("commit %d: %v", i, err)
		}
		time.Sleep(5 * time.Millisecond) // in which a reader that does not wait goes on
		if !bytes.Equal(got, want) {
			t.Fatalf("commit %d: %d octets, not %d, or others", i, len(got), len(want))
		}
		if end := frame.offset + frame.length; len(want) > limit && in.reached.Load() >= end {
			t.Errorf("commit %d of %d octets ends at %d, but what is at %d has been read", i, len(want), end, in.reached.Load())
		}
	}
	for range 3 {
		if _, _, err := a.next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last commit: %v", err)
		}
	}
}

// TestReadAheadStops wherever it is, and nobody reads a closed file.
func TestReadAheadStops(t *testing.T) {
	const limit = 1000
	file, plains := catalogOf(t, 10, 200, limit+1, 3, 5)
	for n := range len(plains) + 2 {
		in := &watchedReader{Reader: bytes.NewReader(file), t: t}
		a, err := newReadAhead(in, int64(len(file)), limit)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, _, err := a.next(); (err != nil) != (i == len(plains)) {
				t.Errorf("commit %d: %v", i, err)
			}
		}
		a.stop()
		in.closed = true // the race detector sees one who still reads
	}
}
