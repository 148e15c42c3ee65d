package session_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"mailark/internal/session"
	"mailark/internal/session/wire"
)

const examineOne = "C: EXAMINE\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 1]\nS: $T OK\n"

func listLines(t *testing.T, lines string, want func(m session.Meta)) (*session.Source, error) {
	t.Helper()
	o := script(t, preauth("IMAP4rev1")+askDelim+examineOne+lines)
	o.RootCAs = ""
	src := source(t, o)
	if _, err := src.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	return src, src.FetchMeta(t.Context(), 1, func(m session.Meta) error {
		if want != nil {
			want(m)
		}
		return nil
	})
}

// TestEndlessListing: a server that goes on listing where it announced one message loses the
// connection, whether or not its lines are new to the client.
func TestEndlessListing(t *testing.T) {
	for name, line := range map[string]string{
		"half answers":    "* %[1]d FETCH (UID %[1]d FLAGS (a b))\r\n",
		"always the same": "* 1 FETCH (UID 1 FLAGS ())\r\n",
		"few, but big":    "* %[1]d FETCH (UID %[1]d FLAGS (" + strings.Repeat("k", 1000) + "))\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr, sent := flood(t, line)
			o := options(t, session.TLSNone, addr, nil)
			o.RootCAs = ""
			src := source(t, o)
			if _, err := src.Examine(t.Context(), "INBOX"); err != nil {
				t.Fatal(err)
			}
			err := src.FetchMeta(t.Context(), 1, func(session.Meta) error { return nil })
			var e *session.Error
			if !errors.As(err, &e) || e.Scope != session.ScopeSession || !errors.Is(src.Cause(), wire.ErrTooMuch) {
				t.Errorf("after %d lines: %v", <-sent, err)
			}
		})
	}
}

// flood serves one connection and answers FETCH with line, for ever but for a stop that a test may
// reach only by failing. sent gets the number of lines.
func flood(t *testing.T, line string) (addr string, sent <-chan int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counts := make(chan int, 1)
	go func() {
		defer close(counts)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprint(conn, "* PREAUTH hi\r\n")
		for commands := bufio.NewScanner(conn); commands.Scan(); {
			tag, cmd, _ := strings.Cut(commands.Text(), " ")
			answer := map[string]string{"CAPA": "* CAPABILITY IMAP4rev1\r\n", "EXAM": "* 1 EXISTS\r\n"}[cmd[:4]]
			if cmd[:4] == "UID " {
				counts <- pour(conn, line)
				return
			}
			_, _ = fmt.Fprintf(conn, "%s%s OK\r\n", answer, tag)
		}
	}()
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String(), counts
}

func pour(conn net.Conn, line string) int {
	const enough = 500_000
	w := bufio.NewWriterSize(conn, 64<<10)
	for i := 1; i < enough; i++ {
		if _, err := fmt.Fprint(w, strings.ReplaceAll(line, "%[1]d", strconv.Itoa(i))); err != nil {
			return i
		}
	}
	_ = w.Flush()
	return enough
}

// TestAbsurdFlags: flags that would fill the memory are dropped, and nothing else of the answer.
func TestAbsurdFlags(t *testing.T) {
	long := strings.Repeat("k", 1025)
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, "k%d ", i)
	}
	rest := ` INTERNALDATE "02-Feb-2002 02:02:02 +0900" RFC822.SIZE 3)`
	flags := map[uint32]int{}
	_, err := listLines(t, "C: UID FETCH\nS: * 1 FETCH (UID 1 FLAGS (\\Seen "+long+" good)"+rest+
		"\nS: * 2 FETCH (FLAGS (\\Seen "+many.String()+"x) UID 2"+rest+"\nS: $T OK\nC: LOGOUT\n",
		func(m session.Meta) {
			flags[m.UID] = len(m.Flags)
			if m.Size != 3 || m.NoFlags || len(m.Flags) == 0 || m.Flags[0] != `\Seen` {
				t.Errorf("got %d flags of %+v", len(m.Flags), m.UID)
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	if flags[1] != 2 || flags[2] < 1000 || flags[2] > 40_000 {
		t.Errorf("flags left: %v", flags)
	}
}

// TestFlagsUnknown: no FLAGS in the answer is not the same as no flags.
func TestFlagsUnknown(t *testing.T) {
	rest := ` INTERNALDATE "02-Feb-2002 02:02:02 +0900" RFC822.SIZE 3)`
	got := map[uint32]bool{}
	src, err := listLines(t, "C: UID FETCH\nS: * 1 FETCH (UID 1"+rest+"\nS: * 2 FETCH (UID 2"+rest+
		"\nS: * 3 FETCH (UID 3 FLAGS ()"+rest+"\nS: $T OK\nC: UID FETCH 1:2\nS: * 2 FETCH (UID 2 FLAGS ())\nS: $T OK\nC: LOGOUT\n",
		func(m session.Meta) { got[m.UID] = m.NoFlags })
	_ = src.Close()
	if err != nil || len(got) != 3 || !got[1] || got[2] || got[3] {
		t.Errorf("unknown flags: %v, %v", got, err)
	}
}
