package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// failing is a file that cannot be read from an octet on.
type failing struct {
	io.ReaderAt
	from int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= f.from {
		return f.ReaderAt.ReadAt(p, off)
	}
	n, err := f.ReaderAt.ReadAt(p[:max(0, f.from-off)], off)
	return n, errors.Join(err, syscall.EIO)
}

// frameOfMail is a frame with one message, and what the catalog says of both.
func frameOfMail(t *testing.T) ([]byte, frameInfo, *Message) {
	t.Helper()
	var mail []byte
	for i := range 40000 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		mail = append(mail, sum[:4]...)
	}
	w := new(Writer)
	packed, err := w.packRecords(mail)
	if err != nil {
		t.Fatal(err)
	}
	info := frameInfo{length: int64(len(packed)), plain: int64(len(mail)), sum: sha256.Sum256(packed)}
	return packed, info, &Message{Key: Key{Mailbox: 1}, Sum: sha256.Sum256(mail), Size: int64(len(mail)), Place: Place{Segment: 1}}
}

// TestReadErrorIsNoDamage: wherever the reading of a frame fails, nothing in it is called damaged, and nothing put aside.
func TestReadErrorIsNoDamage(t *testing.T) {
	packed, info, msg := frameOfMail(t)
	c := newCatalog(Info{})
	c.mailboxes = []*Mailbox{{ID: 1}}
	for _, from := range []int64{0, 3, 20, info.length / 2, info.length - 5, info.length - 1, info.length} {
		f := failing{bytes.NewReader(packed), from}
		whole := from == info.length
		v := &verifier{Catalog: c, byFrame: map[Place][]*Message{{Segment: 1}: {msg}}}
		err := v.checkFrame(t.Context(), &segmentInfo{number: 1}, info, f)
		if errors.Is(err, syscall.EIO) == whole || len(v.hurtFrames)+len(v.result.Problems)+len(v.result.Damaged) > 0 {
			t.Errorf("verify, failing at %d: %v, %+v", from, err, v.result)
		}
		if whole || from > info.length/2 {
			continue // rescue reads no further than it must
		}
		p := &repairer{w: &Writer{dir: t.TempDir()}, v: v}
		if err := p.rescue(t.Context(), f, []*Message{msg}, info); !errors.Is(err, syscall.EIO) {
			t.Errorf("rescue, failing at %d: %v", from, err)
		}
	}
	// The same frame, really damaged.
	hurt := slices.Clone(packed)
	hurt[len(hurt)/2] ^= 1
	v := &verifier{Catalog: c, byFrame: map[Place][]*Message{{Segment: 1}: nil}}
	err := v.checkFrame(context.Background(), &segmentInfo{number: 1}, info, bytes.NewReader(hurt))
	if err != nil || len(v.hurtFrames) != 1 || !strings.Contains(v.result.Problems[0].Error(), "damaged") {
		t.Errorf("damaged: %v, %+v", err, v.result)
	}
}

// TestNeverAsideIfWhole: a frame that was read wrongly once, by a fault of memory or of a cable, is not put aside.
func TestNeverAsideIfWhole(t *testing.T) {
	packed, info, _ := frameOfMail(t)
	for _, hurt := range []bool{false, true} {
		p := &repairer{dir: t.TempDir(), w: &Writer{Catalog: newCatalog(Info{})}}
		p.w.segment(1).frames = []frameInfo{info}
		p.v = &verifier{hurtFrames: []Place{{Segment: 1}}}
		path := filepath.Join(p.dir, segmentName(1))
		octets := slices.Clone(packed)
		if hurt {
			octets[len(octets)/2] ^= 1
		}
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, octets, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := p.compareHurt(); (err == nil) != hurt {
			t.Errorf("hurt %v: %v", hurt, err)
		}
	}
}
