// Package zenc writes Zstandard frames (RFC 8878) of mail. Its matches reach back over the whole window: what the
// same attachment, header or quoted text costs a second time is a few octets, tens of megabytes later too. Any
// decoder reads the frames, plain zstd -d among them, as long as the window is 128 MiB at most.
//
// The entropy coder of literals and the checksum are libraries' (klauspost/compress/huff0, cespare/xxhash); what is here
// finds the matches and writes sequences, blocks and frames.
package zenc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/huff0"
)

// MinWindowLog and MaxWindowLog bound the window: 1 KiB is the least the format has, 128 MiB the most that zstd -d
// takes without being told.
const (
	MinWindowLog = 10
	MaxWindowLog = 27
)

const (
	magic        = 0xFD2FB528
	maxBlock     = 128 << 10 // Block_Maximum_Size, unless the window is smaller
	blockRaw     = 0
	blockPacked  = 2
	withChecksum = 4 // Frame_Header_Descriptor: Content_Checksum_flag

	// maxFrame is how many octets a frame may have: positions have 32 bits, and 0 means none.
	maxFrame = 1<<32 - 1 - maxBlock
	// slack is what the buffer holds beyond the window, so that it need not be moved for every block.
	slack = 4 << 20
	// early is the size up to which the buffer grows step by step.
	early = 8 << 20
)

// ErrFrameTooLong says that more than about 4 GiB were written into one frame.
var ErrFrameTooLong = errors.New("frame of more than 4 GiB")

// Encoder compresses one frame after the other. Memory: the window and 4 MiB, as far as frames fill it, and 10 MiB.
// It is not safe for several goroutines.
type Encoder struct {
	w       io.Writer
	err     error
	begun   bool // the frame's header is written
	window  int
	log     int
	most    int // octets of a block
	hash    *xxhash.Digest
	buf     []byte // the window, and what is not compressed yet
	base    uint32 // position of buf[0]; the frame's first octet is at 1
	pending int    // octets at the end of buf that are not compressed yet
	finder  finder
	coder   *coder
	huffman huff0.Scratch
	lits    []byte
	out     []byte
}

// New makes an encoder that writes to w, with a window of 1 << windowLog octets.
func New(w io.Writer, windowLog int) (*Encoder, error) {
	if windowLog < MinWindowLog || windowLog > MaxWindowLog {
		return nil, fmt.Errorf("make encoder: window log %d is not between %d and %d", windowLog, MinWindowLog, MaxWindowLog)
	}
	e := &Encoder{window: 1 << windowLog, log: windowLog, most: min(maxBlock, 1<<windowLog), hash: xxhash.New(), coder: newCoder()}
	e.huffman.Reuse = huff0.ReusePolicyNone
	e.Reset(w)
	return e, nil
}

// Reset drops what was not ended and begins a new frame.
func (e *Encoder) Reset(w io.Writer) {
	e.w, e.err, e.begun = w, nil, false
	e.hash.Reset()
	e.buf, e.base, e.pending = e.buf[:0], 1, 0
	e.finder.reset()
}

// Write adds to the frame. Errors: ErrFrameTooLong, and those of the writer; after one the frame cannot be ended.
func (e *Encoder) Write(p []byte) (n int, err error) {
	if e.err != nil {
		return 0, e.err
	}
	if uint64(e.base)+uint64(len(e.buf))+uint64(len(p)) > maxFrame {
		e.err = ErrFrameTooLong
		return 0, e.err
	}
	_, _ = e.hash.Write(p) // never fails
	for len(p) > 0 {
		take := min(len(p), e.most-e.pending)
		e.grow(take)
		e.buf = append(e.buf, p[:take]...)
		p = p[take:]
		n += take
		if e.pending += take; e.pending == e.most {
			if err := e.block(false); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// grow makes room for n octets more, forgetting what is behind the window.
func (e *Encoder) grow(n int) {
	need := len(e.buf) + n
	if need <= cap(e.buf) {
		return
	}
	if most := e.window + slack; need > most {
		drop := len(e.buf) - e.pending - e.window
		e.base += uint32(drop)
		e.buf = append(e.buf[:0], e.buf[drop:]...)
		return
	}
	size := max(2*cap(e.buf), 4*maxBlock, need)
	if size > early {
		// All at once: memory that is not used yet costs nothing, an outgrown buffer would.
		size = e.window + slack
	}
	buf := make([]byte, len(e.buf), min(size, e.window+slack))
	copy(buf, e.buf)
	e.buf = buf
}

// Close ends the frame. It does not close the writer.
func (e *Encoder) Close() error {
	if e.err != nil {
		return e.err
	}
	if err := e.block(true); err != nil {
		return err
	}
	return e.write(binary.LittleEndian.AppendUint32(nil, uint32(e.hash.Sum64())))
}

func (e *Encoder) write(p []byte) error {
	if _, err := e.w.Write(p); err != nil {
		e.err = fmt.Errorf("write frame: %w", err)
	}
	return e.err
}

// block compresses what is pending and writes it.
func (e *Encoder) block(last bool) error {
	out := e.out[:0]
	if !e.begun {
		out = binary.LittleEndian.AppendUint32(out, magic)
		out = append(out, withChecksum, byte(e.headerLog(last)-MinWindowLog)<<3)
		e.begun = true
	}
	start := len(e.buf) - e.pending
	plain := e.buf[start:]
	header := len(out)
	out = append(out, 0, 0, 0)
	repeats := e.finder.repeats
	out, ok := e.pack(out, start)
	kind := blockPacked
	if size := len(out) - header - 3; !ok || size >= len(plain) {
		e.finder.repeats = repeats // the decoder will not have seen the sequences
		out, kind = append(out[:header+3], plain...), blockRaw
	}
	head := uint32(len(out)-header-3)<<3 | uint32(kind)<<1
	if last {
		head |= 1
	}
	out[header], out[header+1], out[header+2] = byte(head), byte(head>>8), byte(head>>16)
	e.pending, e.out = 0, out
	return e.write(out)
}

// headerLog is the window to announce: a frame of a single block needs no more than that block, so that small frames cost
// decoders little memory.
func (e *Encoder) headerLog(last bool) int {
	if !last {
		return e.log
	}
	return min(e.log, max(MinWindowLog, bits.Len(uint(e.pending))))
}

// pack appends the compressed form of buf[start:]; false: it does not compress.
func (e *Encoder) pack(out []byte, start int) ([]byte, bool) {
	if e.pending < 32 {
		return out, false
	}
	var seqs []sequence
	e.lits = e.lits[:0]
	seqs, e.lits = e.finder.find(e.buf, start, e.base, e.window, e.lits)
	out = e.packLiterals(out)
	return e.coder.append(out, seqs), true
}

// packLiterals appends the literals section (RFC 8878, section 3.1.1.3.1).
func (e *Encoder) packLiterals(out []byte) []byte {
	const raw, rle, packed = 0, 1, 2
	lits := e.lits
	if len(lits) >= 32 {
		var body []byte
		var err error
		streams := len(lits) >= 1024
		if streams {
			body, _, err = huff0.Compress4X(lits, &e.huffman)
		} else {
			body, _, err = huff0.Compress1X(lits, &e.huffman)
		}
		if errors.Is(err, huff0.ErrUseRLE) {
			return append(literalsHeader(out, rle, len(lits)), lits[0])
		}
		if err == nil && len(body)+5 < len(lits) {
			return append(packedHeader(out, packed, len(lits), len(body), streams), body...)
		}
	}
	return append(literalsHeader(out, raw, len(lits)), lits...)
}

// literalsHeader is the Literals_Section_Header of literals that are not compressed.
func literalsHeader(out []byte, kind, size int) []byte {
	switch {
	case size < 1<<5:
		return append(out, byte(kind|size<<3))
	case size < 1<<12:
		return append(out, byte(kind|1<<2|size<<4), byte(size>>4))
	}
	return append(out, byte(kind|3<<2|size<<4), byte(size>>4), byte(size>>12))
}

// packedHeader is the Literals_Section_Header of compressed literals: in one stream, or in four.
func packedHeader(out []byte, kind, size, packed int, streams bool) []byte {
	format, width, octets := 0, 10, 3
	switch {
	case !streams:
	case size < 1<<10:
		format = 1
	case size < 1<<14:
		format, width, octets = 2, 14, 4
	default:
		format, width, octets = 3, 18, 5
	}
	v := uint64(kind) | uint64(format)<<2 | uint64(size)<<4 | uint64(packed)<<(4+width)
	for range octets {
		out = append(out, byte(v))
		v >>= 8
	}
	return out
}
