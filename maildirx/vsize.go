package maildirx

import (
	"bytes"
	"errors"
	"io"
)

// VSize is the virtual size of a message, the W= of Dovecot's file names: its octets with every LF that
// has no CR before it counted as CRLF. It reads r to its end; only an error of r is one.
func VSize(r io.Reader) (int64, error) {
	var size int64
	last := byte(0)
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.Read(chunk)
		if n > 0 {
			size += int64(n + bareLFs(last, chunk[:n]))
			last = chunk[n-1]
		}
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}

// bareLFs counts the LFs in p that follow no CR. before is the octet before p.
func bareLFs(before byte, p []byte) int {
	bare := bytes.Count(p, []byte{'\n'}) - bytes.Count(p, []byte("\r\n"))
	if before == '\r' && p[0] == '\n' {
		bare--
	}
	return bare
}
