package e2e

import (
	"bytes"
	"errors"
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
	await(t, fmt.Sprintf("%d messages", n), func() bool {
		r, running, err := progress.Read(archive.Running(dir), archive.Lock(dir))
		return err == nil && r != nil && running && r.Messages >= n
	})
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
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
	d := dovecot(t, imaptest.DovecotOptions{Maildir: map[string]string{"old": maildir(t, 200, 100_000)}})
	dir := filepath.Join(t.TempDir(), "archive")
	cmd := program(t.Context(), "mailark-export", reach(d.Addr, "old", "--bwlimit", "3M", dir)...)
	words := filepath.Join(t.TempDir(), "said")
	said, err := os.Create(words)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = said, said
	if err := errors.Join(cmd.Start(), said.Close()); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, dir, 5)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "that a new connection was refused", func() bool {
		data, _ := os.ReadFile(words)
		return bytes.Count(data, []byte("connection lost")) > 1
	})
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		data, _ := os.ReadFile(words)
		t.Fatalf("%v\n%s", err, data)
	}
	again := lastJSON(t, mailark(t, 0, "mailark-export", reach(d.Addr, "old", "--json", dir)...))
	if now, before := number(t, again, "archived_now"), number(t, again, "archived_before"); now != 0 || before != 205 {
		t.Errorf("the run had left %d messages, and copied %d", now, before)
	}
	mailark(t, 0, "mailark", "verify", dir)
}
