package imaptest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ChaosOptions are the knobs of StartChaos.
type ChaosOptions struct {
	To    string        // host:port of the server
	Seed  uint64        // decides the fate of every connection, by its number
	Reach int64         // octets from the server within which a connection's fate strikes; 0: 1 MiB
	Pause time.Duration // the longest silence that ends
}

// Chaos is a TCP proxy on loopback with bad luck. Each connection has a fate: it is closed at once; it is cut after some number
// of octets in either direction, in good order or by a reset; it falls silent there for ever, or for up to Pause; or nothing
// happens. Some trickle in small pieces, with little rests between.
type Chaos struct {
	Addr string

	opts    ChaosOptions
	ln      net.Listener
	serving sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool
	closed  bool

	Connections, Cuts, Silences atomic.Uint64
}

// StartChaos starts a proxy. The caller must call Close.
func StartChaos(o ChaosOptions) (*Chaos, error) {
	if o.Reach <= 0 {
		o.Reach = 1 << 20
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	c := &Chaos{Addr: ln.Addr().String(), opts: o, ln: ln, open: map[net.Conn]bool{}}
	c.serving.Go(c.serve)
	return c, nil
}

// Close ends the proxy and all its connections.
func (c *Chaos) Close() error {
	err := c.ln.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close() // what they carry is of no interest any more
	}
	c.mu.Unlock()
	c.serving.Wait()
	if err != nil {
		return fmt.Errorf("close proxy: %w", err)
	}
	return nil
}

// keep registers a connection, to be closed at the end.
func (c *Chaos) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close() // nobody waits for it
		return false
	}
	c.open[conn] = true
	return true
}

func (c *Chaos) drop(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
	_ = conn.Close() // the fault, or the end
}

func (c *Chaos) serve() {
	for {
		client, err := c.ln.Accept()
		if err != nil {
			return // by Close
		}
		number := c.Connections.Add(1)
		c.serving.Go(func() { c.carry(client, number) })
	}
}

func (c *Chaos) carry(client net.Conn, number uint64) {
	if !c.keep(client) {
		return
	}
	defer c.drop(client)
	f := c.fate(number)
	if f.kind == atOnce {
		c.Cuts.Add(1)
		return
	}
	var d net.Dialer
	server, err := d.Dial("tcp", c.opts.To)
	if err != nil || !c.keep(server) {
		return
	}
	defer c.drop(server)
	up := &current{chaos: c, from: client, to: server, fate: f, piece: f.piece}
	down := &current{chaos: c, from: server, to: client, fate: f, piece: f.piece}
	if f.upwards {
		up.mortal = true
	} else {
		down.mortal = true
	}
	done := make(chan struct{}, 2)
	for _, s := range []*current{up, down} {
		c.serving.Go(func() { s.run(); done <- struct{}{} })
	}
	<-done
	if f.kind == reset {
		if tcp, ok := client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // else it is closed in good order, which is a fault too
		}
	}
}

type fateKind int

const (
	none fateKind = iota
	atOnce
	end
	reset
	silence
	hiccup
)

// fate is what happens to one connection.
type fate struct {
	kind    fateKind
	upwards bool          // it strikes what the client sends
	after   int64         // octets in that direction
	pause   time.Duration // of a hiccup
	piece   int           // octets passed on at once, at most
	rests   int           // so many pieces are followed by a little rest
}

// fate draws the fate of a connection. Half of all small numbers of octets are below a thousand, so that greeting, signing in
// and listing are struck as often as mail.
func (c *Chaos) fate(number uint64) fate {
	rng := rand.New(rand.NewPCG(c.opts.Seed, number))
	f := fate{kind: []fateKind{none, atOnce, end, end, end, reset, reset, reset, reset, silence, hiccup}[rng.IntN(11)]}
	f.upwards = rng.IntN(4) == 0
	reach := c.opts.Reach
	if f.upwards {
		reach = min(reach, 4000)
	}
	bits := 0
	for reach>>bits > 1 {
		bits++
	}
	f.after = 1 + rng.Int64N(1<<(1+rng.IntN(bits)))
	f.pause = time.Duration(rng.Int64N(int64(c.opts.Pause) + 1))
	f.piece = []int{1, 7, 100, 1500, 32 << 10, 32 << 10}[rng.IntN(6)]
	f.rests = rng.IntN(20)
	return f
}

// current is one direction of a connection.
type current struct {
	chaos    *Chaos
	from, to net.Conn
	fate     fate
	mortal   bool // the fate strikes here
	passed   int64
	piece    int
}

// fragmented is how many octets of a direction come in small pieces; the rest would take too long.
const fragmented = 64 << 10

// run passes octets on until the connection ends or its fate strikes.
func (s *current) run() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.from.Read(buf)
		if !s.pass(buf[:n]) || err != nil {
			return
		}
	}
}

func (s *current) pass(b []byte) bool {
	for len(b) > 0 {
		n := len(b)
		if s.passed < fragmented {
			n = min(n, s.piece)
		}
		if left := s.fate.after - s.passed; s.mortal && left > 0 {
			n = min(n, int(min(left, int64(n))))
		}
		if _, err := s.to.Write(b[:n]); err != nil {
			return false
		}
		b = b[n:]
		s.passed += int64(n)
		if s.mortal && s.passed == s.fate.after && !s.strike() {
			return false
		}
		if s.fate.rests > 0 && n == s.piece {
			s.fate.rests--
			time.Sleep(time.Millisecond)
		}
	}
	return true
}

// strike lets the fate happen. It returns false if that is the end of the connection.
func (s *current) strike() bool {
	switch s.fate.kind {
	case end, reset:
		s.chaos.Cuts.Add(1)
		return false
	case silence:
		s.chaos.Silences.Add(1)
		_, _ = io.Copy(io.Discard, s.from) // until somebody has had enough of it
		return false
	case hiccup:
		time.Sleep(s.fate.pause)
	}
	return true
}
