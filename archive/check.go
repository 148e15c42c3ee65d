package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// firstRecord is the commit record that begins a catalog frame.
func firstRecord(plain []byte) (*record, error) {
	line, _, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok || len(line) > maxRecord {
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

// checkCommit compares the frames of a commit that is not in the catalog yet with its records. It returns
// what does not fit, or "".
func (w *Writer) checkCommit(plain []byte, frames []rawFrame, dec *zstd.Decoder) string {
	byFrame := make(map[int64][]*Message)
	var listed []frameInfo
	for line := range bytes.Lines(plain) {
		r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			return err.Error()
		}
		switch {
		case r.T == recFrame:
			listed = append(listed, frameInfo{offset: r.Offset, length: r.Length, plain: r.Plain})
		case r.T == recMessage && !r.Link && r.File == nil:
			sum, err := ParseSum(r.SHA256)
			if err != nil || len(r.At) != 3 {
				return fmt.Sprintf("message record of UID %d is malformed", r.UID)
			}
			byFrame[r.At[1]] = append(byFrame[r.At[1]], &Message{
				Key: Key{UID: r.UID}, Sum: sum, Size: r.Size, Place: Place{Frame: r.At[1], Pos: r.At[2]},
			})
		}
	}
	if len(listed) != len(frames) {
		return fmt.Sprintf("%d frames where the records list %d", len(frames), len(listed))
	}
	for i, f := range frames {
		if listed[i].offset != f.offset || listed[i].length != f.length {
			return fmt.Sprintf("a frame at %d where the records say %d", f.offset, listed[i].offset)
		}
		if err := checkFrame(w.segFile, dec, f, byFrame[f.offset], nil); err != nil {
			return err.Error()
		}
	}
	return ""
}

// checkFrame decompresses a frame and compares the SHA-256 of each message in it. The messages are
// sorted by place. damaged, which may be nil, is called for each message whose octets are not what they were; without it,
// the first one ends the check. The error says what is wrong with the frame as a whole, or with a message.
func checkFrame(r io.ReaderAt, dec *zstd.Decoder, f rawFrame, msgs []*Message, damaged func(*Message, error)) error {
	slices.SortFunc(msgs, func(a, b *Message) int { return cmp.Compare(a.Place.Pos, b.Place.Pos) })
	if err := dec.Reset(io.NewSectionReader(r, f.offset, f.length)); err != nil {
		return fmt.Errorf("decompress frame: %w", err)
	}
	var pos int64
	var broken error
	for _, m := range msgs {
		if broken == nil {
			var err error
			if pos, err = checkMessage(dec, m, pos); err == nil {
				continue
			}
			if !errors.Is(err, errWrongSum) {
				broken = err
			}
		}
		err := cmp.Or(broken, errWrongSum)
		if damaged == nil {
			return fmt.Errorf("UID %d: %w", m.UID, err)
		}
		damaged(m, err)
	}
	if broken != nil {
		return broken
	}
	// The frame's own checksum is compared when its last octet has been read.
	if _, err := io.Copy(io.Discard, dec); err != nil {
		return fmt.Errorf("decompress frame: %w", err)
	}
	return nil
}

var (
	errWrongSum = errors.New("the SHA-256 of its octets is another one")
	errOverlap  = errors.New("it overlaps the message before it")
)

// checkMessage reads the frame up to the end of m and returns that position. Any error but errWrongSum
// means that the frame cannot be read on.
func checkMessage(r io.Reader, m *Message, pos int64) (int64, error) {
	if m.Place.Pos < pos {
		return pos, errOverlap
	}
	if _, err := io.CopyN(io.Discard, r, m.Place.Pos-pos); err != nil {
		return pos, fmt.Errorf("decompress frame: %w", noEOF(err))
	}
	h := sha256.New()
	if _, err := io.CopyN(h, r, m.Size); err != nil {
		return pos, fmt.Errorf("decompress frame: %w", noEOF(err))
	}
	if Sum(h.Sum(nil)) != m.Sum {
		return m.Place.Pos + m.Size, errWrongSum
	}
	return m.Place.Pos + m.Size, nil
}

// noEOF makes an end of file that comes too soon an error that says so.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
