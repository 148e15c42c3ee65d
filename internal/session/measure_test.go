package session_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"mailark/internal/session"
)

// Measures tells of the mailboxes that the server tells everything of, and of no others.
func TestMeasures(t *testing.T) {
	const answers = "C: STATUS \"a\" (\nS: * STATUS a (MESSAGES 3 UIDVALIDITY 9 SIZE 5000000000)\nS: $T OK\n" +
		"C: STATUS \"b\" (\nS: $T NO [NOPERM] not yours\n" +
		"C: STATUS \"c\" (\nS: * STATUS c (MESSAGES 3 UIDVALIDITY 9)\nS: $T OK\n" +
		"C: STATUS \"d\" (\nS: * STATUS d (MESSAGES 0 SIZE 0)\nS: $T OK\n"
	for name, c := range map[string]struct {
		dialogue string
		want     []string
		lost     bool
	}{
		"offered":     {preauth("IMAP4rev1 STATUS=SIZE") + askDelim + answers, []string{"a 3 9 5000000000", "d 0 0 0"}, false},
		"not offered": {preauth("IMAP4rev1") + askDelim, nil, false},
		"lost": {
			preauth("IMAP4rev1 STATUS=SIZE") + askDelim + answers[:len(answers)-len("S: $T OK\n")] + "X:\n",
			[]string{"a 3 9 5000000000"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := session.DialSource(t.Context(), script(t, c.dialogue))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			err = src.Measures(t.Context(), []string{"a", "b", "c", "d"}, func(name string, m session.Measure) {
				got = append(got, fmt.Sprint(name, " ", m.Messages, " ", m.UIDValidity, " ", m.Octets))
			})
			var remote *session.Error
			if isLost := errors.As(err, &remote) && remote.Scope == session.ScopeSession; isLost != c.lost || err != nil && !isLost {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			_ = src.Close()
		})
	}
}
