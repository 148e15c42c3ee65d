package archive

import (
	"bytes"
	"crypto/sha256"
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
	sum := sha256.Sum256(plain[100:200])
	for _, tt := range []struct {
		name   string
		pieces [][]byte
		size   int64
		ok     bool
		expect []content
	}{
		{"good", [][]byte{good}, size, true, nil},
		{"in pieces", [][]byte{good[:1], good[1:20], good[20:]}, size, true, nil},
		{"flipped", [][]byte{flipped}, size, false, nil},
		{"checksum", [][]byte{checksum}, size, false, nil},
		{"cut", [][]byte{good[:len(good)-1]}, size, false, nil},
		{"another size", [][]byte{good}, size + 1, false, nil},
		{"garbage", [][]byte{make([]byte, 1<<20)}, size, false, nil},
		{"nothing", nil, 0, false, nil},
		{"good after bad", [][]byte{good}, size, true, nil},
		{"messages", [][]byte{good}, size, true, []content{{100, 100, sum}, {300, size - 300, sha256.Sum256(plain[300:])}}},
		{"another message", [][]byte{good}, size, false, []content{{101, 100, sum}}},
		{"a message that is cut", [][]byte{good}, size, false, []content{{100, 100, sum}, {size - 5, 6, sum}}},
		{"a message that is not there", [][]byte{good}, size, false, []content{{100, 100, sum}, {size, 6, sum}}},
		{"good without messages", [][]byte{good}, size, true, nil},
	} {
		for _, c := range tt.expect {
			p.expect(c)
		}
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
