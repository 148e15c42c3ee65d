package maildirsource

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"mailark/maildirx"
)

const (
	// smallFile is how large a file may be to be read at once.
	smallFile = 1 << 20
	// enormous is a size from which the octets of a file are not counted first. No archive takes half of it.
	enormous = 1 << 32
	// zstdWindow is the largest window of a compressed message.
	zstdWindow = 64 << 20
)

var (
	errChanged    = errors.New("the file changed while it was read")
	errCompressed = errors.New("the file is compressed")
	errEncrypted  = errors.New("the file is encrypted by Dovecot's mail-crypt; Mailark can only read it over IMAP")
)

// coding is how the file of a message is compressed.
type coding struct {
	name   string
	magic  string
	reader func(io.Reader) (io.ReadCloser, error) // nil: we cannot
}

// cryptMagic begins the files of Dovecot's mail-crypt plugin.
const cryptMagic = "CRYPTED\x03\x07"

// codings are those of Dovecot's zlib plugin.
func codings() []coding {
	return []coding{
		{"gzip", "\x1f\x8b", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
		{"zstd", "\x28\xb5\x2f\xfd", newZstd},
		{"bzip2", "BZh", func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }},
		{"xz", "\xfd7zXZ\x00", nil},
		{"lz4", "Dovecot-LZ4\x0d\x2a\x9b\xc5", nil},
	}
}

func newZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// body is a message's octets as an IMAP server sends them.
type body struct {
	io.Reader
	size  int64
	close func() error
}

// opener reads the octets of one message file.
type opener struct {
	f      *os.File
	size   int64 // of the file
	told   int64 // the S= of its name; -1 if there is none
	coding *coding
	plain  []byte // room for a small file
	crlf   []byte // and for its octets with CRLF
}

// open finds out how many octets a message has, and returns them for reading.
func (o *opener) open(f *os.File, info fs.FileInfo) (*body, error) {
	o.f, o.size, o.coding, o.told = f, info.Size(), nil, parseName(info.Name()).Size
	if err := o.recognise(); err != nil {
		return nil, err
	}
	if o.coding == nil && o.size <= smallFile {
		return o.small()
	}
	if o.coding == nil && o.size >= enormous {
		return &body{f, o.size, f.Close}, nil
	}
	plain, err := o.reader()
	if err != nil {
		return nil, err
	}
	counted := &counter{r: plain}
	size, err := maildirx.VSize(counted)
	_ = plain.Close() // it was only read
	if err := o.check(counted.n, err); err != nil {
		return nil, err
	}
	if plain, err = o.reader(); err != nil {
		return nil, err
	}
	return &body{&exactly{r: maildirx.NewCRLFReader(plain), left: size}, size, plain.Close}, nil
}

// small reads a file at once.
func (o *opener) small() (*body, error) {
	if o.plain == nil {
		o.plain = make([]byte, smallFile+1)
	}
	n, err := io.ReadFull(o.f, o.plain)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err := o.check(int64(n), err); err != nil {
		return nil, err
	}
	o.crlf = maildirx.AppendCRLF(o.crlf[:0], 0, o.plain[:n])
	return &body{bytes.NewReader(o.crlf), int64(len(o.crlf)), o.f.Close}, nil
}

// recognise finds out whether the file is compressed: its first octets are those of a compressed file, and its size
// is not the one in its name, which is that of the message, unless so many octets come out of it.
func (o *opener) recognise() error {
	var head [16]byte
	n, err := o.f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(head[:n], []byte(cryptMagic)) && o.told != o.size {
		return errEncrypted
	}
	for _, c := range codings() {
		if !bytes.HasPrefix(head[:n], []byte(c.magic)) || o.told == o.size && !o.holds(&c) {
			continue
		}
		if c.reader == nil {
			return fmt.Errorf("%w with %s, which Mailark does not read", errCompressed, c.name)
		}
		o.coding = &c
	}
	return nil
}

// holds reports whether the file, compressed so, has as many octets as its name says.
func (o *opener) holds(c *coding) bool {
	if c.reader == nil {
		return false
	}
	o.coding = c
	defer func() { o.coding = nil }()
	plain, err := o.reader()
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, plain)
	_ = plain.Close() // it was only read
	return err == nil && n == o.told
}

// reader reads the octets of the message as they are on the disk, decompressed.
func (o *opener) reader() (io.ReadCloser, error) {
	file := io.NewSectionReader(o.f, 0, o.size)
	if o.coding == nil {
		return io.NopCloser(file), nil
	}
	r, err := o.coding.reader(file)
	if err != nil {
		return nil, o.damaged(err)
	}
	most := o.told + 1
	if o.told < 0 {
		most = enormous
	}
	return &limited{io.LimitReader(r, most), r}, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// check compares what was read with what there should be.
func (o *opener) check(n int64, err error) error {
	switch {
	case o.coding != nil && err != nil:
		return o.damaged(err)
	case err != nil:
		return err
	case o.coding != nil && o.told >= 0 && n != o.told:
		return o.damaged(fmt.Errorf("it has not the %d octets that its name says", o.told))
	case o.coding != nil && n >= enormous:
		return o.damaged(errors.New("it has too many octets"))
	case o.coding == nil && n != o.size:
		return errChanged
	}
	return nil
}

func (o *opener) damaged(err error) error {
	if o.told < 0 {
		return fmt.Errorf("%w with %s, as it seems, but its name says no size (S=), and it cannot be decompressed: %w",
			errCompressed, o.coding.name, err)
	}
	return fmt.Errorf("%w with %s and damaged: %w", errCompressed, o.coding.name, err)
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// exactly gives an error for anything but left octets.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	switch {
	case e.left < 0, errors.Is(err, io.EOF) && e.left > 0:
		return 0, errChanged
	}
	return n, err
}
