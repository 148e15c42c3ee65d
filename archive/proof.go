package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// errNotProven says that a frame, decompressed again, is not what was compressed: a fault of this program, of the disk or of
// the machine's memory. Nothing of the frame counts as archived.
var errNotProven = errors.New("a compressed frame does not decompress to what it was made of")

// proof decompresses a frame while it is being written and compares what comes out with what the records will say: the SHA-256
// of each message, as it was when the message came from the server, and the checksum that was computed of all octets
// before they were compressed.
type proof struct {
	dec  *zstd.Decoder
	pipe *io.PipeWriter // into the open frame's goroutine; nil: no frame is open
	done chan error     // of that goroutine, once
	size int64          // decompressed octets, valid after done

	mu    sync.Mutex
	queue []content // what is to come out and has not yet, by position
}

// content is a member's content in the decompressed frame. size is not 0.
type content struct {
	pos, size int64
	sum       Sum
}

func newProof() (*proof, error) {
	dec, err := newStrictDecoder()
	if err != nil {
		return nil, err
	}
	return &proof{dec: dec, done: make(chan error, 1)}, nil
}

// expect announces content of the frame, before the encoder gets it.
func (p *proof) expect(c content) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, c)
}

// next is the next content that was announced.
func (p *proof) next() (c content, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return c, false
	}
	c, p.queue = p.queue[0], p.queue[1:]
	return c, true
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
	out := &comparison{proof: p, hash: sha256.New()}
	err := p.dec.Reset(r)
	if err == nil {
		p.size, err = io.Copy(out, p.dec)
	}
	if err == nil && out.open {
		err = errors.New("it ends inside a message")
	}
	// The writer learns of it at the end of the frame, and must not wait until then.
	_, _ = io.Copy(io.Discard, r)
	p.done <- err
}

// comparison is where the decompressed octets go.
type comparison struct {
	proof *proof
	hash  hash.Hash
	pos   int64 // octets so far
	now   content
	open  bool // now has not come out whole
}

// Write hashes the octets of messages. Whatever is announced later than an octet comes out lies behind it.
func (c *comparison) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if !c.open {
			if c.now, c.open = c.proof.next(); !c.open {
				c.pos += int64(len(b))
				return n, nil
			}
			c.hash.Reset()
		}
		take := c.now.pos + c.now.size - c.pos // to its end
		if skip := c.now.pos - c.pos; skip > 0 {
			take = skip
		}
		take = min(take, int64(len(b)))
		if c.pos >= c.now.pos {
			c.hash.Write(b[:take])
		}
		c.pos, b = c.pos+take, b[take:]
		if c.pos == c.now.pos+c.now.size {
			c.open = false
			if Sum(c.hash.Sum(nil)) != c.now.sum {
				return 0, fmt.Errorf("the SHA-256 of what is at %d is another one than when it came", c.now.pos)
			}
		}
	}
	return n, nil
}

// end closes the frame, which was made of size octets, and says whether it is proven.
func (p *proof) end(size int64) error {
	if p.pipe == nil {
		return fmt.Errorf("%w: it is empty", errNotProven)
	}
	err := errors.Join(p.pipe.Close(), <-p.done)
	_, left := p.next()
	p.pipe, p.queue = nil, nil
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errNotProven, err)
	case p.size != size || left:
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
