package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"mailark/internal/durable"
)

// overwrite makes everything that is put aside a frame that decoders pass over, once its octets are kept.
func (p *repairer) overwrite(ctx context.Context) error {
	for _, s := range p.w.segments {
		if len(s.asides) == 0 {
			continue
		}
		f, err := p.openSegment(s.number)
		if err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		for _, part := range s.asides {
			ok, aheadErr := isAside(f, part)
			if err = errors.Join(ctx.Err(), aheadErr); err == nil && !ok {
				err = p.overwritePart(s.number, f, part)
			} else if err == nil {
				err = f.Sync() // whoever wrote it may have been killed before
			}
			if err != nil {
				break
			}
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("put aside in %s: %w", segmentName(s.number), err)
		}
	}
	return nil
}

func (p *repairer) overwritePart(n uint32, f *durable.File, part span) error {
	if part.length < skippableHeader {
		return &DamageError{File: segmentName(n), Offset: part.offset, Reason: fmt.Sprintf("%d octets are too few for a frame", part.length)}
	}
	if err := p.save(n, f, part); err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, asideMagic)
	head = binary.LittleEndian.AppendUint32(head, uint32(part.length-skippableHeader)) //nolint:gosec // bounded by maxSkippable
	p.v.hurtSegment(p.w.segments[n-1])
	return p.write(f, head, part.offset)
}

func (p *repairer) write(f *durable.File, octets []byte, offset int64) error {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	if _, err := f.Write(octets); err != nil {
		return err
	}
	return f.Sync()
}

// save keeps damaged octets, which somebody may know how to read. Zeros, which stand for what is missing, are not kept.
func (p *repairer) save(n uint32, f io.ReaderAt, part span) error {
	if zero, err := allZero(io.NewSectionReader(f, part.offset, part.length)); err != nil || zero {
		return err
	}
	dir := filepath.Join(p.dir, damagedDir)
	sum, err := sumSection(f, part.offset, part.length)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%06d-%d.zst", n, part.offset))
	for i := 2; ; i++ {
		kept, err := sumFile(path)
		if err == nil && kept == sum {
			return nil // by a repair that was interrupted
		}
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		path = filepath.Join(dir, fmt.Sprintf("%06d-%d.%d.zst", n, part.offset, i)) // other octets, of an earlier repair
	}
	if err := p.opts.FS.Mkdir(dir); err != nil {
		return err
	}
	return p.opts.FS.WriteFileFrom(path, func(w io.Writer) error {
		from := io.NewSectionReader(f, part.offset, part.length)
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{from}, make([]byte, laneBuffer))
		return err
	})
}

func allZero(r io.Reader) (bool, error) {
	buf := make([]byte, laneBuffer)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read segment: %w", err)
		}
	}
}
