package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/progress"
)

// awaitMessages waits until a run that is at work has copied so many messages.
func awaitMessages(t *testing.T, dir string, n int64) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if r, running, err := progress.Read(archive.Running(dir), archive.Lock(dir)); err == nil && r != nil && running && r.Messages >= n {
			return
		}
	}
	t.Fatalf("no %d messages within 30 seconds", n)
}

// maildir makes a Maildir++ tree with n messages of some size in INBOX, and a few in another mailbox.
func maildir(t *testing.T, n, size int) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "Maildir")
	put := func(dir string, i int) {
		octets := fmt.Appendf(nil, "Subject: %d\n\n%s\n", i, bytes.Repeat([]byte{'a' + byte(i%26)}, size))
		if err := os.WriteFile(filepath.Join(dir, "cur", fmt.Sprintf("%d.M1P1.host:2,S", 1_000_000_000+i)), octets, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, box := range []string{tree, filepath.Join(tree, ".Other")} {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(box, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range n {
		put(tree, i)
	}
	for i := range 5 {
		put(filepath.Join(tree, ".Other"), n+i)
	}
	return tree
}

// A server that is stopped under a run, and comes back after a while, costs nothing but the time.
func TestDovecotRestarts(t *testing.T) {
	d := dovecot(t, imaptest.DovecotOptions{Maildir: map[string]string{"old": maildir(t, 100, 30_000)}})
	dir := filepath.Join(t.TempDir(), "archive")
	cmd := program(t.Context(), "mailark-export", reach(d.Addr, "old", "--bwlimit", "1M", dir)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, dir, 5)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // the first new connections must be refused
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !bytes.Contains(said.Bytes(), []byte("connection lost")) {
		t.Fatalf("%v\n%s", err, &said)
	}
	again := lastJSON(t, mailark(t, 0, "mailark-export", reach(d.Addr, "old", "--json", dir)...))
	if now, before := number(t, again, "archived_now"), number(t, again, "archived_before"); now != 0 || before != 105 {
		t.Errorf("the run had left %d messages, and copied %d", now, before)
	}
	mailark(t, 0, "mailark", "verify", dir)
}
