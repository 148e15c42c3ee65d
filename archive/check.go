package archive

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// checkCommit compares the frames of a commit that is not in the catalog yet with its records. It returns
// what does not fit, or "". An error is one of reading.
func checkCommit(f io.ReaderAt, plain []byte, frames []rawFrame) (string, error) {
	for line := range bytes.Lines(plain) {
		r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			return err.Error(), nil
		}
		if r.T != recFrame {
			continue
		}
		if len(frames) == 0 || frames[0].offset != r.Offset || frames[0].length != r.Length {
			return fmt.Sprintf("no frame of %d octets at %d", r.Length, r.Offset), nil
		}
		if frames[0].kind == kindAside { // a later commit says so
			frames = frames[1:]
			continue
		}
		sum, err := sumSection(f, r.Offset, r.Length)
		if err != nil {
			return "", err
		}
		if sum.String() != r.SHA256 {
			return fmt.Sprintf("the SHA-256 of the frame at %d is another one", r.Offset), nil
		}
		frames = frames[1:]
	}
	if len(frames) > 0 {
		return fmt.Sprintf("a frame at %d that no record names", frames[0].offset), nil
	}
	return "", nil
}

// sumSection is the SHA-256 of a part of a file.
func sumSection(r io.ReaderAt, offset, length int64) (Sum, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, offset, length)); err != nil {
		return Sum{}, fmt.Errorf("read segment: %w", err)
	}
	return Sum(h.Sum(nil)), nil
}

// checkFrame decompresses a frame and compares the SHA-256 of each message in it. The messages are
// sorted by place. damaged is called for each message whose octets are not what they were. damage says
// what is wrong with the frame as a whole; err is one of reading, after which nothing is known of it.
func checkFrame(
	ctx context.Context, r io.ReaderAt, dec *zstd.Decoder, f frameInfo, msgs []*Message, damaged func(*Message, error),
) (damage, err error) {
	slices.SortFunc(msgs, func(a, b *Message) int { return cmp.Compare(a.Place.Pos, b.Place.Pos) })
	file := &watched{r: io.NewSectionReader(r, f.offset, f.length)}
	if err := dec.Reset(file); err != nil {
		return file.tell(fmt.Errorf("decompress frame: %w", err))
	}
	// One octet more than there should be, to notice it.
	in := io.LimitReader(interruptible{ctx, dec}, f.plain+1)
	var pos int64
	var broken error
	for _, m := range msgs {
		if broken == nil {
			var err error
			if pos, err = checkMessage(in, m, pos); err == nil {
				continue
			}
			if file.err != nil {
				return file.tell(nil)
			}
			if !errors.Is(err, errWrongSum) {
				broken = err
			}
		}
		damaged(m, cmp.Or(broken, errWrongSum))
	}
	if broken != nil {
		return broken, nil
	}
	rest, err := io.Copy(io.Discard, in)
	if err != nil {
		return file.tell(fmt.Errorf("decompress frame: %w", err))
	}
	if pos+rest != f.plain {
		return fmt.Errorf("it has %d octets or more, the catalog says %d", pos+rest, f.plain), nil
	}
	sum, err := sumSection(r, f.offset, f.length)
	if err != nil {
		return nil, err
	}
	if sum != f.sum {
		return errors.New("the SHA-256 of the frame is another one"), nil
	}
	return nil, nil
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
