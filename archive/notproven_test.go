package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// TestNotProven changes an octet of a message between its arrival and its compression, as a broken disk does: the
// run fails, nothing of the frame counts as archived, and the next run stores the message as it is.
func TestNotProven(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc: the spool's file cannot be found")
	}
	dir := filepath.Join(t.TempDir(), "a")
	good := mail{mailbox: "INBOX", uid: 1, body: []byte("Subject: good\r\n\r\n")}
	bad := mail{mailbox: "INBOX", uid: 2, body: bytes.Repeat([]byte("a line of mail\r\n"), 200_000)}
	if _, err := export(dir, nil, []mail{good}, 7); err != nil {
		t.Fatal(err)
	}
	w, err := archive.OpenWriter(dir, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	inbox := w.Mailboxes()[0]
	sp := spool.New(w.SpoolDir())
	if _, err := sp.Write(bad.body); err != nil {
		t.Fatal(err)
	}
	rot(t, dir)
	_, addErr := w.Add(t.Context(), archive.Key{Mailbox: inbox.ID, Epoch: 1, UID: bad.uid}, bad.date, nil, sp)
	if err := errors.Join(addErr, w.EndRun(0, ""), w.Close()); err == nil || !strings.Contains(err.Error(), "does not decompress to what it was made of") {
		t.Fatalf("the run ended with %v", err)
	}
	compare(t, "after the failure", contents(t, dir), expected([]mail{good}))
	if added, err := export(dir, nil, []mail{good, bad}, 7); err != nil || added != 1 {
		t.Fatalf("next run: %d, %v", added, err)
	}
	compare(t, "next run", contents(t, dir), expected([]mail{good, bad}))
	verifyClean(t, dir)
}

// rot changes an octet of the one large file below dir that this process has open.
func rot(t *testing.T, dir string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink(fd) // of one that is closed meanwhile: ""
		if info, err := os.Stat(fd); err != nil || !info.Mode().IsRegular() || info.Size() < 1<<20 || !strings.HasPrefix(to, dir) {
			continue
		}
		f, err := os.OpenFile(fd, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("X"), 1000); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the spool has no file")
}

// TestEqualRecords archives what compresses as well as records can: equal messages with equal dates and many keywords, whose
// flags then all change. Commits stay within the limits of the format.
func TestEqualRecords(t *testing.T) {
	n := 40_000
	if testing.Short() {
		n = 4_000
	}
	var flags []string
	for i := range 20 {
		flags = append(flags, fmt.Sprintf("$A-keyword-of-30-characters-%02d", i))
	}
	dir := filepath.Join(t.TempDir(), "a")
	date := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	var list []mail
	for i := range n {
		list = append(list, mail{mailbox: "INBOX", uid: uint32(i + 1), date: date, flags: flags, body: []byte("same\r\n")})
	}
	for range 2 {
		if _, err := export(dir, nil, list, 7); err != nil {
			t.Fatal(err)
		}
		for i := range list {
			list[i].flags = flags[:19]
		}
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if records, stored := r.Len(); records != n || stored != 1 {
		t.Errorf("%d messages, %d stored, want %d and 1", records, stored, n)
	}
	for m := range r.Messages(1) {
		if len(m.Flags) != 19 {
			t.Fatalf("uid %d has flags %q", m.UID, m.Flags)
		}
	}
}
