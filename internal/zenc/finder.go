package zenc

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	longBits  = 17
	shortBits = 16
	lineBits  = 20

	// minLine is the shortest match that is worth an offset of any length.
	minLine = 28
	// lineKey is how many octets at the start of a line are hashed.
	lineKey = 24
	// searchLog: after so many octets (as a power of two) without a match, the search goes in larger steps.
	searchLog = 5
	// nearOffset is the largest offset for which a match of 4 octets is worth its sequence.
	nearOffset = 1 << 14
)

// finder finds what has occurred before. Near matches of 5 octets or more are found as by zstd's
// level 3, by hashes of the next 5 and the next 8 octets. Far ones are found by lines: whatever occurs
// again in mail (attachments, quoted text, headers) begins with a line, and there are few enough of them to
// remember each in the window.
type finder struct {
	long    [1 << longBits]uint32  // position by hash of 8 octets
	short   [1 << shortBits]uint32 // position by hash of 5 octets
	lines   [1 << lineBits]line    // by hash of a line's first octets
	repeats repeats                // the last offsets
	far     []match
	seqs    []sequence
}

// line is where a line begins. tag, more of its hash, spares looking there in vain, which would cost a cache miss.
type line struct{ pos, tag uint32 }

// match is a match in the buffer.
type match struct{ start, end, offset int }

func (f *finder) reset() {
	clear(f.long[:])
	clear(f.short[:])
	clear(f.lines[:])
	f.repeats = repeats{1, 4, 8}
}

// find takes the block buf[start:] apart: sequences, and literals, which are appended to lits. base is the position of buf[0].
func (f *finder) find(buf []byte, start int, base uint32, window int, lits []byte) ([]sequence, []byte) {
	s := search{finder: f, buf: buf, base: base, window: window, lits: lits, anchor: start}
	f.seqs, f.far = f.seqs[:0], f.far[:0]
	s.findLines(start)
	at := start
	for _, m := range f.far {
		s.findNear(at, m.start)
		s.emit(m.start, m.end-m.start, m.offset)
		at = m.end
	}
	s.findNear(at, len(buf))
	return f.seqs, append(s.lits, buf[s.anchor:]...)
}

// search is one block being taken apart.
type search struct {
	*finder
	buf    []byte
	base   uint32
	window int
	lits   []byte
	anchor int // end of the last sequence
}

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// Multipliers of hashes: large odd numbers with bits that are as good as random.
const (
	prime5 = 889523592379
	prime8 = 0xCF1BBCDCB7A56463
	primeA = 0x9E3779B185EBCA87
	primeB = 0xC2B2AE3D27D4EB4F
)

func hash8(v uint64) uint32 { return uint32(v * prime8 >> (64 - longBits)) }
func hash5(v uint64) uint32 { return uint32(v << 24 * prime5 >> (64 - shortBits)) }

// hashLine is a hash of the lineKey octets at i: a slot in the table, and a tag.
func hashLine(b []byte, i int) (slot, tag uint32) {
	b = b[i : i+lineKey]
	v := binary.LittleEndian.Uint64(b)*primeA ^ bits.RotateLeft64(binary.LittleEndian.Uint64(b[8:])*primeB, 29)
	v = (v ^ v>>31 + binary.LittleEndian.Uint64(b[16:])) * prime8
	v ^= v >> 29
	return uint32(v >> (64 - lineBits)), uint32(v)
}

// findLines looks every line of the block up, and remembers it.
func (s *search) findLines(start int) {
	buf, last := s.buf, len(s.buf)-lineKey
	done := start // end of the last match
	for at := start; at <= last; {
		hash, tag := hashLine(buf, at)
		slot := &s.lines[hash]
		from, same := int(slot.pos)-int(s.base), slot.tag == tag
		*slot = line{pos: s.base + uint32(at), tag: tag}
		if at >= done && same && from >= 0 && at-from <= s.window {
			if m, ok := s.extend(from, at, done); ok {
				s.far = append(s.far, m)
				done = m.end
			}
		}
		i := bytes.IndexByte(buf[at:], '\n')
		if i < 0 {
			return
		}
		at += i + 1
	}
}

// extend makes a match of two equal places as long as it gets, back to floor at most.
func (s *search) extend(from, at, floor int) (match, bool) {
	n := common(s.buf, from, at, len(s.buf))
	back := 0
	for at-back > floor && from-back > 0 && s.buf[at-back-1] == s.buf[from-back-1] {
		back++
	}
	return match{start: at - back, end: at + n, offset: at - from}, n+back >= minLine
}

// common is how many octets are equal from a and from b, which is greater, up to end.
func common(buf []byte, a, b, end int) int {
	from := b
	for b+8 <= end {
		if x := load64(buf, a) ^ load64(buf, b); x != 0 {
			return b - from + bits.TrailingZeros64(x)>>3
		}
		a, b = a+8, b+8
	}
	for b < end && buf[a] == buf[b] {
		a, b = a+1, b+1
	}
	return b - from
}

// findNear looks for matches in buf[at:end], which must not go beyond end.
func (s *search) findNear(at, end int) {
	buf := s.buf
	limit := min(end, len(buf)-9) // up to 9 octets are read from a place
	low := max(0, end-s.window)   // for the furthest place: an offset beyond the window is an error to decoders
	for at < limit {
		if rep := at + 1 - int(s.repeats[0]); rep >= low && load32(buf, rep) == load32(buf, at+1) {
			if n := common(buf, rep+4, at+5, end) + 4; at+1+n <= end {
				s.note(at)
				s.emit(at+1, n, int(s.repeats[0]))
				at = s.remember(at+1, n)
				continue
			}
		}
		m, ok := s.near(at, low, end)
		if !ok {
			at += 1 + (at-s.anchor)>>searchLog
			continue
		}
		for m.start > s.anchor && m.start-m.offset > low && buf[m.start-1] == buf[m.start-m.offset-1] {
			m.start--
		}
		s.emit(m.start, m.end-m.start, m.offset)
		at = s.remember(m.start, m.end-m.start)
	}
}

// near looks for a match at a place, or one octet later if that is longer.
func (s *search) near(at, low, end int) (match, bool) {
	buf := s.buf
	v := load64(buf, at)
	pos := s.base + uint32(at)
	long, short := &s.long[hash8(v)], &s.short[hash5(v)]
	atLong, atShort := int(*long)-int(s.base), int(*short)-int(s.base)
	*long, *short = pos, pos
	m := match{start: at}
	switch {
	case atLong >= low && atLong < at && load64(buf, atLong) == v:
		m.offset, m.end = at-atLong, at+8+common(buf, atLong+8, at+8, end)
	case atShort >= low && atShort < at && load32(buf, atShort) == uint32(v):
		m.offset, m.end = at-atShort, at+4+common(buf, atShort+4, at+4, end)
		w := load64(buf, at+1)
		slot := &s.long[hash8(w)]
		next := int(*slot) - int(s.base)
		*slot = pos + 1
		if next >= low && next <= at && load64(buf, next) == w {
			if to := at + 9 + common(buf, next+8, at+9, end); to > m.end+1 {
				m = match{start: at + 1, end: to, offset: at + 1 - next}
			}
		}
	default:
		return m, false
	}
	n := m.end - m.start
	return m, m.end <= end && (n > 4 || m.offset <= nearOffset)
}

// note puts a place into the tables.
func (s *search) note(at int) {
	v := load64(s.buf, at)
	pos := s.base + uint32(at)
	s.long[hash8(v)], s.short[hash5(v)] = pos, pos
}

// remember puts a few places of a match into the tables, and returns where it ends.
func (s *search) remember(at, n int) int {
	end := at + n
	if end+8 > len(s.buf) {
		return end
	}
	s.note(at + 2)
	s.note(end - 2)
	return end
}

// emit adds a sequence: what lies between the last one and at are literals.
func (s *search) emit(at, n, offset int) {
	literals := at - s.anchor
	s.lits = append(s.lits, s.buf[s.anchor:at]...)
	s.seqs = append(s.seqs, sequence{
		literals: uint32(literals), match: uint32(n),
		offset: s.repeat(uint32(offset), literals == 0),
	})
	s.anchor = at + n
}

// repeat is the Offset_Value of an offset, and brings the repeats up to date (RFC 8878, section 3.1.1.5).
func (f *finder) repeat(offset uint32, noLiterals bool) uint32 {
	r := &f.repeats
	which := -1
	for i, have := range r {
		if have == offset {
			which = i
			break
		}
	}
	if noLiterals {
		// The newest one cannot be meant then, and the values stand for the others.
		switch {
		case which > 0:
			r.use(which)
			return uint32(which)
		case offset == r[0]-1 && offset > 0:
			*r = repeats{offset, r[0], r[1]}
			return 3
		}
	} else if which >= 0 {
		r.use(which)
		return uint32(which) + 1
	}
	*r = repeats{offset, r[0], r[1]}
	return offset + 3
}

// repeats are the last three offsets, newest first.
type repeats [3]uint32

// use makes offset i the newest.
func (r *repeats) use(i int) {
	offset := r[i]
	copy(r[1:i+1], r[:i])
	r[0] = offset
}
