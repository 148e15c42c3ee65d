package spool_test

import (
	"bytes"
	"crypto/sha256"
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

func TestSpoolRemembersItsError(t *testing.T) {
	sp := spool.New("/nonexistent-directory")
	if _, err := sp.Write(make([]byte, spool.MemoryLimit+1)); err == nil {
		t.Fatal("no error without a directory")
	}
	if _, err := sp.Write([]byte("x")); err == nil || sp.Err() == nil {
		t.Error("the error is forgotten")
	}
	if err := sp.Reset(); err != nil || sp.Err() != nil {
		t.Errorf("after Reset: %v, %v", err, sp.Err())
	}
	if _, err := sp.Write([]byte("x")); err != nil {
		t.Errorf("write after Reset: %v", err)
	}
}
