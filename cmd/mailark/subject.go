package main

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"mailark/internal/humane"
)

const (
	headerLimit  = 256 << 10 // octets of a message in which the subject is looked for
	subjectLimit = 2000      // octets of a subject that are shown
)

// readSubject finds a message's subject and makes it fit for a terminal. It never fails: mail is
// what it is, and an odd subject is shown as well as may be.
func readSubject(r io.Reader) string {
	raw := rawSubject(r)
	if strings.Contains(raw, "\x1b$") {
		raw = decode("iso-2022-jp", raw) // sent without RFC 2047, as was common in Japan
	}
	words := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		enc, err := htmlindex.Get(charset)
		if err != nil {
			return nil, fmt.Errorf("charset %q: %w", charset, err)
		}
		return enc.NewDecoder().Reader(in), nil
	}}
	if text, err := words.DecodeHeader(raw); err == nil && utf8.ValidString(text) {
		raw = text
	}
	return humane.Printable(strings.Join(strings.Fields(raw), " "))
}

// rawSubject is the unfolded value of the first Subject field (RFC 5322, sections 2.2 and 2.2.3).
func rawSubject(r io.Reader) string {
	lines := bufio.NewReader(io.LimitReader(r, headerLimit))
	var value strings.Builder
	found := false
	for {
		line, err := lines.ReadString('\n')
		text := strings.TrimRight(line, "\r\n")
		folded := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		switch {
		case text == "", found && !folded:
			return value.String()
		case found:
			value.WriteString(text)
		default:
			name, rest, ok := strings.Cut(text, ":")
			if ok && strings.EqualFold(strings.TrimSpace(name), "Subject") {
				found = true
				value.WriteString(rest)
			}
		}
		if err != nil || value.Len() > subjectLimit {
			return value.String()[:min(value.Len(), subjectLimit)]
		}
	}
}

func decode(charset, s string) string {
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return s
	}
	text, err := enc.NewDecoder().String(s)
	if err != nil {
		return s
	}
	return text
}
