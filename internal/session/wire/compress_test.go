package wire

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// turned lets a client ask for COMPRESS of a server that answers, in one breath, with answer and
// what more makes of it; then serve goes on.
func turned(t *testing.T, o Options, answer, more string, serve func(server net.Conn)) *Conn {
	t.Helper()
	return connect(t, o, func(server net.Conn) {
		_, _ = server.Write([]byte("* OK hi\r\n"))
		asked := make([]byte, len("M1 COMPRESS DEFLATE\r\n"))
		if _, err := io.ReadFull(server, asked); err != nil || string(asked) != "M1 COMPRESS DEFLATE\r\n" {
			t.Errorf("asked %q, %v", asked, err)
		}
		_, _ = server.Write([]byte(answer + more))
		serve(server)
	})
}

// client reads all that comes, as a client does, and gives it when the connection ends.
func client(c *Conn, size int) <-chan string {
	got := make(chan string, 1)
	go func() {
		var all []byte
		p := make([]byte, size)
		for {
			n, err := c.Read(p)
			all = append(all, p[:n]...)
			if err != nil {
				got <- string(all)
				return
			}
		}
	}()
	return got
}

func deflate(t *testing.T, pieces ...string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		_, _ = w.Write([]byte(p))
		_ = w.Flush()
	}
	return b.String()
}

// TestCompress: what follows the OK is compressed from its first octet, in both directions, whatever
// the sizes of the reads are; lines, literals and calls are what they were.
func TestCompress(t *testing.T) {
	noise := make([]byte, 200<<10)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(noise)
	stream := "* 1 EXISTS\r\n* 1 FETCH (UID 1 BODY[] {204800}\r\n" + string(noise) + " FLAGS ())\r\n* OK done\r\n"
	for _, size := range []int{1, 1000, 100_000} {
		for _, early := range []string{"", "* OK [X] untagged, before\r\n"} {
			sent := make(chan string, 1)
			c := turned(t, Options{}, early+"M1 OK go\r\n", deflate(t, stream[:5], stream[5:100], stream[100:]), func(server net.Conn) {
				in := flate.NewReader(server)
				want := make([]byte, len("T1 UID FETCH 1 (UID BODY.PEEK[])\r\n"))
				_, _ = io.ReadFull(in, want)
				sent <- string(want)
			})
			defer time.AfterFunc(30*time.Second, func() { _ = c.Close() }).Stop() // instead of waiting for ever
			got := client(c, size)
			st, err := c.Compress(t.Context())
			if err != nil || st.Kind != "OK" {
				t.Fatal(st, err)
			}
			if _, err := c.Write([]byte("T1 UID FETCH 1 (UID BODY.PEEK[])\r\n")); err != nil {
				t.Fatal(err)
			}
			if s := <-sent; s != "T1 UID FETCH 1 (UID BODY.PEEK[])\r\n" {
				t.Errorf("the server inflates %q", s)
			}
			if all := <-got; all != "* OK hi\r\n"+early+stream {
				t.Errorf("read by %d: %d octets, want %d", size, len(all), len(stream))
			}
			if !errors.Is(c.Cause(), ErrClosedByServer) {
				t.Errorf("cause %v", c.Cause())
			}
		}
	}
}

// TestPartialFlush is what zlib makes with Z_PARTIAL_FLUSH, which ends no block that a plain inflater
// waits for. Nothing more comes, and the answer must still be read.
func TestPartialFlush(t *testing.T) {
	first, _ := hex.DecodeString("d2523054708df00c0e09e6e50208")
	second, _ := hex.DecodeString("a01043057f6f8594fcbc545e2e8000")
	asked := make(chan struct{})
	c := turned(t, Options{Timeout: 20 * time.Second}, "M1 OK go\r\n", string(first), func(server net.Conn) {
		_, _ = server.Read(make([]byte, 100))
		close(asked)
		_, _ = server.Write(second)
		_, _ = io.Copy(io.Discard, server) // until the client has enough
	})
	defer time.AfterFunc(20*time.Second, func() { _ = c.Close() }).Stop() // instead of waiting for ever
	lines := make(chan string)
	go func() {
		defer close(lines)
		p := make([]byte, 1000)
		for {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			lines <- string(p[:n])
		}
	}()
	if l := <-lines; l != "* OK hi\r\n" {
		t.Fatal(l)
	}
	if _, err := c.Compress(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := <-lines; l != "* 1 EXISTS\r\n" {
		t.Errorf("got %q", l)
	}
	go func() { _, _ = c.Write([]byte("T1 NOOP\r\n")) }()
	select {
	case <-asked:
	case <-c.Lost():
	}
	if l := <-lines; l != "T1 OK done\r\n" {
		t.Errorf("got %q", l)
	}
	_ = c.Close()
	for range lines { // until the reader has ended
	}
}

func TestCompressRefused(t *testing.T) {
	c := turned(t, Options{}, "* OK wait\r\nM1 NO not today\r\n* 1 EXISTS\r\n", "", func(server net.Conn) {
		_, _ = io.ReadFull(server, make([]byte, len("T1 NOOP\r\n")))
		_, _ = server.Write([]byte("T1 OK done\r\n"))
	})
	got := client(c, 100)
	if st, err := c.Compress(t.Context()); err != nil || st.Kind != "NO" || st.Text != "not today" {
		t.Fatal(st, err)
	}
	if _, err := c.Write([]byte("T1 NOOP\r\n")); err != nil {
		t.Fatal(err)
	}
	if all, want := <-got, "* OK hi\r\n* OK wait\r\n* 1 EXISTS\r\nT1 OK done\r\n"; all != want {
		t.Errorf("got %q", all)
	}
}

// TestHostileStream: what a compressed stream can do to a client, and what ends it.
func TestHostileStream(t *testing.T) {
	const patience = 100 * time.Millisecond
	empty := string([]byte{0, 0, 0, 0xff, 0xff}) // a stored block of nothing
	for name, c := range map[string]struct {
		stream string
		again  string // sent on and on
		is     func(error) bool
	}{
		"garbage":         {"\xff\xff\xff\xff", "", func(err error) bool { return errors.As(err, new(flateError)) }},
		"an endless line": {deflate(t, strings.Repeat("x", 3<<20)), "", func(err error) bool { return errors.Is(err, ErrLineTooLong) }},
		"a huge string": {
			deflate(t, "* LIST () NIL {99999999}\r\n"+strings.Repeat("\x00", 5<<20)), "",
			func(err error) bool { return errors.Is(err, ErrStringTooLong) },
		},
		"the last block": {"\x03\x00", "", func(err error) bool { return errors.Is(err, ErrClosedByServer) }},
		"half a block":   {deflate(t, "* 1 EXISTS\r\n")[:5], "", func(err error) bool { return errors.Is(err, ErrClosedByServer) }},
		"nothing, for ever": {"", empty, func(err error) bool {
			var silent *SilentError
			return errors.As(err, &silent) && silent.Chatter
		}},
		"silence": {"", "silent", func(err error) bool {
			var silent *SilentError
			return errors.As(err, &silent) && !silent.Chatter
		}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := turned(t, Options{Timeout: patience}, "M1 OK go\r\n", c.stream, func(server net.Conn) {
				if c.again == "" {
					return
				}
				if c.again == "silent" {
					_, _ = io.Copy(io.Discard, server)
					return
				}
				go func() { _, _ = io.Copy(io.Discard, server) }()
				for {
					if _, err := server.Write([]byte(c.again)); err != nil {
						return
					}
					time.Sleep(patience / 50)
				}
			})
			got := client(conn, 50_000)
			_, _ = conn.Compress(t.Context()) // its answer and the end come in one breath
			_, _ = conn.Write([]byte("T1 NOOP\r\n"))
			<-got
			if !c.is(conn.Cause()) {
				t.Errorf("cause %v", conn.Cause())
			}
		})
	}
}

type flateError = flate.CorruptInputError

// TestCompressCancelled: ctx ends the wait and with it the connection, whose streams nobody knows any more.
func TestCompressCancelled(t *testing.T) {
	c := turned(t, Options{}, "", "", func(server net.Conn) { _, _ = server.Read(make([]byte, 1)) })
	got := client(c, 100)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Compress(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-got
	if !errors.Is(c.Cause(), context.DeadlineExceeded) {
		t.Errorf("cause %v", c.Cause())
	}
}

// FuzzInflate reads arbitrary octets after the OK of COMPRESS: it must end, without a panic.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("\x03\x00"))
	f.Add([]byte{0, 0, 0, 0xff, 0xff, 0, 2, 0, 0xfd, 0xff, '*', ' '})
	f.Fuzz(func(t *testing.T, octets []byte) {
		n := &fakeNet{r: io.MultiReader(strings.NewReader("* OK hi\r\nM1 OK\r\n"), bytes.NewReader(octets))}
		c := New(n, n, Options{})
		call, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.turning = call
		p := make([]byte, 20_000)
		total := 0
		for {
			n, err := c.Read(p)
			if total += n; err != nil {
				break
			}
		}
		if limit := len("* OK hi\r\n") + 1032*len(octets); total > limit {
			t.Errorf("%d octets out of %d", total, len(octets))
		}
		if len(octets) > 0 && c.Cause() == nil {
			t.Error("no cause")
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	var stream bytes.Buffer
	w, _ := flate.NewWriter(&stream, 6)
	var plain bytes.Buffer
	for range 500 {
		plain.WriteString("* 1 FETCH (UID 1 BODY[] {12288}\r\n" + strings.Repeat("the quick brown fox jumps over\r\n", 384) + ")\r\n")
	}
	_, _ = w.Write(plain.Bytes())
	_ = w.Flush()
	p := make([]byte, 64<<10)
	b.SetBytes(int64(plain.Len()))
	for b.Loop() {
		n := &fakeNet{r: io.MultiReader(strings.NewReader("M1 OK\r\n"), bytes.NewReader(stream.Bytes()))}
		c := New(n, n, Options{})
		call, err := c.Start(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		c.turning = call
		for {
			if _, err := c.Read(p); err != nil {
				break
			}
		}
	}
}
