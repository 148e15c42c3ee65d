package exporter

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailark/internal/session"
)

// scripted is a server that says what a test makes it say. Its callbacks run one at a time.
type scripted struct {
	boxes func() []string // LIST arguments behind the delimiter, with attributes in front after "|"
	// answer is asked for EXAMINE and UID FETCH, with the mailbox that is open. An empty status is OK;
	// hangUp ends the connection behind the text.
	answer func(box, command string) (text, status string)

	mu       sync.Mutex
	commands []string
}

const hangUp = "hang up"

func (s *scripted) rig(t *testing.T) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(c) })
		}
	})
	r := &rig{T: t}
	r.opts = Options{
		Connections: connections(t), enough: 1, portion: 1, // share whatever there is
		Session: session.Options{
			Host: "127.0.0.1", Port: port(ln.Addr().String()), TLS: session.TLSNone, User: "u", Timeout: 2 * time.Second,
			Password: func(context.Context) (string, error) { return "p", nil },
		},
		Dir:   filepath.Join(t.TempDir(), "a"),
		Retry: Retry{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
	}
	return r
}

func (s *scripted) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprint(c, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
	box := ""
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		if name, ok := strings.CutPrefix(command, "EXAMINE "); ok {
			box = strings.Trim(name, `"`)
		}
		text, status := s.say(box, command)
		if status == hangUp {
			_, _ = fmt.Fprint(c, text)
			return
		}
		if status == "" {
			status = "OK done"
		}
		_, _ = fmt.Fprintf(c, "%s%s %s\r\n", text, tag, status)
	}
}

func (s *scripted) say(box, command string) (text, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, command)
	switch {
	case strings.HasPrefix(command, "CAPABILITY"):
		return "* CAPABILITY IMAP4rev1\r\n", ""
	case strings.HasPrefix(command, `LIST "" "*"`):
		for _, b := range s.boxes() {
			attrs, name, ok := strings.Cut(b, "|")
			if !ok {
				attrs, name = "", b
			}
			text += fmt.Sprintf("* LIST (%s) \"/\" %s\r\n", attrs, name)
		}
		return text, ""
	case strings.HasPrefix(command, "EXAMINE"), strings.HasPrefix(command, "UID FETCH"):
		return s.answer(box, command)
	}
	return "", ""
}

func boxes(names ...string) func() []string { return func() []string { return names } }

// letter is a message a scripted server has.
type letter struct {
	size int // as told; 0: as it is
	day  int // of its date
	body string
}

// show answers like a server that has these letters, with UIDs from 1 on.
func show(command string, validity int, letters ...letter) string {
	var out strings.Builder
	switch {
	case strings.HasPrefix(command, "EXAMINE"):
		fmt.Fprintf(&out, "* %d EXISTS\r\n", len(letters))
		if validity > 0 {
			fmt.Fprintf(&out, "* OK [UIDVALIDITY %d] x\r\n", validity)
		}
	case isBody(command):
		for i, l := range letters {
			if inSet(strings.Fields(command)[2], i+1) {
				fmt.Fprintf(&out, "* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", i+1, i+1, len(l.body), l.body)
			}
		}
	default:
		for i, l := range letters {
			size := l.size
			if size == 0 {
				size = len(l.body)
			}
			fmt.Fprintf(&out, "* %d FETCH (UID %d FLAGS () INTERNALDATE \"%02d-Feb-2002 02:02:02 +0900\" RFC822.SIZE %d)\r\n",
				i+1, i+1, l.day+1, size)
		}
	}
	return out.String()
}

func isBody(command string) bool { return strings.Contains(command, "BODY.PEEK") }

// inSet reports whether a UID set has a UID.
func inSet(set string, uid int) bool {
	for part := range strings.SplitSeq(set, ",") {
		var first, last int
		if n, _ := fmt.Sscanf(part, "%d:%d", &first, &last); n < 2 {
			last = first
		}
		if first <= uid && uid <= last {
			return true
		}
	}
	return false
}

func letters(n int) []letter {
	list := make([]letter, n)
	for i := range list {
		list[i].body = fmt.Sprintf("Subject: %d\r\n\r\nletter %d\r\n", i, i)
	}
	return list
}

// expect runs and demands the exit code.
func (r *rig) expect(exit int) *Result {
	r.Helper()
	res, err := Run(r.Context(), r.opts)
	if got := res.ExitCode(); got != exit {
		r.Fatalf("exit %d, want %d (error %v)\n%v", got, exit, err, res)
	}
	return res
}
