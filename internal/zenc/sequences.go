package zenc

import "math/bits"

// sequence is a number of literals and a match behind them (RFC 8878, section 3.1.1.3.2).
type sequence struct {
	literals uint32
	match    uint32 // length of the match, 3 at least
	offset   uint32 // Offset_Value: 1 to 3 are repeats
}

const (
	maxLitCode   = 35
	maxMatchCode = 52
	maxOffCode   = 31
	litLog       = 9
	matchLog     = 9
	offLog       = 8
	// fewSequences is how many sequences, at most, use the predefined tables: a description of own ones would cost more than it saves.
	fewSequences = 40
)

// litCode is the Literals_Length_Code of n, with its extra bits (table in section 3.1.1.3.2.1.1).
func litCode(n uint32) (code, extra uint8) {
	switch {
	case n < 16:
		return uint8(n), 0
	case n < 24:
		return uint8(16 + (n-16)/2), 1
	case n < 32:
		return uint8(20 + (n-24)/4), 2
	case n < 48:
		return uint8(22 + (n-32)/8), 3
	case n < 64:
		return 24, 4
	}
	log := uint8(bits.Len32(n) - 1)
	return 19 + log, log
}

// matchCode is the Match_Length_Code of a match of n octets.
func matchCode(n uint32) (code, extra uint8) {
	m := n - 3
	switch {
	case m < 32:
		return uint8(m), 0
	case m < 40:
		return uint8(32 + (m-32)/2), 1
	case m < 48:
		return uint8(36 + (m-40)/4), 2
	case m < 64:
		return uint8(38 + (m-48)/8), 3
	case m < 96:
		return uint8(40 + (m-64)/16), 4
	case m < 128:
		return 42, 5
	}
	log := uint8(bits.Len32(m) - 1)
	return 36 + log, log
}

// coder writes the sequences section of blocks.
type coder struct {
	lit, match, off codeTable
	codes           []codes
}

// codes are those of one sequence.
type codes struct{ lit, match, off, litExtra, matchExtra uint8 }

// codeTable is what is needed to encode one of the three kinds of codes.
type codeTable struct {
	log        uint8 // most allowed
	predefined fseTable
	own        fseTable
	counts     [64]uint32
	norm       [64]int16
}

func newCoder() *coder {
	c := new(coder)
	c.lit.log, c.match.log, c.off.log = litLog, matchLog, offLog
	// RFC 8878, section 3.1.1.3.2.2.
	c.lit.predefined.build([]int16{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
		-1, -1, -1, -1}, 6)
	c.match.predefined.build([]int16{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}, 6)
	c.off.predefined.build([]int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}, 5)
	return c
}

// Compression modes of the codes of a block (section 3.1.1.3.2.1).
const (
	modePredefined = 0
	modeRLE        = 1
	modeFSE        = 2
)

// choose decides how to encode codes, of which counts has total with highest the greatest, and appends the description.
func (t *codeTable) choose(out []byte, total uint32, highest int) (*fseTable, byte, []byte) {
	distinct := 0
	for _, n := range t.counts[:highest+1] {
		if n > 0 {
			distinct++
		}
	}
	if distinct == 1 {
		return nil, modeRLE, append(out, byte(highest))
	}
	if total <= fewSequences && highest < t.predefined.symbols {
		return &t.predefined, modePredefined, out
	}
	log := uint8(min(int(t.log), max(minFSELog, bits.Len32(total)-2, bits.Len(uint(distinct))+1)))
	norm := t.norm[:highest+1]
	normalise(norm, t.counts[:highest+1], total, log)
	t.own.build(norm, log)
	return &t.own, modeFSE, appendNorm(out, norm, log)
}

// append writes the sequences section (section 3.1.1.3.2).
func (c *coder) append(out []byte, seqs []sequence) []byte {
	switch n := len(seqs); {
	case n < 128:
		out = append(out, byte(n))
	case n < 0x7F00:
		out = append(out, byte(n>>8+128), byte(n))
	default:
		out = append(out, 255, byte(n-0x7F00), byte((n-0x7F00)>>8))
	}
	if len(seqs) == 0 {
		return out
	}
	highLit, highMatch, highOff := c.count(seqs)
	modes := len(out)
	out = append(out, 0)
	total := uint32(len(seqs))
	lit, litMode, out := c.lit.choose(out, total, highLit)
	off, offMode, out := c.off.choose(out, total, highOff)
	match, matchMode, out := c.match.choose(out, total, highMatch)
	out[modes] = litMode<<6 | offMode<<4 | matchMode<<2
	w := bitWriter{out: out}
	c.write(&w, seqs, lit, match, off)
	w.add(1, 1)
	return w.flush()
}

// count fills in the codes and counts them. It returns the highest of each kind.
func (c *coder) count(seqs []sequence) (lit, match, off int) {
	clear(c.lit.counts[:])
	clear(c.match.counts[:])
	clear(c.off.counts[:])
	c.codes = c.codes[:0]
	for _, s := range seqs {
		var k codes
		k.lit, k.litExtra = litCode(s.literals)
		k.match, k.matchExtra = matchCode(s.match)
		k.off = uint8(bits.Len32(s.offset) - 1)
		c.lit.counts[k.lit&63]++
		c.match.counts[k.match&63]++
		c.off.counts[k.off&63]++
		lit, match, off = max(lit, int(k.lit)), max(match, int(k.match)), max(off, int(k.off))
		c.codes = append(c.codes, k)
	}
	return lit, match, off
}

// write encodes the sequences from the last to the first, because decoding reads the bits backwards.
func (c *coder) write(w *bitWriter, seqs []sequence, lit, match, off *fseTable) {
	last := len(seqs) - 1
	k := c.codes[last]
	var stLit, stMatch, stOff uint32
	if match != nil {
		stMatch = match.first(k.match)
	}
	if off != nil {
		stOff = off.first(k.off)
	}
	if lit != nil {
		stLit = lit.first(k.lit)
	}
	for i := last; ; {
		s := seqs[i]
		w.add(uint64(s.literals), k.litExtra)
		w.add(uint64(s.match-3), k.matchExtra)
		w.add(uint64(s.offset), k.off)
		if i--; i < 0 {
			break
		}
		k = c.codes[i]
		if off != nil {
			stOff = off.encode(w, stOff, k.off)
		}
		if match != nil {
			stMatch = match.encode(w, stMatch, k.match)
		}
		if lit != nil {
			stLit = lit.encode(w, stLit, k.lit)
		}
	}
	if match != nil {
		w.add(uint64(stMatch), match.log)
	}
	if off != nil {
		w.add(uint64(stOff), off.log)
	}
	if lit != nil {
		w.add(uint64(stLit), lit.log)
	}
}
