package importer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailark/internal/imaptest"
)

// TestPowerCut: pages of results that were not synced came to the disk as NULs.
func TestPowerCut(t *testing.T) {
	msgs := mails("m", 100)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	runWant(t, opts, "100=0+100+0+0+0+0", 0)
	path := ledgerFile(t, dir)
	whole, err := os.ReadFile(path)
	must(t, err)
	last := bytes.LastIndex(whole, []byte(`{"t":"intent"`))
	tail := last + bytes.IndexByte(whole[last:], '\n') + 1
	if len(whole)-tail < 100 {
		t.Fatalf("no results after the last intent")
	}
	for _, n := range []int{1, 50, (len(whole) - tail) / 2, len(whole) - tail} {
		data := bytes.Clone(whole)
		clear(data[tail : tail+n])
		must(t, os.WriteFile(path, data, 0o600))
		runWant(t, opts, "100=100+0+0+0+0+0", 0)
		sameMail(t, s, "INBOX", msgs)
	}
	long := append(bytes.Clone(whole[:tail]), make([]byte, 3*maxLine)...)
	must(t, os.WriteFile(path, long, 0o600))
	runWant(t, opts, "100=100+0+0+0+0+0", 0)
	// Damage before an intent is none of a crash.
	data := bytes.Clone(whole)
	clear(data[last-50 : last-40])
	must(t, os.WriteFile(path, data, 0o600))
	if _, err := Run(t.Context(), opts); !errors.Is(err, ErrLedgerDamaged) || !strings.Contains(err.Error(), "move the file away") {
		t.Errorf("damage before an intent: %v", err)
	}
}

// TestLedgerThroughLink: a ledger has one lock, by whatever name it is called.
func TestLedgerThroughLink(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("m", 3)})
	s := newServer(t, imaptest.ServerOptions{})
	real := t.TempDir()
	links := t.TempDir()
	must(t, os.Symlink(filepath.Join(real, "a.jsonl"), filepath.Join(links, "b.jsonl"))) // leads to nothing yet
	must(t, os.Symlink(real, filepath.Join(links, "d")))
	r, opts := &run{}, options(t, dir, s)
	var err error
	paths := []string{filepath.Join(real, "a.jsonl"), filepath.Join(links, "b.jsonl"), filepath.Join(links, "d", "a.jsonl")}
	for i, path := range paths {
		resolved, rerr := realPath(path)
		must(t, rerr)
		if want, _ := realPath(paths[0]); resolved != want {
			t.Errorf("%s is %s", path, resolved)
		}
		opts.Ledger = path
		if i == 0 {
			continue
		}
		r.led, err = openLedger(mustPath(t, paths[0]), testWho(), testOptions())
		must(t, err)
		if _, err := Run(t.Context(), opts); !errors.Is(err, ErrLedgerLocked) {
			t.Errorf("%s: %v", path, err)
		}
		must(t, r.led.Close())
	}
	must(t, os.Symlink("loop", filepath.Join(links, "loop")))
	if _, err := realPath(filepath.Join(links, "loop")); err == nil {
		t.Error("a link that leads to itself was followed to an end")
	}
}

func mustPath(t *testing.T, path string) string {
	t.Helper()
	path, err := realPath(path)
	must(t, err)
	return path
}
