package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"mailark/internal/durable"
)

// copies writes damaged copies of records again, from the catalog.
func (p *repairer) copies(ctx context.Context) error {
	for _, c := range p.v.hurtCopies {
		if err := errors.Join(ctx.Err(), p.copyAgain(c)); err != nil {
			return fmt.Errorf("write the copy of records at %d of %s: %w", c.offset, segmentName(c.segment), err)
		}
		p.result.Copies++
		p.v.hurtSegment(p.w.segments[c.segment-1])
	}
	return nil
}

func (p *repairer) copyAgain(c hurtCopy) error {
	packed := make([]byte, c.length)
	if _, err := p.w.log.ReadAt(packed, c.catalogOffset); err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	f, err := p.openSegment(c.segment)
	if err != nil {
		return err
	}
	return errors.Join(p.write(f, skippableFrame(recordMagic, packed), c.offset), f.Close())
}

// seals ends every segment anew that is sealed, or should be, and is not what its seal says.
func (p *repairer) seals(ctx context.Context) error {
	for _, s := range p.w.segments {
		should := s.sealed || s != p.w.seg && int(s.number) < len(p.w.segments)
		if !should || !p.v.hurtSegments[s.number] && !s.changed {
			continue
		}
		if err := errors.Join(ctx.Err(), p.sealAgain(s)); err != nil {
			return fmt.Errorf("seal %s anew: %w", segmentName(s.number), err)
		}
	}
	return nil
}

func (p *repairer) sealAgain(s *segmentInfo) (err error) {
	f, err := p.openSegment(s.number)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := p.endAgain(s, f); err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	seal, err := sealRecord(s.number, f, size)
	if err != nil {
		return err
	}
	if s.sealed && seal.SHA256 == s.sum.String() && size == s.length {
		return nil // it is what it was
	}
	if s.sealed && !s.changed {
		if err := p.w.note(&record{T: recAside, Segment: s.number, Offset: s.end}); err != nil {
			return err
		}
	}
	if err := errors.Join(p.w.openSegment(), p.w.note(seal), p.w.Commit()); err != nil {
		return err
	}
	s.sealedBy = p.w.commits
	p.result.Seals++
	return nil
}

// endAgain writes the end of the tar, if it is damaged, and the seek table, if it says anything else than it should.
func (p *repairer) endAgain(s *segmentInfo, f *durable.File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	tail, err := p.endFrame(s, f, size)
	if err != nil {
		return err
	}
	entries := append(s.entries(nil), seekEntry{length: uint32(len(tail)), plain: endLength}) //nolint:gosec // tiny
	tail = append(tail, seekTable(entries)...)
	now := make([]byte, len(tail))
	if _, err := f.ReadAt(now, s.end); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.Equal(now, tail) && size == s.end+int64(len(tail)) {
		return nil
	}
	if err := p.save(s.number, f, span{s.end, size - s.end}); err != nil {
		return err
	}
	if size > s.end+int64(len(tail)) {
		if err := f.Truncate(s.end + int64(len(tail))); err != nil {
			return err
		}
	}
	return p.write(f, tail, s.end)
}

// endFrame is the frame that ends the tar: the one that is there, if it is whole.
func (p *repairer) endFrame(s *segmentInfo, f *durable.File, size int64) ([]byte, error) {
	fr, err := scanFrame(f, s.end, size)
	if err != nil && !isContent(err) {
		return nil, err
	}
	if err == nil && fr.kind == kindData {
		whole, err := isEndFrame(f, fr)
		if err != nil {
			return nil, err
		}
		if whole {
			octets := make([]byte, fr.length)
			_, err := f.ReadAt(octets, s.end)
			return octets, err
		}
	}
	return p.w.packRecords(endOfArchive())
}
