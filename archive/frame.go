package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Magic numbers of RFC 8878 and of the zstd seekable format.
const (
	zstdMagic      = 0xFD2FB528
	skippableMagic = 0x184D2A50 // to ...5F
	recordMagic    = 0x184D2A5A // our record frames
	asideMagic     = 0x184D2A5B // what is put aside
	seekableMagic  = 0x184D2A5E // the seek table's frame
	seekableFooter = 0x8F92EAB1 // the seek table's last four octets

	skippableHeader = 8
	blockHeader     = 3
	blockRLE        = 1
	blockReserved   = 3
	maxBlock        = 128 << 10
)

// frameKind tells apart what a segment is made of.
type frameKind int

const (
	kindData   frameKind = iota // compressed octets
	kindRecord                  // skippable: a copy of a catalog frame
	kindSeek                    // skippable: the seek table
	kindAside                   // skippable: put aside
	kindOther                   // skippable: somebody else's
)

// rawFrame is one frame as it lies in a file.
type rawFrame struct {
	kind   frameKind
	offset int64
	length int64 // octets of the whole frame, header and checksum included
	window uint64
}

// errTorn says that a file ends before the frame does.
var errTorn = errors.New("the file ends inside a frame")

// scanFrame finds the extent of the frame at offset without decompressing it (RFC 8878, section 3.1).
// size is the length of the file. It returns io.EOF at the very end of the file, errTorn if the file ends
// too soon, errBroken if there is no frame, and any other error if it could not be read.
func scanFrame(r io.ReaderAt, offset, size int64) (rawFrame, error) {
	f := rawFrame{offset: offset}
	if offset >= size {
		return f, io.EOF
	}
	head := make([]byte, zstd.HeaderMaxSize)
	n, err := r.ReadAt(head, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("read frame header: %w", err)
	}
	head = head[:n]
	if n < 4 {
		return f, errTorn
	}
	magic := binary.LittleEndian.Uint32(head)
	if magic&^0xF == skippableMagic { // RFC 8878, section 3.1.2
		if n < skippableHeader {
			return f, errTorn
		}
		f.kind = skippableKind(magic)
		f.length = skippableHeader + int64(binary.LittleEndian.Uint32(head[4:]))
		if offset+f.length > size {
			return f, errTorn
		}
		return f, nil
	}
	if magic != zstdMagic {
		return f, broken("no frame begins with %#08x", magic)
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return f, errTorn
		}
		return f, broken("decode frame header: %w", err)
	}
	f.window = h.WindowSize
	end, err := scanBlocks(r, offset+int64(h.HeaderSize), size)
	if err != nil {
		return f, err
	}
	if h.HasCheckSum {
		end += 4
	}
	if end > size {
		return f, errTorn
	}
	f.length = end - offset
	return f, nil
}

func skippableKind(magic uint32) frameKind {
	switch magic {
	case recordMagic:
		return kindRecord
	case seekableMagic:
		return kindSeek
	case asideMagic:
		return kindAside
	default:
		return kindOther
	}
}

// scanBlocks walks the block headers from offset and returns where the last block ends.
func scanBlocks(r io.ReaderAt, offset, size int64) (int64, error) {
	var head [4]byte
	for {
		if offset+blockHeader > size {
			return 0, errTorn
		}
		if _, err := r.ReadAt(head[:blockHeader], offset); errors.Is(err, io.EOF) {
			return 0, errTorn // it was longer a moment ago
		} else if err != nil {
			return 0, fmt.Errorf("read block header: %w", err)
		}
		h := binary.LittleEndian.Uint32(head[:])
		length, kind := int64(h>>3), h>>1&3
		if kind == blockReserved || length > maxBlock {
			return 0, broken("no block begins with %#06x", h)
		}
		offset += blockHeader
		if kind == blockRLE {
			length = 1
		}
		offset += length
		if h&1 == 1 {
			return offset, nil
		}
	}
}

// skippableFrame wraps a payload so that zstd -d passes over it (RFC 8878, section 3.1.2).
func skippableFrame(magic uint32, payload []byte) []byte {
	frame := make([]byte, skippableHeader, skippableHeader+len(payload))
	binary.LittleEndian.PutUint32(frame, magic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(payload))) //nolint:gosec // a catalog frame is bounded
	return append(frame, payload...)
}

// seekTable is the seekable format's table of all frames before it; skippable frames count with a
// decompressed size of 0.
func seekTable(frames []seekEntry) []byte {
	const entrySize, footerSize = 8, 9
	payload := make([]byte, 0, len(frames)*entrySize+footerSize)
	for _, f := range frames {
		payload = binary.LittleEndian.AppendUint32(payload, f.length)
		payload = binary.LittleEndian.AppendUint32(payload, f.plain)
	}
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(frames))) //nolint:gosec // bounded by the segment
	payload = append(payload, 0)                                             // descriptor: no checksums, frames have their own
	payload = binary.LittleEndian.AppendUint32(payload, seekableFooter)
	return skippableFrame(seekableMagic, payload)
}

// seekEntry is one line of the seek table.
type seekEntry struct{ length, plain uint32 }

// newMailDecoder reads one frame of mail at a time. It does not compare the frame's checksum: each message has a SHA-256,
// and a wrong checksum would only withhold the messages in front of it.
func newMailDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, mailDecoding(zstd.IgnoreChecksum(true))...)
}

// newStrictDecoder is one that compares the frame's checksum.
func newStrictDecoder() (*zstd.Decoder, error) { return zstd.NewReader(nil, mailDecoding()...) }

func mailDecoding(more ...zstd.DOption) []zstd.DOption {
	return append(more, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

// newRecordEncoder compresses what is small: catalog frames, the end of a tar.
func newRecordEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(recordWindow),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true))
}

// packRecords compresses a small piece into a frame.
func (w *Writer) packRecords(plain []byte) ([]byte, error) {
	if w.packer == nil {
		enc, err := newRecordEncoder()
		if err != nil {
			return nil, fmt.Errorf("start compression: %w", err)
		}
		w.packer = enc
	}
	return w.packer.EncodeAll(plain, nil), nil
}
