package wire

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxTraced is the length in octets at which a line is cut.
const maxTraced = 2 << 10

// Trace takes down what goes over connections, a line each: time, number of the connection, who speaks
// ("C:" we, "S:" the server, "--" what happened), text. Of a literal only its size is told, of a sign-in
// only its name, and what the server repeats of it is taken out. A nil *Trace takes nothing down.
type Trace struct {
	mu     sync.Mutex
	w      io.Writer // nil after an error
	failed func(error)
	conns  int
}

// NewTrace returns a Trace that writes to w, one whole line at a time. The first error is given to
// failed, and nothing is taken down after it.
func NewTrace(w io.Writer, failed func(error)) *Trace { return &Trace{w: w, failed: failed} }

// Open begins with a new connection.
func (t *Trace) Open() *Tape {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns++
	return &Tape{trace: t, number: t.conns}
}

// Tape is the Trace of one connection. A nil *Tape takes nothing down.
type Tape struct {
	trace  *Trace
	number int
	redact func(string) string // nil: nothing is secret yet

	sent    Scanner // what we say, also past the client
	private bool    // what is left of the command is the sign-in's
	literal int64   // octets of our literal so far
	heard   int64   // … of the server's
}

// Note takes down what happened.
func (t *Tape) Note(format string, args ...any) {
	if t != nil {
		t.line("--", fmt.Appendf(nil, format, args...))
	}
}

// Sent takes down what we say.
func (t *Tape) Sent(octets []byte) {
	if t == nil {
		return
	}
	// A line too long to be taken down is not sent either.
	_ = t.sent.Feed(octets, t.sentLine, func(octets []byte) {
		if t.literal += int64(len(octets)); t.sent.Literal() == 0 {
			if t.private {
				t.line("C:", []byte(hidden)) // how long a password is nobody need know, either
			} else {
				t.line("C:", fmt.Appendf(nil, "{%d octets}", t.literal))
			}
			t.literal = 0
		}
	})
}

func (t *Tape) sentLine(l []byte, start bool) {
	words := bytes.Fields(l[:min(len(l), 64)])
	switch {
	case !start && len(bytes.TrimSpace(l)) == 0: // the end of a literal
		return
	case !start && !t.private:
		t.line("C:", l)
		return
	case !start, len(words) < 2: // a step of AUTHENTICATE is one word
		t.line("C:", []byte(hidden))
		return
	}
	command := strings.ToUpper(string(words[1]))
	if t.private = command == "LOGIN" || command == "AUTHENTICATE"; !t.private {
		t.line("C:", l)
		return
	}
	known := fmt.Sprintf("%s %s", words[0], command)
	if command == "AUTHENTICATE" && len(words) > 2 {
		known += " " + string(words[2])
	}
	t.line("C:", []byte(known+" "+hidden))
}

// refused forgets an announced literal of ours that will not go out.
func (t *Tape) refused() {
	if t != nil {
		t.sent.Cancel()
	}
}

// Heard takes down a line of the server.
func (t *Tape) Heard(l []byte) {
	if t != nil && len(bytes.TrimSpace(l)) > 0 {
		t.line("S:", l)
	}
}

// record takes down a line of the server. A challenge of the sign-in is nobody's business.
func (c *Conn) record(l []byte, start bool) {
	switch {
	case c.opts.Tape == nil:
		return
	case start && l[0] == '+' && c.isSigningIn():
		l = []byte("+ " + hidden)
	case start:
		l = withoutBody(c.redactStatus(l))
	}
	c.opts.Tape.Heard(l)
}

// withoutBody leaves out a body that is sent as a quoted string, and what follows it.
func withoutBody(l []byte) []byte {
	at := bytes.Index(l, []byte(`[] "`))
	if at < 0 || !isFetch(l) {
		return l
	}
	return append(bytes.Clone(l[:at+4]), hidden...)
}

// heardLiteral takes down n octets of a literal of which left are to come.
func (t *Tape) heardLiteral(n int, left int64) {
	if t == nil {
		return
	}
	if t.heard += int64(n); left == 0 {
		t.line("S:", fmt.Appendf(nil, "{%d octets}", t.heard))
		t.heard = 0
	}
}

func (t *Tape) line(who string, l []byte) {
	text := strings.TrimRight(string(l), "\r\n")
	if t.redact != nil {
		text = t.redact(text)
	}
	rest := ""
	if len(text) > maxTraced {
		rest = fmt.Sprintf("… (%d octets in all)", len(text))
		text = text[:maxTraced]
	}
	t.trace.write(fmt.Sprintf("%s %d %s %s%s\n",
		time.Now().Format("2006-01-02T15:04:05.000000Z07:00"), t.number, who, printable(text), rest))
}

func (t *Trace) write(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.w == nil {
		return
	}
	if _, err := io.WriteString(t.w, line); err != nil {
		t.w = nil
		t.failed(err)
	}
}

// printable shows octets that are no text as \xNN.
func printable(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			for _, octet := range []byte(text[:n]) {
				fmt.Fprintf(&b, `\x%02x`, octet)
			}
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}
