package imaptest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestChaosProxy sends octets both ways through the proxy: what arrives is a beginning of what was sent, never anything else; some
// connections carry all, most do not; the same seed deals the same fates.
func TestChaosProxy(t *testing.T) {
	t.Parallel()
	want := make([]byte, 100_000)
	for i := range want {
		want[i] = byte(i * 13)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // an echo
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	before := -1
	for range 2 {
		c, err := StartChaos(ChaosOptions{To: ln.Addr().String(), Seed: 5, Reach: 1 << 19, Pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		var whole atomic.Int64
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				got := echoed(t, c.Addr, want)
				if !bytes.HasPrefix(want, got) {
					t.Error("a connection changed what it carried")
				}
				if len(got) == len(want) {
					whole.Add(1)
				}
			})
		}
		all.Wait()
		n := int(whole.Load())
		if n == 0 || n > 25 || c.Connections.Load() != 40 || c.Cuts.Load() < 10 || c.Silences.Load() == 0 {
			t.Errorf("%d whole of %d connections, %d cut, %d silent", n, c.Connections.Load(), c.Cuts.Load(), c.Silences.Load())
		}
		if before >= 0 && before != n {
			t.Errorf("the same seed let %d through, then %d", before, n)
		}
		before = n
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// echoed sends octets and returns what comes back.
func echoed(t *testing.T, addr string, octets []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = conn.Close() }()
	go func() { _, _ = conn.Write(octets) }()
	var got []byte
	buf := make([]byte, 32<<10)
	for len(got) < len(octets) {
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second)) // a silence that does not end
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	return got
}
