package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// fakeNet is a network whose server says a fixed text.
type fakeNet struct {
	net.Conn
	r      io.Reader
	w      bytes.Buffer
	closed bool
}

func (f *fakeNet) Read(p []byte) (int, error)       { return f.r.Read(p) }
func (f *fakeNet) Write(p []byte) (int, error)      { return f.w.Write(p) }
func (f *fakeNet) Close() error                     { f.closed = true; return nil }
func (f *fakeNet) SetReadDeadline(time.Time) error  { return nil }
func (f *fakeNet) SetWriteDeadline(time.Time) error { return nil }

// relay gives what a client reads that has sent the given commands.
func relay(t *testing.T, server io.Reader, readSize int, commands ...string) (*Conn, string) {
	t.Helper()
	n := &fakeNet{r: server}
	c := New(n, n, Options{})
	for _, cmd := range commands {
		if _, err := c.Write([]byte(cmd)); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	p := make([]byte, readSize)
	for {
		k, err := c.Read(p)
		got = append(got, p[:k]...)
		if err != nil {
			return c, string(got)
		}
	}
}

func TestRules(t *testing.T) {
	const fetch = "T1 UID FETCH 1:9 (UID BODY.PEEK[])\r\n"
	const meta = "T2 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n"
	same := func(s string) [2]string { return [2]string{s, s} }
	for _, c := range []struct {
		name     string
		commands []string
		stream   [2]string // from the server, to the client
	}{
		{"untouched", []string{"T1 EXAMINE x\r\n"}, same("* OK hi\r\n* 1 EXISTS\r\nT1 OK [READ-ONLY] x\r\n")},
		{"ID", nil, [2]string{"* ID (\"name\" \"x\")\r\n* id (\"a\" NIL)\r\n", "* ID NIL\r\n* ID NIL\r\n"}},
		{"ID in a message", []string{fetch}, same("* 1 FETCH (UID 1 BODY[] {16}\r\n* ID (\"a\" \"b\")\r\n)\r\n")},
		{"rev1 and rev2", nil, [2]string{
			"* CAPABILITY IMAP4rev1 IMAP4rev2 IDLE\r\n* OK [CAPABILITY IMAP4REV2 IMAP4rev1] x\r\n",
			"* CAPABILITY IMAP4rev1 NAMESPACE UIDPLUS LIST-EXTENDED LIST-STATUS ESEARCH SPECIAL-USE UNSELECT ENABLE LITERAL- IDLE\r\n" +
				"* OK [CAPABILITY NAMESPACE UIDPLUS LIST-EXTENDED LIST-STATUS ESEARCH SPECIAL-USE UNSELECT ENABLE LITERAL- IMAP4rev1] x\r\n",
		}},
		{"rev2 alone", nil, same("* CAPABILITY IMAP4rev2 IDLE\r\n")},
		{"rev2 elsewhere", nil, same("* LIST () \"/\" \"IMAP4rev1 IMAP4rev2\"\r\n")},
		{"LSUB", nil, [2]string{
			"* LSUB () \".\" a\r\n* lsub () NIL {1}\r\nb\r\n", "* LIST () \".\" a\r\n* LIST () NIL \"b\"\r\n",
		}},
		{"flags before the body", []string{fetch}, [2]string{
			"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 BODY[] {1}\r\nx)\r\n",
			"* 1 FETCH (UID 1 BODY[] {1}\r\nx)\r\n",
		}},
		{"NIL and quoted bodies stay", []string{fetch}, same("* 1 FETCH (UID 1 BODY[] NIL)\r\n* 2 FETCH (UID 2 body[] \"x\")\r\n")},
		{"flags when data is asked for", []string{meta}, same("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")},
		{"flags when both are asked for", []string{fetch, meta}, same("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")},
		{"flags when nothing is asked for", nil, same("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")},
		{"flags after the answer", []string{fetch}, same("T1 OK done\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")},
		{"half a line at the end", nil, same("* OK hi\r\n* 1 EXI")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 100, 100_000} {
				for name, r := range map[string]io.Reader{
					"at once":      strings.NewReader(c.stream[0]),
					"octet by one": iotest.OneByteReader(strings.NewReader(c.stream[0])),
					"by halves":    iotest.HalfReader(strings.NewReader(c.stream[0])),
				} {
					if _, got := relay(t, r, size, c.commands...); got != c.stream[1] {
						t.Errorf("%s, read by %d: got\n%q, want\n%q", name, size, got, c.stream[1])
					}
				}
			}
		})
	}
}

func TestLSUBCommand(t *testing.T) {
	n := &fakeNet{r: strings.NewReader("")}
	c := New(n, n, Options{})
	const list = "T1 LIST (SUBSCRIBED) \"\" \"*\"\r\n"
	for _, on := range []bool{false, true} {
		c.UseLSUB(on)
		if _, err := c.Write([]byte(list)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := n.w.String(), list+"T1 LSUB \"\" \"*\"\r\n"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestBoundedStrings(t *testing.T) {
	for line, ok := range map[string]bool{
		"* 1 FETCH (UID 1 BODY[] {5000000}\r\n":                      true,
		"* 1 FETCH (UID 1 body[]<0> {5000000} \r\n":                  true,
		"* 1 FETCH (BODY[HEADER] {9}\r\n":                            true,
		"* LIST () \"/\" {1000}\r\n":                                 true,
		"* LIST () \"/\" {5000000}\r\n":                              false,
		"* 1 FETCH (ENVELOPE ({5000000}\r\n":                         false,
		"* 1 FETCH (ENVELOPE (\"x BODY[] {5000000}\r\n":              false,
		"* 1 FETCH (ENVELOPE (\"BODY[] \" {5000000}\r\n":             false,
		"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (\"a\")] {5000000}\r\n": false, // never asked for
		"* 1 FETCH (UID 1 BODY[] {999999999999999999}\r\n":           true,
		"* 1 FETCH (UID 1 FLAGS () INTERNALDATE {5000000}\r\n":       false,
	} {
		n := &fakeNet{r: strings.NewReader("* OK hi\r\n" + line)}
		c := New(n, n, Options{})
		for range 3 {
			_, _ = c.Read(make([]byte, 1000))
		}
		if got := !errors.Is(c.Cause(), ErrStringTooLong); got != ok {
			t.Errorf("%q taken: %v", line, got)
		}
	}
}

func TestSeen(t *testing.T) {
	c, _ := relay(t, strings.NewReader("* OK [CAPABILITY IMAP4rev1] Dovecot ready\r\n"+
		"* ID (\"name\" \"Dovecot\")\r\nT1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* OK [PERMANENTFLAGS ()] none\r\n"+
		"T2 OK [READ-ONLY] selected\r\n* OK [ALERT] mind the gap\r\n* NO nearly full\r\n"+
		"* BYE Session expired, please login again.\r\n"), 100, "T1 LOGIN a b\r\n", "T2 EXAMINE INBOX\r\n")
	want := Seen{
		Greeting: Status{"*", "OK", "CAPABILITY", "IMAP4rev1", "Dovecot ready"},
		Bye:      "Session expired, please login again.", Alert: "mind the gap", Complaint: "nearly full",
		Identity: "(\"name\" \"Dovecot\")", CapsSent: true, ReadOnly: true, PermFlags: true,
	}
	if got := c.Seen(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !errors.Is(c.Cause(), ErrClosedByServer) {
		t.Errorf("cause %v", c.Cause())
	}
}

// connect runs serve as the server of a real connection.
func connect(t *testing.T, o Options, serve func(server net.Conn)) *Conn {
	t.Helper()
	client, server := net.Pipe()
	c := New(client, client, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = server.Close() }()
		serve(server)
	}()
	t.Cleanup(func() {
		_ = c.Close()
		_ = server.Close()
		<-done
	})
	return c
}

func TestSilence(t *testing.T) { synctest.Test(t, silence) }

func silence(t *testing.T) {
	const patience = 50 * time.Millisecond
	release := make(chan struct{})
	c := connect(t, Options{Timeout: patience}, func(server net.Conn) {
		_, _ = server.Write([]byte("* OK hi\r\n"))
		_, _ = server.Read(make([]byte, 100))
		<-release
		_, _ = server.Write([]byte("T1 OK\r\n"))
		_, _ = server.Read(make([]byte, 100)) // T2, never answered
		_, _ = server.Read(make([]byte, 100))
	})
	p := make([]byte, 100)
	if _, err := c.Read(p); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	read := func() {
		_, err := c.Read(p)
		got <- err
	}
	go read()
	select {
	case err := <-got:
		t.Fatalf("nothing was owed, yet Read ended: %v", err)
	case <-time.After(3 * patience):
	}
	if _, err := c.Write([]byte("T1 NOOP\r\n")); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	go read()
	if _, err := c.Write([]byte("T2 NOOP\r\n")); err != nil {
		t.Fatal(err)
	}
	var silent *SilentError
	if err := <-got; !errors.As(err, &silent) || silent.After != patience {
		t.Errorf("got %v, want a SilentError", err)
	}
	if !errors.As(c.Cause(), &silent) {
		t.Errorf("cause %v", c.Cause())
	}
}

func TestProgressIsNoSilence(t *testing.T) { synctest.Test(t, slowProgress) }

func slowProgress(t *testing.T) {
	const patience = 100 * time.Millisecond
	c := connect(t, Options{Timeout: patience}, func(server net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, server) }()
		_, _ = server.Write([]byte("* OK hi\r\n* 1 FETCH (UID 1 BODY[] {10}\r\n"))
		for range 10 { // altogether longer than the patience
			time.Sleep(patience / 4)
			_, _ = server.Write([]byte("x"))
		}
		_, _ = server.Write([]byte(")\r\n"))
	})
	if _, err := c.Write([]byte("T1 UID FETCH 1 (UID BODY.PEEK[])\r\n")); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(c)
	if want := "xxxxxxxxxx)\r\n"; !strings.HasSuffix(string(got), want) {
		t.Errorf("cut short: %q, cause %v", got, c.Cause())
	}
}

func TestGreetingTimeout(t *testing.T) {
	c := connect(t, Options{Timeout: time.Hour, Greeting: 20 * time.Millisecond}, func(server net.Conn) {
		_, _ = server.Read(make([]byte, 1))
	})
	var silent *SilentError
	if _, err := c.Read(make([]byte, 10)); !errors.As(err, &silent) {
		t.Errorf("got %v", err)
	}
}

func TestGuard(t *testing.T) {
	c := connect(t, Options{}, func(server net.Conn) { _, _ = server.Read(make([]byte, 1)) })
	reason := errors.New("the user had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer c.Guard(ctx)()
	time.AfterFunc(10*time.Millisecond, func() { cancel(reason) })
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, reason) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.Write([]byte("T1 NOOP\r\n")); !errors.Is(err, reason) {
		t.Errorf("Write: %v", err)
	}
	if !errors.Is(c.Cause(), reason) {
		t.Errorf("Cause: %v", c.Cause())
	}
}

func TestLastWordsBeforeBrokenPipe(t *testing.T) {
	client, server := net.Pipe()
	c := New(client, client, Options{})
	go func() {
		_, _ = server.Write([]byte("* OK hi\r\n* BYE shutting down\r\n"))
		_ = server.Close()
	}()
	go func() { _, _ = io.Copy(io.Discard, c) }()
	if _, err := c.Write([]byte("T1 NOOP\r\n")); !errors.Is(err, ErrClosedByServer) {
		t.Errorf("Write: %v", err)
	}
	if c.Seen().Bye != "shutting down" {
		t.Errorf("the last words are lost: %+v", c.Seen())
	}
}

func TestCallAmongClientCommands(t *testing.T) {
	var heard bytes.Buffer
	c := connect(t, Options{}, func(server net.Conn) {
		_, _ = server.Write([]byte("* OK hi\r\n"))
		line := func() string {
			var l []byte
			for p := make([]byte, 1); !bytes.HasSuffix(l, []byte("\r\n")); l = append(l, p...) {
				if _, err := server.Read(p); err != nil {
					return ""
				}
			}
			heard.Write(l)
			return string(l)
		}
		line()
		_, _ = server.Write([]byte("+ go\r\n"))
		_, _ = io.CopyN(&heard, server, 3)
		line()
		line()
		_, _ = server.Write([]byte("* 1 EXISTS\r\nM1 OK [APPENDUID 5 6] done\r\nT1 OK\r\n"))
	})
	read := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(c)
		read <- string(all)
	}()
	call, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan struct{})
	go func() { // must wait for its turn
		defer close(wrote)
		_, _ = c.Write([]byte("T1 NOOP\r\n"))
	}()
	time.Sleep(10 * time.Millisecond)
	if goOn, err := call.Ask([]byte("M1 APPEND x {3}\r\n")); !goOn || err != nil {
		t.Fatal(goOn, err)
	}
	if _, err := call.Write([]byte("abc\r\n")); err != nil {
		t.Fatal(err)
	}
	call.End()
	st, err := call.Wait(t.Context())
	if err != nil || st.Code != "APPENDUID" || st.Args != "5 6" {
		t.Errorf("answer %+v, %v", st, err)
	}
	<-wrote
	if got, want := <-read, "* OK hi\r\n* 1 EXISTS\r\nT1 OK\r\n"; got != want {
		t.Errorf("the client read %q, want %q", got, want)
	}
	if got, want := heard.String(), "M1 APPEND x {3}\r\nabc\r\nT1 NOOP\r\n"; got != want {
		t.Errorf("the server heard %q, want %q", got, want)
	}
}

func TestCallRefusedAndLost(t *testing.T) {
	c := connect(t, Options{}, func(server net.Conn) {
		_, _ = server.Write([]byte("* OK hi\r\n"))
		_, _ = server.Read(make([]byte, 100))
		_, _ = server.Write([]byte("M1 NO [TOOBIG] no\r\n"))
		_, _ = server.Read(make([]byte, 100))
		_, _ = server.Write([]byte("* BYE gone\r\n"))
	})
	go func() { _, _ = io.Copy(io.Discard, c) }()
	first, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if goOn, err := first.Ask([]byte("M1 APPEND x {3}\r\n")); goOn || err != nil {
		t.Fatal(goOn, err)
	}
	first.End()
	if st, err := first.Wait(t.Context()); err != nil || st.Kind != "NO" || st.Code != "TOOBIG" {
		t.Errorf("answer %+v, %v", st, err)
	}
	second, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Ask([]byte("M2 APPEND x {3}\r\n")); !errors.Is(err, ErrClosedByServer) {
		t.Errorf("Ask: %v", err)
	}
	second.End()
	if _, err := second.Wait(t.Context()); !errors.Is(err, ErrClosedByServer) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := c.Start(t.Context()); !errors.Is(err, ErrClosedByServer) {
		t.Errorf("Start: %v", err)
	}
}

// FuzzRead builds a stream around a literal of arbitrary octets and reads it in arbitrary steps: the
// client must get it unchanged. Then it reads the octets as a stream of their own, for panics.
func FuzzRead(f *testing.F) {
	f.Add([]byte("* ID (\"a\" \"b\")\r\nT1 OK\r\n* 2 FETCH (UID 2)\r\n* LSUB () {9}\r\n"), uint16(3), uint16(20000))
	f.Add(bytes.Repeat([]byte("x\r\n"), 30000), uint16(40000), uint16(1))
	f.Fuzz(func(t *testing.T, octets []byte, step, room uint16) {
		head := "* OK hi\r\n"
		stream := fmt.Sprintf("%s* 1 FETCH (UID 1 BODY[] {%d}\r\n%s FLAGS ())\r\nT1 OK\r\n", head, len(octets), octets)
		const fetch = "T1 UID FETCH 1 (UID BODY.PEEK[])\r\n"
		r := &stepReader{r: strings.NewReader(stream), step: max(1, int(step))}
		if _, got := relay(t, r, max(1, int(room)), fetch); got != stream {
			t.Errorf("got %q, want %q", got, stream)
		}
		relay(t, &stepReader{r: bytes.NewReader(octets), step: max(1, int(step))}, max(1, int(room)), fetch)
	})
}

type stepReader struct {
	r    io.Reader
	step int
}

func (s *stepReader) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.step)]) }

func BenchmarkRead(b *testing.B) {
	var stream bytes.Buffer
	for range 500 {
		fmt.Fprintf(&stream, "* 1 FETCH (UID 1 BODY[] {%d}\r\n", 12<<10)
		stream.Write(make([]byte, 12<<10))
		stream.WriteString(")\r\n")
	}
	p := make([]byte, 64<<10)
	b.SetBytes(int64(stream.Len()))
	for b.Loop() {
		n := &fakeNet{r: bytes.NewReader(stream.Bytes())}
		c := New(n, n, Options{})
		for {
			if _, err := c.Read(p); err != nil {
				break
			}
		}
	}
}
