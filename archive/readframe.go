package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// errBroken says that there are octets, but no whole frame of the kind that is due. It and errTorn
// are about what is written there; any other error of the functions here is one of reading, and says nothing about that.
var errBroken = errors.New("no whole frame")

// errLimit says that a frame is there, but beyond the limits of the format. No crash leaves such a frame: whoever meets it
// must not take it for a torn one.
var errLimit = errors.New("beyond the limits of the format")

// broken makes an error errBroken.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errBroken, fmt.Errorf(format, args...))
}

// isContent tells an error about what is written from one of reading it.
func isContent(err error) bool {
	return errors.Is(err, errBroken) || errors.Is(err, errTorn) || errors.Is(err, io.EOF)
}

// watched remembers an error of reading that a decoder may pass on as one of its own.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// reason is the error of reading if there was one, else errBroken.
func (w *watched) reason(err error) error {
	if w.err != nil {
		return fmt.Errorf("read: %w", w.err)
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("%w: %w", errLimit, err)
	}
	return broken("decompress: %w", err)
}

// tell returns the error of reading if there was one, else what it is given as damage.
func (w *watched) tell(found error) (damage, err error) {
	if w.err != nil {
		return nil, fmt.Errorf("read: %w", w.err)
	}
	return found, nil
}

// interruptible ends a long read when its context ends.
type interruptible struct {
	ctx context.Context //nolint:containedctx // lives as long as one read
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

func newRecordDecoder() (*zstd.Decoder, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(catalogWindow))
	if err != nil {
		return nil, fmt.Errorf("start decompression: %w", err)
	}
	return dec, nil
}

// readCommit reads the catalog frame at offset, whole. io.EOF: there is none.
func readCommit(r io.ReaderAt, dec *zstd.Decoder, offset, size int64) (rawFrame, []byte, error) {
	return readCommitInto(nil, r, dec, offset, size)
}

// readCommitInto is readCommit with memory to be used again, if it is enough.
func readCommitInto(buf []byte, r io.ReaderAt, dec *zstd.Decoder, offset, size int64) (rawFrame, []byte, error) {
	f, err := scanFrame(r, offset, size)
	if err != nil {
		return f, nil, err
	}
	if f.kind != kindData {
		return f, nil, broken("kind %d", f.kind)
	}
	if f.length > maxCatalogPacked {
		return f, nil, fmt.Errorf("%w: %d octets", errLimit, f.length)
	}
	// As a stream, so that memory grows with what is there and not with what the frame's header announces.
	in := &watched{r: io.NewSectionReader(r, offset, f.length)}
	if err := dec.Reset(in); err != nil {
		return f, nil, in.reason(err)
	}
	plain, err := readAllInto(buf, io.LimitReader(dec, maxCatalogFrame+1))
	if err != nil {
		return f, nil, in.reason(err)
	}
	if len(plain) > maxCatalogFrame {
		return f, nil, fmt.Errorf("%w: more than %d octets", errLimit, int64(maxCatalogFrame))
	}
	return f, plain, nil
}

// readAllInto is io.ReadAll with memory to be used again.
func readAllInto(buf []byte, r io.Reader) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(len(buf), 64<<10))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// peekCommit reads no more than the first record of the catalog frame at offset.
func peekCommit(r io.ReaderAt, dec *zstd.Decoder, offset, size int64) (rawFrame, *record, error) {
	f, err := scanFrame(r, offset, size)
	if err != nil {
		return f, nil, err
	}
	if f.kind != kindData {
		return f, nil, broken("kind %d", f.kind)
	}
	in := &watched{r: io.NewSectionReader(r, offset, f.length)}
	if err := dec.Reset(in); err != nil {
		return f, nil, in.reason(err)
	}
	head := make([]byte, maxCommitRecord)
	n, err := io.ReadFull(dec, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return f, nil, in.reason(err)
	}
	first, err := firstRecord(head[:n])
	if err != nil {
		return f, nil, broken("%w", err)
	}
	return f, first, nil
}

// firstRecord is the commit record that begins a catalog frame.
func firstRecord(plain []byte) (*record, error) {
	line, _, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok || len(line) > maxCommitRecord {
		return nil, errors.New("no record")
	}
	r, err := parseRecord(line)
	if err != nil {
		return nil, err
	}
	if r.T != recCommit {
		return nil, fmt.Errorf("%s record where commit is due", r.T)
	}
	return r, nil
}

// findCommit looks, at offset or later, for a catalog frame of this archive with a commit after the
// one given, and returns its first record and where it begins; -1 if there is none. Only this archive's id
// counts: any octets may stand in a mail.
func (c *Catalog) findCommit(r io.ReaderAt, offset, size int64) (int64, *record, error) {
	dec, err := newRecordDecoder()
	if err != nil {
		return -1, nil, err
	}
	defer dec.Close()
	magic := binary.LittleEndian.AppendUint32(nil, zstdMagic)
	chunk := make([]byte, 1<<20)
	for offset < size {
		n, err := r.ReadAt(chunk[:min(int64(len(chunk)), size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return -1, nil, fmt.Errorf("read: %w", err)
		}
		if n < len(magic) {
			break
		}
		for at := 0; ; at++ {
			i := bytes.Index(chunk[at:n], magic)
			if i < 0 {
				break
			}
			at += i
			_, first, err := peekCommit(r, dec, offset+int64(at), size)
			if err != nil && !isContent(err) && !errors.Is(err, errLimit) { // any octets may stand in a mail
				return -1, nil, err
			}
			if err == nil && first.Archive == c.info.ID && first.N > c.commits {
				return offset + int64(at), first, nil
			}
		}
		offset += int64(n - len(magic) + 1)
	}
	return -1, nil, nil
}
