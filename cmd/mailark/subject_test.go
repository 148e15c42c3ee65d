package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestReadSubject(t *testing.T) {
	tests := []struct{ name, mail, want string }{
		{"plain", "From: a\r\nSubject: hello there\r\n\r\nbody", "hello there"},
		{"no space, other case", "subJECT:x\r\n\r\n", "x"},
		{"folded", "Subject: one\r\n two\r\n\tthree\r\nTo: b\r\n\r\n", "one two three"},
		{"bare LF", "Subject: one\nTo: b\n\n", "one"},
		{"none", "From: a\r\n\r\nSubject: in the body\r\n", ""},
		{"first of two", "Subject: one\r\nSubject: two\r\n\r\n", "one"},
		{"empty message", "", ""},
		{"no end", "Subject: cut", "cut"},
		{"UTF-8 Q", "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= an =?utf-8?Q?alle?=\r\n\r\n", "Grüße an alle"},
		{"ISO-2022-JP B", "Subject: =?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=\r\n\r\n", "日本語"},
		{"raw ISO-2022-JP", "Subject: \x1b$BF|K\\8l\x1b(B\r\n\r\n", "日本語"},
		{"Shift_JIS B", "Subject: =?Shift_JIS?B?k/qWe4zq?=\r\n\r\n", "日本語"},
		{"two words, a space between them goes", "Subject: =?utf-8?Q?a?=\r\n =?utf-8?Q?b?=\r\n\r\n", "ab"},
		{"unknown charset", "Subject: =?x-klingon?Q?a?=\r\n\r\n", "=?x-klingon?Q?a?="},
		{"raw 8-bit", "Subject: \xc5\xc4\r\n\r\n", `\xc5\xc4`},
		{"escape sequence", "Subject: a\x1b[31mb\x00\r\n\r\n", `a\x1b[31mb\x00`},
		{"escape sequence in a word", "Subject: =?utf-8?Q?a=1B=5B31m?=\r\n\r\n", `a\x1b[31m`},
		{"line end in a word", "Subject: =?utf-8?Q?a=0D=0Ab?=\r\n\r\n", "a b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := readSubject(strings.NewReader(test.mail)); got != test.want {
				t.Errorf("subject %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadSubjectIsBounded(t *testing.T) {
	for _, mail := range []string{
		"Subject: " + strings.Repeat("x", 10<<20),
		"Subject: a\r\n" + strings.Repeat(" x\r\n", 1<<20),
		strings.Repeat("X: y\r\n", 1<<20) + "Subject: too far down\r\n\r\n",
	} {
		if got := readSubject(strings.NewReader(mail)); len(got) > subjectLimit {
			t.Errorf("a subject of %d octets", len(got))
		}
	}
}

func FuzzReadSubject(f *testing.F) {
	f.Add("Subject: =?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=\r\n\r\n")
	f.Add("Subject: \x1b$BF|K\\8l\r\n =?utf-8?Q?a=00?=")
	f.Fuzz(func(t *testing.T, mail string) {
		got := readSubject(strings.NewReader(mail))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("subject %q is not fit for a terminal", got)
		}
	})
}
