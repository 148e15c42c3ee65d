package wire

import (
	"bytes"
	"errors"
)

// MaxLine is the longest line in octets, literals not counted, that a Scanner holds.
const MaxLine = 1 << 20

// ErrLineTooLong ends a connection whose peer sends a line of more than MaxLine octets.
var ErrLineTooLong = errors.New("line longer than 1 MiB")

// Scanner tells lines from literals in one direction of an IMAP stream. The zero value is ready. It
// copies nothing but lines that arrive in pieces.
type Scanner struct {
	pending []byte // the line that is not yet complete
	literal int64  // octets of the open literal still to come
	within  bool   // the next line goes on after a literal
}

// Feed takes the next octets of the stream, calls line for each complete line (with its line end)
// and literal for each piece of a literal, in the order of the stream. start says that the line
// begins a command or a response; else it goes on after a literal. The slices belong to b or to
// nobody: they stay valid as long as b does.
func (s *Scanner) Feed(b []byte, line func(l []byte, start bool), literal func(octets []byte)) error {
	for len(b) > 0 {
		if s.literal > 0 {
			n := min(int64(len(b)), s.literal)
			s.literal -= n
			literal(b[:n])
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			end = len(b)
		}
		if len(s.pending)+end > MaxLine {
			return ErrLineTooLong
		}
		l := b[:end]
		b = b[end:]
		if l[end-1] != '\n' {
			s.pending = append(s.pending, l...)
			return nil
		}
		if len(s.pending) > 0 {
			l = append(s.pending, l...)
			s.pending = nil
		}
		s.complete(l, line)
	}
	return nil
}

func (s *Scanner) complete(l []byte, line func([]byte, bool)) {
	start := !s.within
	s.within = false
	if !start || !isStatus(l) {
		s.literal, s.within = literalSize(l)
	}
	line(l, start)
}

// Literal is the number of octets of the open literal still to come.
func (s *Scanner) Literal() int64 { return s.literal }

// Skip says that n octets of the open literal have passed by another way. n is at most Literal.
func (s *Scanner) Skip(n int) { s.literal -= int64(n) }

// AtStart reports whether the next octet begins a command or a response.
func (s *Scanner) AtStart() bool {
	return len(s.pending) == 0 && s.literal == 0 && !s.within
}

// Rest gives up the octets of a line that will never be complete.
func (s *Scanner) Rest() []byte {
	rest := s.pending
	s.pending = nil
	return rest
}

// literalSize reads the announcement that ends a line: {n}, {n+}, ~{n} (RFC 9051, section 4.3; RFC
// 7888). One space before the line end is forgiven, as go-imap does. A count of more than 18 digits
// is no announcement: go-imap refuses it too.
func literalSize(l []byte) (size int64, ok bool) {
	l = bytes.TrimSuffix(l, []byte("\n"))
	l = bytes.TrimSuffix(l, []byte("\r"))
	l = bytes.TrimSuffix(l, []byte(" "))
	l, ok = bytes.CutSuffix(l, []byte("}"))
	if !ok {
		return 0, false
	}
	l = bytes.TrimRight(l, "+-")
	digits := len(l)
	for digits > 0 && l[digits-1] >= '0' && l[digits-1] <= '9' {
		digits--
	}
	n := len(l) - digits
	if n == 0 || n > 18 || digits == 0 || l[digits-1] != '{' {
		return 0, false
	}
	for _, d := range l[digits:] {
		size = size*10 + int64(d-'0')
	}
	return size, true
}

// Cancel forgets an announced literal that will not come: the server refused it.
func (s *Scanner) Cancel() { s.literal, s.within = 0, false }
