package archive

import (
	"bytes"
	"errors"
	"testing"

	"mailark/internal/zenc"
)

// TestProof: whatever is not the frame that was meant is noticed at the frame's end, whatever comes before it, and the next
// frame is proven for itself.
func TestProof(t *testing.T) {
	plain := bytes.Repeat([]byte("a line of mail, and 日本\r\n"), 20_000)
	var frame bytes.Buffer
	enc, err := zenc.New(&frame, 20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enc.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	good, size := frame.Bytes(), int64(len(plain))
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 4
	checksum := bytes.Clone(good)
	checksum[len(good)-1] ^= 1
	p, err := newProof()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		pieces [][]byte
		size   int64
		ok     bool
	}{
		{"good", [][]byte{good}, size, true},
		{"in pieces", [][]byte{good[:1], good[1:20], good[20:]}, size, true},
		{"flipped", [][]byte{flipped}, size, false},
		{"checksum", [][]byte{checksum}, size, false},
		{"cut", [][]byte{good[:len(good)-1]}, size, false},
		{"another size", [][]byte{good}, size + 1, false},
		{"garbage", [][]byte{make([]byte, 1<<20)}, size, false},
		{"nothing", nil, 0, false},
		{"good after bad", [][]byte{good}, size, true},
	} {
		for _, piece := range tt.pieces {
			if _, err := p.Write(piece); err != nil {
				t.Errorf("%s: write: %v", tt.name, err)
			}
		}
		if err := p.end(tt.size); (err == nil) != tt.ok || err != nil && !errors.Is(err, errNotProven) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := p.Write(good[:50]); err != nil {
		t.Error(err)
	}
	p.stop() // with a frame open: must not hang
}
