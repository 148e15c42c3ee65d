package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// salvage is what a search through segments and catalog has brought to light.
type salvage struct {
	b       *rebuilder
	whole   bool // the old catalog is not damaged: what it does not know at the end is no loss
	dec     *zstd.Decoder
	files   []uint32
	sizes   map[uint32]int64
	commits map[uint64]source
	numbers []uint64 // of the commits, ascending
	foreign string   // an archive's id that is not ours
	claimed map[uint32][]span
	units   []unit
	hints   hints
	treed   bool  // the hints that only the tar has are read
	dropped int64 // octets at the end of an open segment that may have been a commit
}

// source is where a commit's frame of the catalog lies.
type source struct {
	segment        uint32 // of the copy; 0: in the old catalog
	offset, length int64
	begin          Place // where the commit begins in the segments; zero if nothing says so
	copied         bool  // it has a copy in a segment, or had one
}

// unit is something in a segment that no known commit accounts for.
type unit struct {
	kind unitKind
	torn bool // of a seal: the segment does not end as a sealed one should
	rawFrame
	segment uint32
}

type unitKind int

const (
	unitFrame unitKind = iota // mail
	unitJunk                  // nothing of use
	unitSeal                  // the end of a sealed segment
)

func (u *unit) place() Place { return Place{Segment: u.segment, Frame: u.offset} }

func newSalvage(b *rebuilder, whole bool) *salvage {
	return &salvage{
		b: b, whole: whole, sizes: make(map[uint32]int64), commits: make(map[uint64]source),
		claimed: make(map[uint32][]span), hints: newHints(),
	}
}

// search finds every commit there is, and then what else the segments hold.
func (s *salvage) search(ctx context.Context) error {
	var err error
	if s.dec, err = newRecordDecoder(); err != nil {
		return err
	}
	defer s.dec.Close()
	if s.files, err = segmentFiles(s.b.dir); err != nil {
		return err
	}
	var total, done int64
	for _, n := range s.files {
		info, err := os.Stat(filepath.Join(s.b.dir, segmentName(n)))
		if err != nil {
			return fmt.Errorf("look at segments: %w", err)
		}
		s.sizes[n] = info.Size()
		total += info.Size()
	}
	for _, n := range s.files {
		if err := s.searchSegment(ctx, n); err != nil {
			return err
		}
		done += s.sizes[n]
		if s.b.rebuild.Progress != nil {
			s.b.rebuild.Progress(done, total)
		}
	}
	if err := s.searchCatalog(ctx); err != nil {
		return err
	}
	for n := range s.commits {
		s.numbers = append(s.numbers, n)
	}
	slices.Sort(s.numbers)
	if err := s.readClaims(ctx); err != nil {
		return err
	}
	for i, n := range s.files {
		if err := s.searchGaps(ctx, n, i == len(s.files)-1); err != nil {
			return err
		}
	}
	return nil
}

// searchMagic calls found wherever four octets stand in a file, from offset on; found says where to go on.
func searchMagic(ctx context.Context, r io.ReaderAt, magic uint32, offset, size int64, found func(at int64) (next int64, err error)) error {
	octets := binary.LittleEndian.AppendUint32(nil, magic)
	chunk := make([]byte, 1<<20)
	for offset < size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(chunk[:min(int64(len(chunk)), size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read: %w", err)
		}
		if n < len(octets) {
			return nil
		}
		next := offset + int64(n-len(octets)+1)
		for at := 0; ; {
			i := bytes.Index(chunk[at:n], octets)
			if i < 0 {
				break
			}
			at += i
			to, err := found(offset + int64(at))
			if err != nil {
				return err
			}
			if to >= next {
				next = to
				break
			}
			at = max(at+1, int(to-offset))
		}
		offset = next
	}
	return nil
}

// ours says whether a commit is of this archive. Where archive.json is lost, the first commit found says which one that is.
func (s *salvage) ours(first *record) bool {
	if s.b.info.ID == "" {
		s.b.info.ID = first.Archive
	}
	if first.Archive != s.b.info.ID {
		s.foreign = first.Archive
		return false
	}
	return first.N > 0
}

// searchSegment finds the copies of records. A copy says where it lies, so whatever surrounds it need not be whole.
func (s *salvage) searchSegment(ctx context.Context, n uint32) error {
	f, err := openFile(s.b.dir, segmentName(n))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	size := s.sizes[n]
	return searchMagic(ctx, f, recordMagic, 0, size, func(at int64) (int64, error) {
		fr, err := scanFrame(f, at, size)
		if err != nil || fr.length <= skippableHeader {
			return at + 1, unlessContent(err)
		}
		inner, plain, err := readCommit(f, s.dec, at+skippableHeader, at+fr.length)
		if err != nil || inner.length != fr.length-skippableHeader {
			return at + 1, unlessContent(err)
		}
		first, err := firstRecord(plain)
		if err != nil || !s.ours(first) || first.Segment != n || first.Offset != at {
			return at + 1, nil //nolint:nilerr // then it is no commit
		}
		if _, known := s.commits[first.N]; !known {
			s.commits[first.N] = source{segment: n, offset: inner.offset, length: inner.length, begin: Place{Segment: n, Frame: at}}
		}
		return at + fr.length, nil
	})
}

// unlessContent passes on errors of reading only.
func unlessContent(err error) error {
	if err == nil || isContent(err) || errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// searchCatalog finds the whole frames of the old catalog, for the commits that no segment has a copy of.
func (s *salvage) searchCatalog(ctx context.Context) error {
	if !s.b.has(catalogFile) {
		return nil
	}
	f, err := openFile(s.b.dir, catalogFile)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	return searchMagic(ctx, f, zstdMagic, 0, stat.Size(), func(at int64) (int64, error) {
		fr, plain, err := readCommit(f, s.dec, at, stat.Size())
		if err != nil {
			return at + 1, unlessContent(err)
		}
		first, err := firstRecord(plain)
		if err != nil || !s.ours(first) {
			return at + 1, nil //nolint:nilerr // then it is no commit
		}
		if _, known := s.commits[first.N]; !known {
			s.commits[first.N] = source{offset: fr.offset, length: fr.length}
		}
		return at + fr.length, nil
	})
}

// read is a commit's frame of the catalog as it lies there, and decompressed.
func (s *salvage) read(src source) (packed, plain []byte, err error) {
	name := catalogFile
	if src.segment > 0 {
		name = segmentName(src.segment)
	}
	f, err := openFile(s.b.dir, name)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	packed = make([]byte, src.length)
	if _, err := f.ReadAt(packed, src.offset); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	_, plain, err = readCommit(bytes.NewReader(packed), s.dec, 0, src.length)
	return packed, plain, err
}

// readClaims notes which parts of the segments the commits account for, and what they say that earlier ones, if lost,
// must have said.
func (s *salvage) readClaims(ctx context.Context) error {
	for _, n := range s.numbers {
		if err := ctx.Err(); err != nil {
			return err
		}
		src := s.commits[n]
		_, plain, err := s.read(src)
		if err != nil {
			return err
		}
		if src.segment > 0 {
			s.claim(&src, src.segment, src.offset-skippableHeader, src.length+skippableHeader)
		}
		for line := range bytes.Lines(plain) {
			if !bytes.HasPrefix(line, []byte(`{"t":"message"`)) && !bytes.HasPrefix(line, []byte(`{"t":"flags"`)) {
				if r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'})); err == nil {
					s.note(&src, r)
				}
			}
		}
		s.commits[n] = src
	}
	for _, list := range s.claimed {
		slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.offset, b.offset) })
	}
	return nil
}

func (s *salvage) note(src *source, r *record) {
	switch r.T {
	case recCommit:
		src.copied = r.Segment > 0
		if src.segment == 0 && r.Segment > 0 { // its copy in the segment is damaged, and stays its place
			s.claim(src, r.Segment, r.Offset, src.length+skippableHeader)
		}
	case recFrame:
		s.claim(src, r.Segment, r.Offset, r.Length)
	case recAside:
		if r.Length > 0 {
			s.claim(nil, r.Segment, r.Offset, r.Length)
		}
	case recSeal:
		if src.copied { // a second seal; the first one has no copy
			s.hints.resealed[r.Segment] = true
			return
		}
		if src.begin == (Place{}) {
			src.begin = Place{Segment: r.Segment, Frame: math.MaxInt64}
		}
		s.hints.sealed[r.Segment] = true
	case recMailbox:
		if s.hints.mailboxes[r.ID] == nil {
			s.hints.mailboxes[r.ID] = r
		}
	}
}

func (s *salvage) claim(src *source, segment uint32, offset, length int64) {
	if offset < 0 || length < 0 || offset > math.MaxInt64-length {
		return
	}
	s.claimed[segment] = append(s.claimed[segment], span{offset, length})
	place := Place{Segment: segment, Frame: offset}
	if src != nil && (src.begin == (Place{}) || place.Compare(src.begin) < 0) {
		src.begin = place
	}
}

// searchGaps looks at what no commit accounts for in a segment.
func (s *salvage) searchGaps(ctx context.Context, n uint32, last bool) error {
	f, err := openFile(s.b.dir, segmentName(n))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	g := &gapSearch{salvage: s, ctx: ctx, segment: n, f: f, size: s.sizes[n], budget: 16*s.sizes[n] + 1<<30}
	var pos int64
	for _, c := range s.claimed[n] {
		if c.offset > pos && c.offset <= g.size {
			if err := g.search(pos, c.offset); err != nil {
				return err
			}
		}
		pos = max(pos, c.offset+c.length)
	}
	tail := len(s.units)
	if pos < g.size {
		if err := g.search(pos, g.size); err != nil {
			return err
		}
	}
	_, listed := s.b.sums[n]
	sealed := s.hints.sealed[n] || s.hints.resealed[n] || g.sealed || listed || !last
	switch {
	case !sealed && s.whole:
		s.units = s.units[:tail] // the rest of an unfinished commit
	case !g.sealed: // what ends a segment that is sealed, or the rest of an unfinished commit
		for len(s.units) > tail && s.units[len(s.units)-1].kind == unitJunk {
			if !sealed {
				s.dropped += s.units[len(s.units)-1].length
			}
			s.units = s.units[:len(s.units)-1]
		}
	}
	if sealed && !s.hints.sealed[n] {
		s.units = append(s.units, unit{kind: unitSeal, torn: !g.sealed, segment: n, rawFrame: rawFrame{offset: g.size}})
	}
	return nil
}

// gapSearch finds whole frames between octets that may be anything.
type gapSearch struct {
	*salvage
	ctx     context.Context //nolint:containedctx // lives as long as one search
	segment uint32
	f       *os.File
	size    int64
	budget  int64 // octets that may still be decompressed in vain
	sealed  bool
}

func (g *gapSearch) search(from, to int64) error {
	for from < to {
		u, ok, err := g.unitAt(from, to)
		if err != nil {
			return err
		}
		if ok && u.kind == unitSeal {
			g.sealed = true
			return nil
		}
		if !ok {
			if u, err = g.junk(from, to); err != nil {
				return err
			}
		}
		g.units = append(g.units, u)
		from = u.offset + u.length
	}
	return nil
}

// junk reaches from an offset to the next frame that can be made out.
func (g *gapSearch) junk(from, to int64) (unit, error) {
	end := to
	for _, magic := range []uint32{zstdMagic, recordMagic, asideMagic} {
		err := searchMagic(g.ctx, g.f, magic, from+1, end, func(at int64) (int64, error) {
			_, ok, err := g.unitAt(at, to)
			if ok {
				end = at
				return to, err
			}
			return at + 1, err
		})
		if err != nil {
			return unit{}, err
		}
	}
	return unit{kind: unitJunk, segment: g.segment, rawFrame: rawFrame{offset: from, length: end - from}}, nil
}

// unitAt is the unit that begins at an offset and ends before to.
func (g *gapSearch) unitAt(at, to int64) (unit, bool, error) {
	u := unit{segment: g.segment}
	fr, err := scanFrame(g.f, at, to)
	if err != nil {
		return u, false, unlessContent(err)
	}
	if g.budget <= 0 { // what was not looked at must not count as octets of no use
		return u, false, &DamageError{File: segmentName(g.segment), Offset: at, Reason: fmt.Sprintf(
			"too much there looks like mail and is not, in %d octets: the search was given up, and nothing was changed", g.size)}
	}
	u.rawFrame = fr
	if fr.kind != kindData {
		// What is damaged may say a wrong length, so something has to follow.
		u.kind = unitJunk
		_, err := scanFrame(g.f, at+fr.length, to)
		return u, err == nil || errors.Is(err, io.EOF), unlessContent(err)
	}
	if end, err := isEndFrame(g.f, fr); err != nil {
		return u, false, err
	} else if seek, err := scanFrame(g.f, at+fr.length, g.size); end && err == nil && seek.kind == kindSeek &&
		seek.offset+seek.length == g.size {
		u.kind = unitSeal
		return u, true, nil
	}
	m := &memberReader{archiveID: g.b.info.ID}
	err = m.read(g.ctx, g.f, fr, func(*tarMember) error { return nil })
	g.budget -= m.plain + fr.length
	if err == nil {
		g.budget += m.plain + fr.length
	}
	return u, err == nil && m.count > 0, unlessContent(err)
}
