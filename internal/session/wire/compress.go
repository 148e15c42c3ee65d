package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/flate"
)

const (
	inflateBuffer = 32 << 10 // compressed octets read at once
	deflateLevel  = 4        // what a fast line still gains by
)

// network is the connection below, read with patience: an error of it is the cause of the loss.
type network struct{ c *Conn }

func (n network) Read(p []byte) (int, error) {
	c := n.c
	for {
		c.touch()
		n, err := c.inner.Read(p)
		switch {
		case n > 0 || err == nil:
			if c.opts.QuickAck {
				c.quickAck()
			}
			return n, nil // an error will come again
		case errors.Is(err, os.ErrDeadlineExceeded):
			cause := c.silence()
			if cause == nil {
				continue // the answer came, or the client spoke, while the clock ran out
			}
			return 0, c.Fail(cause)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return 0, c.Fail(ErrClosedByServer)
		default:
			return 0, c.Fail(err)
		}
	}
}

// Compress sends COMPRESS DEFLATE (RFC 4978), and if the server agrees both streams are compressed
// from then on. The answer is the server's; NO or BAD leave the connection as it was. An error has
// ended the connection.
func (c *Conn) Compress(ctx context.Context) (Status, error) {
	call, err := c.Start(ctx)
	if err != nil {
		return Status{}, err
	}
	defer call.End()
	c.mu.Lock()
	c.turning = call
	c.mu.Unlock()
	if _, err := call.Write([]byte(call.Tag() + " COMPRESS DEFLATE\r\n")); err != nil {
		return Status{}, err
	}
	st, err := call.Wait(ctx)
	if err != nil {
		return st, c.Fail(err) // nobody knows any more what the streams are
	}
	if st.Kind == "OK" {
		w, err := flate.NewWriter(c.inner, deflateLevel)
		if err != nil {
			return st, c.Fail(err)
		}
		c.sink = deflater{w}
	}
	return st, nil
}

// feed passes what was read to the scanner. While COMPRESS has no answer it goes line by line, since
// all that follows the OK is compressed.
func (c *Conn) feed(b []byte) error {
	for len(b) > 0 && c.isTurning() {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			end = len(b)
		}
		if err := c.in.Feed(b[:end], c.takeLine, c.takeLiteral); err != nil {
			return err
		}
		b = b[end:]
		if c.hasTurned() {
			rest := bytes.NewReader(bytes.Clone(b)) // b is read into again
			c.source = newInflater(io.MultiReader(rest, network{c}))
			return nil
		}
	}
	return c.in.Feed(b, c.takeLine, c.takeLiteral)
}

func (c *Conn) isTurning() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turning != nil
}

// hasTurned reports whether the line just read was the OK of COMPRESS.
func (c *Conn) hasTurned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.turning
	if call == nil || !ended(call.done) {
		return false
	}
	c.turning = nil
	return call.answer.Kind == "OK"
}

// inflater reads a raw deflate stream (RFC 1951). The network's own errors pass through it.
type inflater struct{ r io.Reader }

// newInflater gives out what was flushed in whatever way; a server may know only partial flushes.
func newInflater(r io.Reader) inflater {
	return inflater{flate.NewReaderOpts(bufio.NewReaderSize(r, inflateBuffer), flate.WithPartialBlock())}
}

func (i inflater) Read(p []byte) (int, error) {
	for {
		n, err := i.r.Read(p)
		var corrupt flate.CorruptInputError
		switch {
		case n > 0:
			return n, nil // an error will come again
		case err == nil:
			continue // the end of a block
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return 0, ErrClosedByServer
		case errors.As(err, &corrupt):
			return 0, fmt.Errorf("inflate the server's stream: %w", err)
		}
		return 0, err
	}
}

// deflater sends all it is given at once.
type deflater struct{ w *flate.Writer }

func (d deflater) Write(p []byte) (int, error) {
	if _, err := d.w.Write(p); err != nil {
		return 0, err
	}
	return len(p), d.w.Flush()
}
