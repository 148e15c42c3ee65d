package imaptest

import (
	"compress/flate"
	"fmt"
	"io"
	"net"
)

// deflated is a connection after COMPRESS (RFC 4978), as the server sees it.
type deflated struct {
	net.Conn
	in  io.Reader
	out *flate.Writer
}

// compress begins with the octets after the server's OK. The client has sent nothing since.
func (p *peer) compress() {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	w, err := flate.NewWriter(p.Conn, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is right
	}
	p.Conn = &deflated{Conn: p.Conn, in: flate.NewReader(p.Conn), out: w}
}

func (d *deflated) Read(b []byte) (int, error) { return d.in.Read(b) }

func (d *deflated) Write(b []byte) (int, error) {
	n, err := d.out.Write(b)
	if err == nil {
		err = d.out.Flush()
	}
	if err != nil {
		return n, fmt.Errorf("deflate: %w", err)
	}
	return n, nil
}
