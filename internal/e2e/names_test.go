package e2e

import (
	"path/filepath"
	"testing"

	"mailark/internal/imaptest"
)

// TestDovecotRefusesNames imports mailboxes whose names Dovecot's Maildir layout cannot hold: they arrive under
// plainer names, all with their mail, and a second import finds them there.
func TestDovecotRefusesNames(t *testing.T) {
	s := server(t)
	a := s.Account("user")
	for _, name := range []string{"INBOX", "Work/v1.2", "Work/v1.2/notes", "~home"} {
		a.AddMessage(name, imaptest.Message{Octets: []byte("Subject: " + name + "\r\n\r\nhello\r\n")})
	}
	dir := filepath.Join(t.TempDir(), "archive")
	mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
	d := dovecot(t, imaptest.DovecotOptions{Users: map[string]string{"new": "pw"}})
	for _, uploaded := range []int{4, 0} {
		result := lastJSON(t, mailark(t, 0, "mailark-import", reach(d.Addr, "new", "--json", dir)...))
		if n := number(t, result, "uploaded"); n != uploaded {
			t.Errorf("%d messages uploaded, want %d", n, uploaded)
		}
	}
	got := snapshot(t, d.Addr, "new")
	for _, name := range []string{"INBOX", "Work/v1_2", "Work/v1_2/notes"} {
		if m := got.Mailbox(name); m == nil || len(m.Messages) != 1 {
			t.Errorf("mailbox %q: %+v, want one message", name, m)
		}
	}
	if got.Count() != 4 {
		t.Errorf("%d messages on the target, want 4", got.Count())
	}
}
