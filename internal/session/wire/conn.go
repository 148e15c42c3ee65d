package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	inBuffer    = 64 << 10 // octets read at once when lines are expected
	directRead  = 16 << 10 // a reader with this much room takes literals straight from the network
	writeChunk  = 64 << 10 // octets written before the clock of silence starts again
	lastWords   = time.Second
	greetingTag = "greeting"
)

// ErrClosedByServer is the cause when the server closes the connection without a word or after BYE.
var ErrClosedByServer = errors.New("the server closed the connection")

// SilentError is the cause when an answer is owed and nothing moves, or (Chatter) nothing that answers.
type SilentError struct {
	After   time.Duration
	Chatter bool
}

func (e *SilentError) Error() string {
	if e.Chatter {
		return fmt.Sprintf("server talks, but gave no answer for %v", e.After)
	}
	return fmt.Sprintf("server silent for %v", e.After)
}

// Timeout makes it a net.Error in spirit.
func (e *SilentError) Timeout() bool { return true }

// Options are the knobs of a Conn.
type Options struct {
	Timeout  time.Duration // longest silence while an answer is owed; 0: 5 minutes
	Greeting time.Duration // longest wait for the greeting; 0: Timeout
	Preface  []byte        // read before the first octet off the network; must be whole lines
	QuickAck bool          // acknowledge at once while a continuation request is awaited
	Tape     *Tape         // takes down both streams; nil: nothing
	Log      *slog.Logger  // nil: none
	// News reports whether words of the server are to be shown to the user; nil: always. It is called
	// under the Conn's lock.
	News func(words string) bool
	// RawName gives the octets of a mailbox name that go-imap would write otherwise; ok is false for all
	// others. It may be called from any goroutine. nil: there are none.
	RawName func(name string) (raw string, ok bool)
}

// Seen is what the server said beside the answers the client reads.
type Seen struct {
	Greeting  Status
	Bye       string // words of the last BYE
	Alert     string // words of the last [ALERT]
	Complaint string // words of the last untagged NO or BAD
	Identity  string // the parenthesised list of ID
	CapsSent  bool   // the answer to LOGIN or AUTHENTICATE carried the capabilities
	ReadOnly  bool   // the answer to the last SELECT or EXAMINE said READ-ONLY
	PermFlags bool   // … and PERMANENTFLAGS came with it
}

// Conn is a net.Conn for one IMAP client. Read and Write are for the client alone; the other methods
// may be called from any goroutine.
type Conn struct {
	opts    Options
	inner   net.Conn  // TLS or TCP
	raw     net.Conn  // TCP
	source  io.Reader // what the server sends: the network, or what it inflates to
	sink    io.Writer // what is sent: inner, or a compressor above it
	log     *slog.Logger
	lsub    atomic.Bool
	allowed atomic.Pointer[allowance]
	gather  atomic.Pointer[names]

	in      Scanner
	buf     []byte
	queue   [][]byte // what the client is to read next; points into buf
	readErr error
	rules   []answerRule
	items   []itemRule
	numbers numbers
	behind  behind     // of the FETCH answer that is passing
	half    *fetchLine // held until the next line shows whether it has the rest
	whole   []byte     // a response with mailbox names as literals, being made one line
	hidden  bool       // the response that is passing is not for the client
	broken  bool       // nothing the server said after a contradiction is for the client

	out        Scanner
	turn       chan struct{} // held by whoever is in the middle of a command
	midCommand bool          // the client is

	mu         sync.Mutex
	owed       map[string]command // by tag
	answered   string             // tag of the answer that was read last
	calls      map[string]*Call
	asking     *Call // awaits a continuation request
	turning    *Call // COMPRESS, until its answer is read
	seen       Seen
	secrets    []string // words the server may echo
	cause      error
	deadline   time.Time // of the read, zero if none
	paused     time.Time // when the client last had enough to read
	progressed time.Time // when something last moved that is part of an answer
	closed     bool
	lost       chan struct{}
	tags       int
}

type command struct {
	name   string // upper case; UID FETCH is FETCH
	bodies bool   // FETCH of BODY.PEEK[]
	uid    uint32 // of the only message it asks for; 0: there are several
	want   items  // of FETCH
}

// New wraps an established connection. raw is the TCP connection below inner; it may be the same.
func New(inner, raw net.Conn, o Options) *Conn {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Greeting <= 0 {
		o.Greeting = o.Timeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Conn{
		opts: o, inner: inner, raw: raw, log: o.Log,
		buf:   make([]byte, inBuffer),
		rules: answerRules(),
		items: itemRules(),
		turn:  make(chan struct{}, 1),
		owed:  map[string]command{greetingTag: {}},
		calls: map[string]*Call{},
		lost:  make(chan struct{}),

		progressed: time.Now(),
	}
	c.source, c.sink = network{c}, inner
	if o.Tape != nil {
		o.Tape.redact = c.Redact
	}
	if len(o.Preface) > 0 {
		// A preface is whole lines and shorter than a line may be: Feed cannot refuse it.
		_ = c.in.Feed(o.Preface, c.takeLine, c.takeLiteral)
	}
	return c
}

// Read implements net.Conn for the client.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.queue) == 0 {
		if c.readErr != nil {
			return 0, c.readErr
		}
		if n := c.in.Literal(); n > 0 && len(p) >= directRead && !c.hidden && !c.broken && c.whole == nil {
			return c.readLiteral(p[:min(int64(len(p)), n)])
		}
		n, err := c.receive(c.buf)
		if ferr := c.feed(c.buf[:n]); ferr != nil {
			err = c.Fail(ferr)
		}
		if err != nil {
			c.readErr = err
			c.flushHalf()
			if rest := c.in.Rest(); len(rest) > 0 {
				c.queue = append(c.queue, rest)
			}
		}
	}
	n := copy(p, c.queue[0])
	if n == len(c.queue[0]) {
		c.queue = c.queue[1:]
	} else {
		c.queue[0] = c.queue[0][n:]
	}
	return n, nil
}

func (c *Conn) readLiteral(p []byte) (int, error) {
	n, err := c.receive(p)
	c.in.Skip(n)
	c.opts.Tape.heardLiteral(n, c.in.Literal())
	c.progress()
	if n > 0 {
		c.readErr = err
		return n, nil
	}
	return 0, err
}

// receive reads once from the network. Its error is the cause of the loss.
func (c *Conn) receive(p []byte) (int, error) {
	c.resume()
	defer c.pause()
	n, err := c.source.Read(p)
	if err != nil {
		return 0, c.Fail(err)
	}
	return n, nil
}

// patienceLocked is the longest silence allowed at the moment; ok is false if nothing is owed.
func (c *Conn) patienceLocked() (time.Duration, bool) {
	if _, greeting := c.owed[greetingTag]; greeting {
		return c.opts.Greeting, true
	}
	return c.opts.Timeout, len(c.owed) > 0
}

// touch starts the clock of silence again, or stops it when nothing is owed. The lock makes sure that
// the reader's "nothing owed" never overtakes a writer's new command.
func (c *Conn) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var deadline time.Time
	if wait, ok := c.patienceLocked(); ok {
		deadline = time.Now().Add(min(wait, max(c.chatterLeftLocked(), 0)))
	}
	c.deadline = deadline
	// A deadline that cannot be set means a closed connection, which the next Read reports.
	_ = c.inner.SetReadDeadline(deadline)
}

// Write implements net.Conn for the client. A line goes out when it is complete.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.midCommand {
		select {
		case c.turn <- struct{}{}:
			c.midCommand = true
		case <-c.lost:
			return 0, c.err()
		}
	}
	out, err := c.takeCommands(p)
	if err != nil {
		return 0, c.Fail(err)
	}
	if err := out.send(c); err != nil {
		return 0, err
	}
	if c.out.AtStart() {
		c.midCommand = false
		<-c.turn
	}
	return len(p), nil
}

// send writes octets in pieces, so that a slow line shows progress.
func (c *Conn) send(p []byte) error {
	c.opts.Tape.Sent(p)
	for len(p) > 0 {
		piece := p[:min(len(p), writeChunk)]
		c.progress()
		c.touch()
		_ = c.inner.SetWriteDeadline(time.Now().Add(c.opts.Timeout)) // as in touch
		if _, err := c.sink.Write(piece); err != nil {
			return c.failWriting(err)
		}
		p = p[len(piece):]
	}
	c.progress()
	c.touch()
	return nil
}

// failWriting gives the reader a moment to find the server's last words, which say more than the
// broken pipe does.
func (c *Conn) failWriting(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return c.Fail(&SilentError{After: c.opts.Timeout})
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-c.lost:
	case <-timer.C:
	}
	return c.Fail(err)
}

// Fail ends the connection. The first cause stays; it is returned, and wrapped by every later error.
func (c *Conn) Fail(cause error) error {
	c.mu.Lock()
	first := !c.closed
	if first {
		c.closed = true
		c.cause = cause
		close(c.lost)
	}
	cause = c.causeLocked()
	c.mu.Unlock()
	switch {
	case first && cause == net.ErrClosed: //nolint:errorlint // causeLocked's own: closed from our side
		c.opts.Tape.Note("closed by us")
	case first:
		c.opts.Tape.Note("lost: %v", cause)
	}
	_ = c.raw.Close() // a second close is harmless, and no error of it helps anybody
	return cause
}

// Close implements net.Conn for the client.
func (c *Conn) Close() error {
	_ = c.Fail(nil)
	return nil
}

func (c *Conn) causeLocked() error {
	if c.cause == nil {
		return net.ErrClosed
	}
	return c.cause
}

func (c *Conn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.causeLocked()
}

// Cause tells why the connection was lost: a *SilentError, ErrClosedByServer, the network's error, or
// what Fail was given. nil: it is not lost, or was closed from our side.
func (c *Conn) Cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Lost is closed when the connection has ended.
func (c *Conn) Lost() <-chan struct{} { return c.lost }

// Guard ends the connection when ctx does. The returned function takes the guard away.
func (c *Conn) Guard(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.Fail(context.Cause(ctx)) })
}

// UseLSUB makes the client's LIST (SUBSCRIBED) go out as LSUB.
func (c *Conn) UseLSUB(on bool) { c.lsub.Store(on) }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline ignores the client's deadline; see the package's promise.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline ignores the client's deadline.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline ignores the client's deadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
