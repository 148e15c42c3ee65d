package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	batchMessages = 500     // UIDs in one FETCH
	batchOctets   = 8 << 20 // announced octets in one FETCH
	batchLine     = 940     // octets of the UID set; RFC 2683 asks for lines of at most 1000
	batchesAhead  = 3       // FETCH commands in flight
	drainOctets   = 4 << 20 // what is read and thrown away to save a connection
)

// errAbandoned is the cause when a fetch is given up and too much is still to come.
var errAbandoned = errors.New("fetch given up")

// FetchBodies fetches the octets of the given messages of the selected mailbox. sizes (RFC822.SIZE,
// same length as uids) steer how they are batched. Commands are pipelined. fn is called for each body
// in the order of arrival, never concurrently; r ends with io.EOF only after all size octets
// announced, with io.ErrUnexpectedEOF if the literal was cut short; what fn leaves of r is passed
// over. UIDs the server passes over in silence are simply not called for.
//
// A refused command (NO, BAD) is an *Error of scope message that leaves the connection usable and the
// other commands' bodies delivered; several are joined. If the connection is lost too, its error comes
// first. An error of fn ends the fetch and is returned; the connection may be lost by it.
func (c *conn) FetchBodies(
	ctx context.Context, uids []uint32, sizes []int64, fn func(uid uint32, size int64, r io.Reader) error,
) error {
	if len(uids) != len(sizes) {
		return fmt.Errorf("fetch bodies: %d UIDs but %d sizes", len(uids), len(sizes))
	}
	f := &bodyFetch{c: c, fn: fn}
	err := c.run(ctx, "UID FETCH of bodies", ScopeSession, func() error {
		f.all(split(uids, sizes))
		return errors.Join(append([]error{f.lost}, f.refused...)...)
	})
	if f.failed != nil {
		return f.failed
	}
	return err
}

// split cuts the list into batches that respect all limits.
func split(uids []uint32, sizes []int64) [][]uint32 {
	var batches [][]uint32
	var first, line int
	var octets int64
	for i, uid := range uids {
		digits := len(strconv.FormatUint(uint64(uid), 10)) + 1
		full := i-first >= batchMessages || octets+sizes[i] > batchOctets || line+2*digits > batchLine
		if i > first && full {
			batches = append(batches, uids[first:i])
			first, line, octets = i, 0, 0
		}
		octets += max(sizes[i], 0)
		if i-first < 2 || uid != uids[i-1]+1 || uids[i-1] != uids[i-2]+1 {
			line += digits // a number of its own, or the end of a range
		}
	}
	if first < len(uids) {
		batches = append(batches, uids[first:])
	}
	return batches
}

// bodyFetch is one FetchBodies. One goroutine reads each command, so that go-imap's decoder never
// waits for a command that nobody reads.
type bodyFetch struct {
	c  *conn
	fn func(uid uint32, size int64, r io.Reader) error

	mu      sync.Mutex // held while fn runs
	failed  error      // of fn
	drained int64      // octets thrown away since
	refused []error
	lost    error
}

func (f *bodyFetch) all(batches [][]uint32) {
	slots := make(chan struct{}, batchesAhead)
	var wg sync.WaitGroup
	for _, batch := range batches {
		slots <- struct{}{}
		if f.ended() {
			break
		}
		var set imap.UIDSet
		for _, uid := range batch {
			set.AddNum(imap.UID(uid))
		}
		cmd := f.c.cl.Fetch(set, &imap.FetchOptions{
			UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
		})
		wg.Go(func() {
			defer func() { <-slots }()
			f.read(cmd, batch)
		})
	}
	wg.Wait()
}

func (f *bodyFetch) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed != nil || f.lost != nil
}

func (f *bodyFetch) read(cmd *imapclient.FetchCommand, batch []uint32) {
	op := fmt.Sprintf("UID FETCH of %d bodies from UID %d on", len(batch), batch[0])
	if len(batch) == 1 {
		op = fmt.Sprintf("UID FETCH of the body of UID %d", batch[0])
	}
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		var uid uint32
		for item := msg.Next(); item != nil; item = msg.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				uid = uint32(item.UID)
			case imapclient.FetchItemDataBodySection:
				if isWhole(item) && uid != 0 && !f.deliver(uid, item.Literal) {
					// Any further Next would read the dead literal again, beside go-imap's decoder.
					f.took(f.c.wrap(op, ScopeMessage, io.ErrUnexpectedEOF))
					return
				}
			}
		}
	}
	f.took(f.c.wrap(op, ScopeMessage, cmd.Close()))
}

// isWhole reports whether an item is BODY[] with octets. BODY[] NIL counts as passed over.
func isWhole(item imapclient.FetchItemDataBodySection) bool {
	s := item.Section
	return item.Literal != nil && s.Specifier == imap.PartSpecifierNone && len(s.Part) == 0 && s.Partial == nil
}

func (f *bodyFetch) took(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e *Error
	switch {
	case err == nil:
	case errors.As(err, &e) && e.Scope == ScopeSession:
		if f.lost == nil {
			f.lost = err
		}
	default:
		f.refused = append(f.refused, err)
	}
}

// deliver hands one body to fn. It returns false if the literal was cut: the connection is lost.
func (f *bodyFetch) deliver(uid uint32, literal imap.LiteralReader) (whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &bodyReader{r: literal, left: literal.Size()}
	if f.failed == nil {
		err := f.fn(uid, literal.Size(), r)
		if r.cut && errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // not fn's: it shows as the loss of the connection
		}
		f.failed = err
	}
	n, _ := io.Copy(io.Discard, r) // fails only as the connection does
	if f.failed != nil {
		if f.drained += n; f.drained > drainOctets {
			_ = f.c.w.Fail(errAbandoned)
		}
	}
	return !r.cut
}

// bodyReader reads one literal and knows whether all of it came. go-imap reports a connection that
// ends inside a literal as a plain io.EOF.
type bodyReader struct {
	r    io.Reader
	left int64
	cut  bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.cut {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if err != nil && b.left > 0 {
		b.cut = true
		err = io.ErrUnexpectedEOF
	} else if err != nil {
		err = io.EOF
	}
	return n, err
}
