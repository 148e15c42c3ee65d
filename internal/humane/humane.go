// Package humane writes numbers and foreign text for people.
package humane

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text from a server, a file or a message fit for a terminal: control characters,
// the invisible ones that turn the writing direction, and octets that are no UTF-8 become \xNN or
// \u{NNNN}.
func Printable(s string) string {
	clean := func(r rune, size int) bool {
		return (r != utf8.RuneError || size > 1) && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r) &&
			r != '\u2028' && r != '\u2029'
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case clean(r, size):
			out.WriteString(s[i : i+size])
		case r < utf8.RuneSelf || r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		default:
			fmt.Fprintf(&out, `\u{%04x}`, r)
		}
		i += size
	}
	return out.String()
}

// Octets writes a number of octets for people: decimal units, three or four digits.
func Octets(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.95 && unit < len(units)-1 {
		v, unit = v/1000, unit+1
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

// Count writes a number with a comma between thousands.
func Count[T int | int64 | uint32](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes a number with its noun, which is given for one.
func Plural(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "x"):
		noun += "es"
	default:
		noun += "s"
	}
	return Count(n) + " " + noun
}
