package archive

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errNotProven says that a frame, decompressed again, is not what was compressed: a fault of this program or of the
// machine's memory. Nothing of the frame counts as archived.
var errNotProven = errors.New("a compressed frame does not decompress to what it was made of")

// proof decompresses a frame while it is being written, with a decoder that shares nothing with the encoder. At the end of
// a frame the decoder compares the checksum that was computed of the octets before they were compressed.
type proof struct {
	dec  *zstd.Decoder
	pipe *io.PipeWriter // into the open frame's goroutine; nil: no frame is open
	done chan error     // of that goroutine, once
	size int64          // decompressed octets, valid after done
}

func newProof() (*proof, error) {
	dec, err := newStrictDecoder()
	if err != nil {
		return nil, err
	}
	return &proof{dec: dec, done: make(chan error, 1)}, nil
}

// Write takes compressed octets of the open frame, and opens it with the first.
func (p *proof) Write(b []byte) (int, error) {
	if p.pipe == nil {
		r, w := io.Pipe()
		p.pipe = w
		go p.run(r)
	}
	return p.pipe.Write(b)
}

func (p *proof) run(r *io.PipeReader) {
	var err error
	if err = p.dec.Reset(r); err == nil {
		p.size, err = io.Copy(io.Discard, p.dec)
	}
	// The writer learns of it at the end of the frame, and must not wait until then.
	_, _ = io.Copy(io.Discard, r)
	p.done <- err
}

// end closes the frame, which was made of size octets, and says whether it is proven.
func (p *proof) end(size int64) error {
	if p.pipe == nil {
		return fmt.Errorf("%w: it is empty", errNotProven)
	}
	err := errors.Join(p.pipe.Close(), <-p.done)
	p.pipe = nil
	if err != nil {
		return fmt.Errorf("%w: %w", errNotProven, err)
	}
	if p.size != size {
		return fmt.Errorf("%w: it has %d octets, not %d", errNotProven, p.size, size)
	}
	return nil
}

// stop drops the open frame and ends the decoder.
func (p *proof) stop() {
	if p.pipe != nil {
		_ = p.pipe.CloseWithError(errNotProven)
		<-p.done //nolint:errcheck // of a frame that nobody wants
		p.pipe = nil
	}
	p.dec.Close()
}
