package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pacedPair is a paced connection and the other end of it.
func pacedPair(t *testing.T, p *Pace) (near, far net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	near = p.Conn(a)
	t.Cleanup(func() { _, _ = near.Close(), b.Close() })
	return near, b
}

// All that connections of one pace read and write together takes its time, and not much more.
func TestPaceShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, octets = 1 << 20, 10 << 20
		pace := NewPace(rate)
		var wg sync.WaitGroup
		began := time.Now()
		for range 2 {
			near, far := pacedPair(t, pace)
			wg.Go(func() { _, _ = far.Write(make([]byte, octets)) })
			wg.Go(func() { _, _ = io.ReadFull(near, make([]byte, octets)) })
			wg.Go(func() { _, _ = near.Write(make([]byte, octets)) })
			wg.Go(func() { _, _ = io.ReadFull(far, make([]byte, octets)) })
		}
		wg.Wait()
		took, want := time.Since(began), 4*octets/rate*time.Second
		if took < want-time.Second || took > want+time.Second {
			t.Errorf("%d octets took %v, want %v", 4*octets, took, want)
		}
	})
}

// Time in which nothing moves is no credit to be used up in one go.
func TestPaceKeepsNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pacedPair(t, NewPace(1000))
		go func() { _, _ = far.Write(make([]byte, 10_001)) }()
		_, _ = io.ReadFull(near, make([]byte, 1))
		time.Sleep(time.Hour)
		began := time.Now()
		_, _ = io.ReadFull(near, make([]byte, 10_000))
		if took := time.Since(began); took < 8*time.Second {
			t.Errorf("10 seconds' worth took %v", took)
		}
	})
}

// The time for which a connection is held back does not count against its deadline; silence does.
func TestPaceDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pacedPair(t, NewPace(1000))
		go func() { _, _ = far.Write(make([]byte, 60_000)) }()
		_ = near.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := io.ReadFull(near, make([]byte, 60_000)); err != nil {
			t.Errorf("after %d octets: %v", n, err)
		}
		_, err := near.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent peer: %v", err)
		}
	})
}

func TestPaceClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pacedPair(t, NewPace(1000))
		go func() { _, _ = io.Copy(io.Discard, far) }()
		failed := make(chan error)
		go func() {
			_, err := near.Write(make([]byte, 1<<20))
			failed <- err
		}()
		time.Sleep(10 * time.Second)
		began := time.Now()
		_ = near.Close()
		if err := <-failed; err == nil || time.Since(began) > 0 {
			t.Errorf("a closed connection wrote on for %v: %v", time.Since(began), err)
		}
	})
}

// A literal that takes hours at the pace chosen is no silence of the server.
func TestPaceUnderConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pacedPair(t, NewPace(1000))
		c := New(near, near, Options{Timeout: time.Minute})
		defer func() { _ = c.Close() }()
		const size = 10 << 20
		go func() {
			_, _ = io.WriteString(far, "* OK ready\r\n")
			_, _ = io.ReadFull(far, make([]byte, len("a FETCH 1 BODY.PEEK[]\r\n")))
			_, _ = io.WriteString(far, "* 1 FETCH (BODY[] {10485760}\r\n")
			_, _ = far.Write(make([]byte, size))
			_, _ = io.WriteString(far, ")\r\na OK done\r\n")
		}()
		if _, err := io.ReadFull(c, make([]byte, len("* OK ready\r\n"))); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "a FETCH 1 BODY.PEEK[]\r\n")
		n, err := io.CopyN(io.Discard, c, size)
		if err != nil {
			t.Errorf("after %d octets: %v", n, err)
		}
	})
}

func TestNoPace(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	var none *Pace
	if none.Conn(a) != a {
		t.Error("no pace is no wrapper")
	}
}
