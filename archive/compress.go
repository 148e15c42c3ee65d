package archive

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how Extract compresses the files of messages, each by itself.
type Compression string

// The ways to compress.
const (
	Plain Compression = ""
	Gzip  Compression = "gzip" // RFC 1952; Dovecot's zlib plugin and notmuch read it
	Zstd  Compression = "zstd" // RFC 8878; Dovecot's zlib plugin reads it
)

const (
	gzipLevel  = 6       // what gzip itself takes
	fileWindow = 8 << 20 // of zstd, the most that RFC 8878 asks every decoder to take
	fileBuffer = 64 << 10
)

// compressor compresses one message after the other, with fixed options and neither time nor name: the same
// version of this program makes the same file of the same octets.
type compressor struct {
	begin func(io.Writer)
	out   io.WriteCloser
	buf   *bufio.Writer // gzip writes a few octets at a time
}

// newCompressor returns nil for Plain.
func newCompressor(c Compression) (*compressor, error) {
	switch c {
	case Plain:
		return nil, nil //nolint:nilnil // files are copied as they are
	case Gzip:
		z, err := gzip.NewWriterLevel(nil, gzipLevel)
		if err != nil {
			return nil, fmt.Errorf("start compression: %w", err)
		}
		begin := func(w io.Writer) {
			z.Reset(w)
			z.ModTime = time.Unix(0, 0) // "no time" (RFC 1952, section 2.3.1); the package's own default is another
		}
		return &compressor{begin: begin, out: z, buf: bufio.NewWriterSize(nil, fileBuffer)}, nil
	case Zstd:
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true),
			zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(fileWindow), zstd.WithAllLitEntropyCompression(true))
		if err != nil {
			return nil, fmt.Errorf("start compression: %w", err)
		}
		return &compressor{begin: z.Reset, out: z, buf: bufio.NewWriterSize(nil, fileBuffer)}, nil
	}
	return nil, fmt.Errorf("compress: unknown way %q", c)
}

// copy writes what r holds, compressed, to w.
func (c *compressor) copy(w io.Writer, r io.Reader) error {
	c.buf.Reset(w)
	c.begin(c.buf)
	if _, err := io.Copy(c.out, r); err != nil {
		return err
	}
	if err := c.out.Close(); err != nil {
		return err
	}
	return c.buf.Flush()
}
