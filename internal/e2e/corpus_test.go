package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailark/internal/imaptest"
)

// TestOpenCorpus carries every message of the corpus of real, weird and broken mail from an embedded server, which keeps each
// octet, into an archive and up into another.
func TestOpenCorpus(t *testing.T) {
	messages := openCorpus(t)
	s := server(t)
	a := s.Account("user")
	for i, body := range messages {
		a.AddMessage([]string{"INBOX", "Odd/日本"}[i%2], imaptest.Message{
			Octets: body, InternalDate: time.Date(1999, 1, 1+i, 1, 2, 3, 0, time.UTC), Flags: []string{`\Seen`},
		})
	}
	carried(t, s.Addr, "user", a.Snapshot())
}

// TestDovecotOpenCorpus does the same with Dovecot, which alters bare LF and NUL when it takes a message, so that the
// comparison begins with what it then serves. It refuses empty messages.
func TestDovecotOpenCorpus(t *testing.T) {
	messages := openCorpus(t)
	d := dovecot(t, imaptest.DovecotOptions{Users: map[string]string{"user": "pw"}})
	tree := filepath.Join(t.TempDir(), "Maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(tree, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, body := range messages {
		name := filepath.Join(tree, "cur", time.Unix(int64(900000000+i), 0).UTC().Format("20060102150405")+".x:2,S")
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Fill("user", tree); err != nil {
		t.Fatal(err)
	}
	carried(t, d.Addr, "user", snapshot(t, d.Addr, "user"))
}

// carried exports an account and imports it into an embedded server.
func carried(t *testing.T, addr, user string, want imaptest.Snapshot) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "archive")
	mailark(t, 0, "mailark-export", reach(addr, user, dir)...)
	mailark(t, 0, "mailark", "verify", dir)
	target := server(t)
	mailark(t, 0, "mailark-import", reach(target.Addr, "user", dir)...)
	equal(t, "carried", target.Account("user").Snapshot(), want)
}

// openCorpus reads all messages of the corpus of real mail.
func openCorpus(t *testing.T) [][]byte {
	t.Helper()
	root := shared(t, "corpus/open")
	var list [][]byte
	for _, sub := range []string{"messages", "maildir"} {
		err := filepath.WalkDir(filepath.Join(root, sub), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			body, err := os.ReadFile(path)
			list = append(list, bytes.Clone(body))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(list) < 1000 {
		t.Fatalf("only %d messages in %s", len(list), root)
	}
	return list
}
