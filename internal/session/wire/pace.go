package wire

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Octets moved at once on a paced connection: an eighth of a second's worth, within these bounds.
const (
	minPiece = 512
	maxPiece = 64 << 10
)

// Pace bounds how fast all connections that share it read and write together. It is safe for
// several goroutines.
type Pace struct {
	rate  int64 // octets a second
	piece int

	mu   sync.Mutex
	paid time.Time // when all octets moved so far will have had their time
}

// NewPace returns a pace of so many octets a second, which must be positive, reading and writing together.
func NewPace(rate int64) *Pace {
	return &Pace{rate: rate, piece: int(min(max(rate/8, minPiece), maxPiece))}
}

// take books n octets and returns when they will have had their time. What was not used while nothing
// moved is lost, but for one piece.
func (p *Pace) take(n int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if idle := time.Now().Add(-p.time(p.piece)); p.paid.Before(idle) {
		p.paid = idle
	}
	p.paid = p.paid.Add(p.time(n))
	return p.paid
}

// time is what n octets, at most maxPiece, may take.
func (p *Pace) time(n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / p.rate)
}

// Conn puts raw under the pace. A nil Pace returns it as it is. The time in which a Read or Write is
// held back does not count against its deadline; Close ends the wait.
func (p *Pace) Conn(raw net.Conn) net.Conn {
	if p == nil {
		return raw
	}
	return &pacedConn{Conn: raw, pace: p, closed: make(chan struct{})}
}

// pacedConn is a net.Conn under a Pace. One goroutine reads, one writes.
type pacedConn struct {
	net.Conn
	pace   *Pace
	closed chan struct{}
	close  sync.Once

	readFrom, writeFrom time.Time // not sooner

	mu          sync.Mutex
	read, write time.Time // deadlines
}

// Read implements net.Conn.
func (c *pacedConn) Read(b []byte) (int, error) {
	if err := c.await(c.readFrom, &c.read, c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b[:min(len(b), c.pace.piece)])
	c.readFrom = c.pace.take(n)
	return n, err
}

// Write implements net.Conn.
func (c *pacedConn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		if err := c.await(c.writeFrom, &c.write, c.Conn.SetWriteDeadline); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(b[done:min(len(b), done+c.pace.piece)])
		c.writeFrom = c.pace.take(n)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// await waits until from, and puts the deadline off by as long.
func (c *pacedConn) await(from time.Time, deadline *time.Time, set func(time.Time) error) error {
	wait := time.Until(from)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closed:
		return net.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if deadline.IsZero() {
		return nil
	}
	*deadline = deadline.Add(wait)
	return set(*deadline)
}

// Close implements net.Conn.
func (c *pacedConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *pacedConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.write = t, t
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *pacedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *pacedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}

var errNoSocket = errors.New("no socket below")

// SyscallConn implements syscall.Conn.
func (c *pacedConn) SyscallConn() (syscall.RawConn, error) {
	if below, ok := c.Conn.(syscall.Conn); ok {
		return below.SyscallConn()
	}
	return nil, errNoSocket
}
