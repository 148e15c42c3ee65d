package spool_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"mailark/internal/spool"
)

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	sp := spool.New(dir)
	for _, size := range []int{0, 1, spool.MemoryLimit - 1, spool.MemoryLimit, spool.MemoryLimit + 1, 3 * spool.MemoryLimit, 5} {
		for _, piece := range []int{7919, 1 << 16, 1 << 22} {
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(i * 7)
			}
			if piece == 1<<16 { // what can be read need not be written
				sp.Expect(int64(size))
				if n, err := sp.ReadFrom(iotest.HalfReader(bytes.NewReader(want[:size/3*2]))); n != int64(size/3*2) || err != nil {
					t.Fatalf("read %d of %d: %v", n, size/3*2, err)
				}
			}
			for rest := want[sp.Size():]; len(rest) > 0; {
				n := min(piece, len(rest))
				if _, err := sp.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			moved := sp.Move()
			if sp.Size() != 0 || sp.Sum() != sha256.Sum256(nil) {
				t.Errorf("size %d: not empty after Move", size)
			}
			var out bytes.Buffer
			if n, err := moved.WriteTo(&out); n != int64(size) || err != nil || !bytes.Equal(out.Bytes(), want) {
				t.Errorf("size %d: wrote %d: %v", size, n, err)
			}
			for range 2 {
				got, err := io.ReadAll(moved.Open())
				if err != nil || !bytes.Equal(got, want) || moved.Size() != int64(size) || moved.Sum() != sha256.Sum256(want) {
					t.Fatalf("size %d in pieces of %d: read %d octets, %v", size, piece, len(got), err)
				}
			}
			if err := moved.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestReadFrom fills a spool from a reader that gives pieces of odd sizes, and ends well, with an error, or right with the last octets.
func TestReadFrom(t *testing.T) {
	broken := errors.New("the line is cut")
	for _, size := range []int{0, 1, 100_000, spool.MemoryLimit - 1, spool.MemoryLimit, spool.MemoryLimit + 1, 3 * spool.MemoryLimit} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i * 11)
		}
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "error with the octets": iotest.DataErrReader,
			"cut": func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(broken)) },
		} {
			sp := spool.New(t.TempDir())
			if _, err := sp.Write([]byte("head")); err != nil {
				t.Fatal(err)
			}
			n, err := sp.ReadFrom(wrap(bytes.NewReader(want)))
			if n != int64(size) || name == "cut" && !errors.Is(err, broken) || name != "cut" && err != nil {
				t.Fatalf("%d octets, %s: took %d, %v", size, name, n, err)
			}
			all := append([]byte("head"), want...)
			var got bytes.Buffer
			m, err := sp.WriteTo(&got)
			if err != nil || m != int64(len(all)) || !bytes.Equal(got.Bytes(), all) || sp.Size() != m || sp.Sum() != sha256.Sum256(all) {
				t.Errorf("%d octets, %s: gave %d of %d, %v", size, name, m, len(all), err)
			}
			if err := sp.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSpoolRemembersItsError(t *testing.T) {
	sp := spool.New("/nonexistent-directory")
	if _, err := sp.Write(make([]byte, spool.MemoryLimit+1)); err == nil {
		t.Fatal("no error without a directory")
	}
	if _, err := sp.Write([]byte("x")); err == nil || sp.Err() == nil {
		t.Error("the error is forgotten")
	}
	if _, err := sp.ReadFrom(bytes.NewReader([]byte("x"))); err == nil {
		t.Error("the error is forgotten by ReadFrom")
	}
	if err := sp.Reset(); err != nil || sp.Err() != nil {
		t.Errorf("after Reset: %v, %v", err, sp.Err())
	}
	if _, err := sp.Write([]byte("x")); err != nil {
		t.Errorf("write after Reset: %v", err)
	}
}
