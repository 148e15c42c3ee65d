package zenc

import "math/bits"

// fseTable encodes symbols of one kind by finite state entropy (RFC 8878, section 4.1).
type fseTable struct {
	log     uint8     // accuracy log: the table has 1 << log states
	norm    [64]int16 // normalised counts; -1 is "less than 1"
	symbols int       // length of norm that counts
	next    [1 << maxFSELog]uint16
	deltas  [64]symbolDelta
	cells   [1 << maxFSELog]uint8 // scratch: the symbol of each state
}

// symbolDelta turns a state into the number of bits to write and the next state.
type symbolDelta struct {
	bits int32 // number of bits << 16, minus the state from which one more is written
	find int32 // what to add to the rest of the state to find the next one
}

const (
	maxFSELog = 9 // literals lengths and match lengths; offsets have 8
	minFSELog = 5
)

// build makes the table of the normalised counts (RFC 8878, section 4.1.1, "From normalized distribution to decoding tables").
func (t *fseTable) build(norm []int16, log uint8) {
	t.log, t.symbols = log, len(norm)
	copy(t.norm[:], norm)
	size := 1 << log
	high := size - 1
	for s, n := range norm {
		if n == -1 {
			t.cells[high] = uint8(s)
			high--
		}
	}
	step, pos := size>>1+size>>3+3, 0
	for s, n := range norm {
		for range max(n, 0) {
			t.cells[pos] = uint8(s)
			for pos = (pos + step) & (size - 1); pos > high; pos = (pos + step) & (size - 1) {
			}
		}
	}
	var first [64]int32
	sum := int32(0)
	for s, n := range norm {
		count := int32(n)
		if n == -1 {
			count = 1
		}
		first[s] = sum
		t.deltas[s] = newDelta(count, sum, log)
		sum += count
	}
	for state := range size {
		s := t.cells[state]
		t.next[first[s]] = uint16(size + state)
		first[s]++
	}
}

// newDelta is the delta of a symbol with so many states, of which the lowest has the given rank.
func newDelta(count, rank int32, log uint8) symbolDelta {
	switch count {
	case 0:
		return symbolDelta{}
	case 1:
		return symbolDelta{bits: int32(log)<<16 - 1<<log, find: rank - 1}
	}
	most := int32(log) - int32(bits.Len32(uint32(count-1))) + 1
	return symbolDelta{bits: most<<16 - count<<most, find: rank - count}
}

// first is the state that the last symbol of a sequence begins with; it costs no bits.
func (t *fseTable) first(symbol uint8) uint32 {
	d := t.deltas[symbol]
	n := uint32(d.bits+1<<15) >> 16
	v := int32(n<<16) - d.bits
	return uint32(t.next[v>>n+d.find])
}

// encode writes the bits that lead from symbol's state to the state after it, and returns symbol's state.
func (t *fseTable) encode(w *bitWriter, state uint32, symbol uint8) uint32 {
	d := t.deltas[symbol]
	n := uint32(int32(state)+d.bits) >> 16
	w.add(uint64(state), uint8(n))
	return uint32(t.next[int32(state>>n)+d.find])
}

// normalise scales counts, of which there are total, so that they add up to 1 << log, each symbol that
// occurs having 1 at least.
func normalise(norm []int16, counts []uint32, total uint32, log uint8) {
	size := int32(1) << log
	left, largest := size, 0
	for s, n := range counts {
		norm[s] = 0
		if n == 0 {
			continue
		}
		share := max(1, int32((uint64(n)<<log+uint64(total)/2)/uint64(total)))
		norm[s] = int16(share)
		left -= share
		if norm[s] > norm[largest] {
			largest = s
		}
	}
	// Rounding has given out too much or too little: the most frequent pay or gain, as they lose least by it.
	for left < 0 {
		for s := range norm {
			if norm[s] > norm[largest] {
				largest = s
			}
		}
		take := min(-left, max(1, int32(norm[largest])/4))
		norm[largest] -= int16(take)
		left += take
	}
	norm[largest] += int16(left)
}

// appendNorm writes the description of a table (RFC 8878, section 4.1.1).
func appendNorm(out []byte, norm []int16, log uint8) []byte {
	var w bitWriter
	w.out = out
	w.add(uint64(log-minFSELog), 4)
	left := int32(1) << log
	for s := 0; left > 0; {
		n := norm[s]
		// A value is the count plus one; values up to left+1 are possible, the smaller ones in a bit less.
		width := uint8(bits.Len32(uint32(left + 1)))
		short := int32(1)<<width - 1 - (left + 1)
		v := int32(n) + 1
		switch {
		case v < short:
			w.add(uint64(v), width-1)
		case v < 1<<(width-1):
			w.add(uint64(v), width)
		default:
			w.add(uint64(v+short), width)
		}
		if n < 0 {
			left--
		} else {
			left -= int32(n)
		}
		s++
		if n != 0 || left <= 0 {
			continue
		}
		zeros := 0
		for norm[s+zeros] == 0 {
			zeros++
		}
		s += zeros
		for ; zeros >= 3; zeros -= 3 {
			w.add(3, 2)
		}
		w.add(uint64(zeros), 2)
	}
	return w.flush()
}

// bitWriter gathers bits, the lowest first (RFC 8878, section 4).
type bitWriter struct {
	out  []byte
	acc  uint64
	bits uint8
}

// add appends the n lowest bits of v; n is 31 at most.
func (w *bitWriter) add(v uint64, n uint8) {
	w.acc |= v & (1<<n - 1) << (w.bits & 63)
	w.bits += n
	if w.bits >= 32 {
		w.out = append(w.out, byte(w.acc), byte(w.acc>>8), byte(w.acc>>16), byte(w.acc>>24))
		w.acc >>= 32
		w.bits -= 32
	}
}

// flush writes what is left, filled up with zeros.
func (w *bitWriter) flush() []byte {
	for w.bits > 0 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
		w.bits -= min(w.bits, 8)
	}
	return w.out
}
