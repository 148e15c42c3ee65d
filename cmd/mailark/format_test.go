package main

import "testing"

func TestLetters(t *testing.T) {
	tests := []struct {
		flags []string
		want  string
	}{
		{nil, "-"},
		{[]string{`\Seen`}, "S"},
		{[]string{`\seen`, `\ANSWERED`, `\Flagged`, `\Draft`, `\Deleted`}, "DFRST"},
		{[]string{`\Seen`, "$Forwarded"}, "S+"},
		{[]string{"$Forwarded"}, "+"},
	}
	for _, test := range tests {
		if got := letters(test.flags); got != test.want {
			t.Errorf("letters(%q) = %q, want %q", test.flags, got, test.want)
		}
	}
}
