package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// replay reads the catalog and returns what it says and where its last whole commit ends. What
// follows that is the torn tail of a commit that never was. A *DamageError means that something is wrong before the
// last commit, where no crash can have left it.
func replay(r io.ReaderAt, size int64, info Info) (Catalog, int64, error) {
	c := newCatalog(info)
	dec, err := newRecordDecoder()
	if err != nil {
		return c, 0, err
	}
	defer dec.Close()
	var offset int64
	for {
		f, records, err := readCommit(r, dec, offset, size)
		if errors.Is(err, io.EOF) {
			return c, offset, nil
		}
		if err != nil {
			if later := findCommit(r, dec, offset+1, size); later >= 0 {
				reason := fmt.Sprintf("%v, but a commit follows at %d", err, later)
				return c, offset, &DamageError{File: catalogFile, Offset: offset, Reason: reason}
			}
			return c, offset, nil
		}
		if err := c.applyCommit(records, f.length); err != nil {
			return c, offset, &DamageError{File: catalogFile, Offset: offset, Reason: err.Error()}
		}
		offset += f.length
	}
}

// applyCommit applies the records of one commit, whose frame in the catalog has the given length.
func (c *Catalog) applyCommit(plain []byte, packed int64) error {
	var commit *record
	for len(plain) > 0 {
		line, rest, ok := bytes.Cut(plain, []byte{'\n'})
		if !ok || len(line) > maxRecord {
			return fmt.Errorf("a record does not end, or is longer than %d", maxRecord)
		}
		plain = rest
		r, err := parseRecord(line)
		if err != nil {
			return err
		}
		switch {
		case commit == nil && (r.T != recCommit || r.N != c.commits+1):
			return fmt.Errorf("%s %d where commit %d is next", r.T, r.N, c.commits+1)
		case commit == nil && r.Archive != c.info.ID:
			return fmt.Errorf("commit %d is of archive %.64q", r.N, r.Archive)
		case commit == nil:
			commit = r
		case r.T == recCommit:
			return errors.New("two commits in one frame")
		}
		if err := c.apply(r); err != nil {
			return err
		}
	}
	if commit == nil {
		return errors.New("a frame without records")
	}
	if commit.Segment > maxSegment || int(commit.Segment) > len(c.segments) {
		return fmt.Errorf("commit %d is in segment %d, which is unknown", commit.N, commit.Segment)
	}
	c.endCommit(commit, packed)
	return nil
}

func newRecordDecoder() (*zstd.Decoder, error) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(catalogWindow))
	if err != nil {
		return nil, fmt.Errorf("start decompression: %w", err)
	}
	return dec, nil
}

// readCommit reads the catalog frame at offset. io.EOF: there is none.
func readCommit(r io.ReaderAt, dec *zstd.Decoder, offset, size int64) (rawFrame, []byte, error) {
	f, err := scanFrame(r, offset, size)
	if err != nil {
		return f, nil, err
	}
	if f.kind != kindData || f.length > maxCatalogPacked {
		return f, nil, fmt.Errorf("no catalog frame: %d octets of kind %d", f.length, f.kind)
	}
	// As a stream, so that memory grows with what is there and not with what the frame's header announces.
	if err := dec.Reset(io.NewSectionReader(r, offset, f.length)); err != nil {
		return f, nil, fmt.Errorf("decompress: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(dec, maxCatalogFrame+1))
	if err != nil {
		return f, nil, fmt.Errorf("decompress: %w", err)
	}
	if len(plain) > maxCatalogFrame {
		return f, nil, fmt.Errorf("decompress: more than %d octets", maxCatalogFrame)
	}
	return f, plain, nil
}

// findCommit looks for a whole catalog frame at offset or later and returns where it begins, or -1.
func findCommit(r io.ReaderAt, dec *zstd.Decoder, offset, size int64) int64 {
	magic := binary.LittleEndian.AppendUint32(nil, zstdMagic)
	chunk := make([]byte, 1<<20)
	for offset < size {
		n, err := r.ReadAt(chunk[:min(int64(len(chunk)), size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return -1
		}
		if n < len(magic) {
			return -1
		}
		for at := 0; ; at++ {
			i := bytes.Index(chunk[at:n], magic)
			if i < 0 {
				break
			}
			at += i
			_, plain, err := readCommit(r, dec, offset+int64(at), size)
			if err == nil && bytes.HasPrefix(plain, []byte(`{"t":"commit"`)) {
				return offset + int64(at)
			}
		}
		offset += int64(n - len(magic) + 1)
	}
	return -1
}
