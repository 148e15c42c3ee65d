package humane

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	tests := map[string]string{
		"plain":           "plain",
		"日本語 📷":           "日本語 📷",
		"a\x1b[31mred":    `a\x1b[31mred`,
		"NUL\x00 BEL\x07": `NUL\x00 BEL\x07`,
		"two\r\nlines":    `two\x0d\x0alines`,
		"C1 \u009b31m":    `C1 \u{009b}31m`,
		"bidi \u202egpj":  `bidi \u{202e}gpj`,
		"raw \xff\xfe":    `raw \xff\xfe`,
		"real \ufffd":     "real \ufffd",
		"\u2028":          `\u{2028}`,
	}
	for in, want := range tests {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff日本")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("Printable(%q) = %q", s, got)
		}
		if Printable(got) != got {
			t.Errorf("Printable(%q) = %q changes when done again", s, got)
		}
	})
}

func TestOctetsAndCount(t *testing.T) {
	octets := map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 722_000_000: "722.0 MB",
		5_300_000_000: "5.3 GB", 1 << 62: "4611.7 PB",
	}
	for n, want := range octets {
		if got := Octets(n); got != want {
			t.Errorf("Octets(%d) = %q, want %q", n, got, want)
		}
	}
	counts := map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"}
	for n, want := range counts {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
