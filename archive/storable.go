package archive

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what a server says about a message; a record must stay far below maxRecord.
const (
	maxFlag  = 1 << 10  // octets of one flag
	maxFlags = 64 << 10 // octets of all flags of one message
	maxText  = 4 << 10  // octets of the server's words
	maxUIDs  = 50_000   // UIDs in one record

	maxMailbox = 256 << 10 // octets of a mailbox's names and attributes
)

// storable is flags as they are recorded: without \Recent, which belongs to a session and not to a message
// (RFC 3501, section 2.3.2). Octets that are no UTF-8 are taken for ISO 8859-1. What is beyond the limits, which no
// honest server sends, is left out.
func storable(flags []string) []string {
	list := make([]string, 0, len(flags))
	size := 0
	for _, f := range flags {
		f = storableText(f, maxFlag+1)
		if len(f) > maxFlag || size+len(f) > maxFlags || strings.EqualFold(f, `\Recent`) {
			continue
		}
		size += len(f)
		list = append(list, f)
	}
	return slices.Clip(list)
}

// storableText is a text as JSON can hold it, cut to limit octets.
func storableText(s string, limit int) string {
	if !utf8.ValidString(s) {
		runes := make([]rune, 0, len(s))
		for _, b := range []byte(s) {
			runes = append(runes, rune(b))
		}
		s = string(runes)
	}
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

// storableDate is an INTERNALDATE as its record gives it back: to the second, with the server's zone if that is one,
// else in UTC; zero, which stands for no date, if the year has no four digits.
func storableDate(t time.Time) time.Time {
	t = t.Truncate(time.Second)
	for _, try := range []time.Time{t, t.UTC()} {
		if back, err := parseDate(formatDate(try)); err == nil && back.Equal(try) {
			return back
		}
	}
	return time.Time{}
}
