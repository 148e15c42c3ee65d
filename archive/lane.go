package archive

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"

	"mailark/internal/spool"
	"mailark/internal/zenc"
)

// laneQueue is how many members wait in front of a lane; with spools of at most spool.MemoryLimit
// that bounds the memory.
const laneQueue = 4

// laneBuffer gathers compressed octets, so that the file is written in large pieces.
const laneBuffer = 256 << 10

// member is one tar member on its way into a frame.
type member struct {
	header []byte       // one or more tar blocks
	body   *spool.Spool // nil for a member without content
}

// lane compresses one frame in a goroutine of its own, and has it decompressed again in another. The writer sends members, and a
// member without header to close the frame, after which the lane sends what became of it on done.
type lane struct {
	jobs  chan member
	done  chan laneResult
	file  *countingWriter
	proof *proof
	plain int64 // octets of tar in the open frame; the goroutine's
	size  int64 // octets of tar sent into the open frame; the writer's
}

// laneResult says what became of a frame.
type laneResult struct {
	length int64 // compressed octets
	sum    Sum   // of the compressed octets
	err    error
}

// countingWriter counts, hashes, proves and buffers what goes to the file behind it.
type countingWriter struct {
	*bufio.Writer
	n     int64
	hash  hash.Hash
	proof io.Writer
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if _, err := w.proof.Write(p); err != nil {
		return 0, err
	}
	n, err := w.Writer.Write(p)
	w.n += int64(n)
	w.hash.Write(p[:n])
	return n, err
}

// reset begins a new frame.
func (w *countingWriter) reset() {
	w.n = 0
	w.hash.Reset()
}

// newLane starts a lane that writes to out, with a window of so many octets, a power of two.
func newLane(out io.Writer, window int) (*lane, error) {
	l := &lane{jobs: make(chan member, laneQueue), done: make(chan laneResult, 1)}
	var err error
	if l.proof, err = newProof(); err != nil {
		return nil, fmt.Errorf("start decompression: %w", err)
	}
	l.file = &countingWriter{Writer: bufio.NewWriterSize(out, laneBuffer), hash: sha256.New(), proof: l.proof}
	enc, err := zenc.New(l.file, bits.Len(uint(window))-1)
	if err != nil {
		l.proof.stop()
		return nil, fmt.Errorf("start compression: %w", err)
	}
	go l.run(enc)
	return l, nil
}

// run owns the encoder. After an error it goes on taking members, and reports at the end of the frame.
func (l *lane) run(enc *zenc.Encoder) {
	var err error
	for m := range l.jobs {
		if m.header != nil {
			if err == nil {
				err = l.write(enc, m)
			}
			if m.body != nil {
				err = errors.Join(err, m.body.Close())
			}
			continue
		}
		err = errors.Join(err, enc.Close(), l.file.Flush())
		if proven := l.proof.end(l.plain); err == nil {
			err = proven // else it is no wonder
		}
		l.done <- laneResult{length: l.file.n, sum: Sum(l.file.hash.Sum(nil)), err: err}
		l.file.reset()
		err, l.plain = nil, 0
		enc.Reset(l.file)
	}
	l.proof.stop() // nothing was promised for a frame that was not ended
	close(l.done)
}

func (l *lane) write(enc *zenc.Encoder, m member) error {
	if m.body != nil && m.body.Size() > 0 {
		l.proof.expect(content{pos: l.plain + int64(len(m.header)), size: m.body.Size(), sum: m.body.Sum()})
	}
	n, err := writeMember(enc, m)
	l.plain += n
	return err
}

// writeMember writes header, content and padding (POSIX.1-2017, pax, "ustar Interchange Format"), and returns how
// many octets that was.
func writeMember(w io.Writer, m member) (int64, error) {
	if _, err := w.Write(m.header); err != nil {
		return 0, fmt.Errorf("write tar header: %w", err)
	}
	size := int64(len(m.header))
	if m.body == nil {
		return size, nil
	}
	n, err := m.body.WriteTo(w)
	if err != nil {
		return size, fmt.Errorf("write tar content: %w", err)
	}
	if n != m.body.Size() {
		return size, fmt.Errorf("write tar content: %d octets of %d: %w", n, m.body.Size(), io.ErrUnexpectedEOF)
	}
	padding := tarPadding(n)
	if _, err := w.Write(make([]byte, padding)); err != nil {
		return size, fmt.Errorf("write tar padding: %w", err)
	}
	return size + n + padding, nil
}

// endFrame closes the open frame and waits for the result.
func (l *lane) endFrame() laneResult {
	l.jobs <- member{}
	l.size = 0
	return <-l.done
}

// stop ends the lane's goroutine; an open frame is dropped.
func (l *lane) stop() {
	close(l.jobs)
	for range l.done { // drained until the lane has ended
	}
}
