package importer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailark/internal/imaptest"
)

// TestTakenAndGone: the target answers OK and removes messages marked \Deleted at once.
func TestTakenAndGone(t *testing.T) {
	for _, o := range []imaptest.ServerOptions{{}, {NoUIDPlus: true}} {
		msgs := mails("m", 10)
		for i := range msgs {
			if i%2 == 0 {
				msgs[i].flags = []string{`\Seen`, `\Deleted`}
			}
		}
		dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
		s := newServer(t, o)
		s.SetFaults(imaptest.Faults{Append: func(imaptest.AppendCall) imaptest.AppendFault {
			for _, m := range s.Account("user").Messages("INBOX") {
				if slices.Contains(m.Flags, `\Deleted`) {
					s.Account("user").Expunge("INBOX", m.UID)
				}
			}
			return imaptest.AppendOK
		}})
		sum := runWant(t, options(t, dir, s), "10=0+10+0+0+0+0", 3)
		if sum.Total().Missing == 0 || strings.HasPrefix(sum.verdict(), "Complete") || len(sum.Notes) == 0 {
			t.Errorf("%d missing, verdict %q, notes %q", sum.Total().Missing, sum.verdict(), sum.Notes)
		}
	}
}

// TestTargetRebuilt: a mailbox was made anew and holds as many other messages.
func TestTargetRebuilt(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("m", 10)})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	runWant(t, opts, "10=0+10+0+0+0+0", 0)
	acc := s.Account("user")
	for _, m := range acc.Messages("INBOX")[:9] {
		acc.Expunge("INBOX", m.UID)
	}
	acc.SetUIDValidity("INBOX", 4242, 1)
	for i := range 9 {
		acc.AddMessage("INBOX", imaptest.Message{Octets: fmt.Appendf(nil, "Subject: spam %d\r\n\r\n", i)})
	}
	sum := runWant(t, opts, "10=10+0+0+0+0+0", 3)
	if sum.Total().Missing != 9 {
		t.Errorf("%d missing", sum.Total().Missing)
	}
}
