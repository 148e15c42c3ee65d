package maildirx

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxKeyword is the longest keyword, in octets, that gets a letter.
const maxKeyword = 255

// ValidKeyword reports whether a keyword can stand in dovecot-keywords and be served from there: an atom
// of RFC 9051 or nearly so, without blanks and control octets, no longer than 255 octets.
func ValidKeyword(k string) bool {
	if k == "" || len(k) > maxKeyword || k[0] == '\\' {
		return false
	}
	for _, c := range []byte(k) {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// WriteKeywords writes a dovecot-keywords, "<number> <keyword>" a line; number 0 is the letter a. An
// empty keyword leaves its letter free. An error wraps ErrFormat for more than 26 keywords and for one
// that ValidKeyword does not accept; nothing is written then.
func WriteKeywords(w io.Writer, keywords []string) error {
	if len(keywords) > MaxKeywords {
		return fmt.Errorf("write %s: %w: %d keywords", KeywordsFile, ErrFormat, len(keywords))
	}
	var buf bytes.Buffer
	for i, k := range keywords {
		if k == "" {
			continue
		}
		if !ValidKeyword(k) {
			return fmt.Errorf("write %s: %w: keyword %.80q", KeywordsFile, ErrFormat, k)
		}
		fmt.Fprintf(&buf, "%d %s\n", i, k)
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// ParseKeywords reads a dovecot-keywords. The keyword of letter a is at 0; a letter without one has "".
// A line that is no number and keyword, a number above 25, and a second keyword for a number are errors,
// which wrap ErrFormat; a keyword may hold anything that fits a line.
func ParseKeywords(r io.Reader) ([]string, error) {
	var table []string
	err := eachLine(r, func(_ int, line string) error {
		number, keyword, ok := strings.Cut(line, " ")
		n, err := strconv.ParseUint(number, 10, 8)
		if !ok || err != nil || keyword == "" || n >= MaxKeywords {
			return fmt.Errorf("%w: %.80q", ErrFormat, line)
		}
		for len(table) <= int(n) {
			table = append(table, "")
		}
		if table[n] != "" {
			return fmt.Errorf("%w: two keywords for %d", ErrFormat, n)
		}
		table[n] = keyword
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", KeywordsFile, err)
	}
	return table, nil
}

// subscriptionsHeader begins a subscriptions file of version 2, which does not depend on a separator.
const subscriptionsHeader = "V\t2"

// WriteSubscriptions writes the mailboxes subscribed to: the header of version 2, an empty line, and
// then the levels of a mailbox's directory name, as in Dir, with tabs between them.
func WriteSubscriptions(w io.Writer, names [][]string) error {
	var buf bytes.Buffer
	buf.WriteString(subscriptionsHeader + "\n\n")
	for _, path := range names {
		buf.WriteString(subscription(path) + "\n")
	}
	_, err := w.Write(buf.Bytes())
	return err
}

func subscription(path []string) string {
	name, ok := strings.CutPrefix(Dir(path), Root+"/.")
	if !ok {
		return inbox
	}
	return strings.ReplaceAll(name, ".", "\t")
}

// ParseSubscriptions reads a subscriptions file of a Maildir++ tree, of version 2, or of version 1 with
// a dot between levels. A level that is not written as Dir writes it is taken as it stands. Lines are at
// most 8 KiB long; the error for a longer one wraps ErrFormat.
func ParseSubscriptions(r io.Reader) ([][]string, error) {
	var names [][]string
	separator := "."
	err := eachLine(r, func(n int, line string) error {
		switch {
		case n == 1 && line == subscriptionsHeader:
			separator = "\t"
		case line != "":
			names = append(names, foreignPath(strings.Split(line, separator)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", SubscriptionsFile, err)
	}
	return names, nil
}

// foreignPath turns the levels of a name on the disk into a mailbox's path, whoever wrote them.
func foreignPath(levels []string) []string {
	path := make([]string, len(levels))
	for i, s := range levels {
		path[i] = ForeignLevel(s)
	}
	return path
}
