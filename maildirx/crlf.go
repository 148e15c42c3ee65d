package maildirx

import (
	"bytes"
	"io"
)

// NewCRLFReader returns a reader of what an IMAP server sends for the message that r holds: each LF that
// has no CR before it becomes CRLF, nothing else is touched. Its length is what VSize says.
func NewCRLFReader(r io.Reader) io.Reader { return &crlfReader{r: r} }

type crlfReader struct {
	r    io.Reader
	in   [32 << 10]byte
	out  []byte // not read yet; a part of room
	room []byte
	last byte // of what was read from r
	err  error
}

func (c *crlfReader) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil || len(p) == 0 {
			return 0, c.err
		}
		var n int
		n, c.err = c.r.Read(c.in[:])
		if n > 0 {
			c.room = AppendCRLF(c.room[:0], c.last, c.in[:n])
			c.out, c.last = c.room, c.in[n-1]
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// AppendCRLF appends octets with each LF that has no CR before it made CRLF; before is the octet in front of
// the first one, 0 if there is none.
func AppendCRLF(to []byte, before byte, octets []byte) []byte {
	for len(octets) > 0 {
		at := bytes.IndexByte(octets, '\n')
		if at < 0 {
			return append(to, octets...)
		}
		if at > 0 {
			before = octets[at-1]
		}
		to = append(to, octets[:at]...)
		if before != '\r' {
			to = append(to, '\r')
		}
		to = append(to, '\n')
		before, octets = '\n', octets[at+1:]
	}
	return to
}
