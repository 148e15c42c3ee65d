package archive_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
	"mailark/maildirx"
)

// hostileNames are mailboxes, level by level, as a hostile or a careless server names them.
func hostileNames() [][]string {
	return [][]string{
		{"INBOX"}, {"inbox "}, {"..", "..", "victim"}, {"../../victim"}, {"/etc/cron.d/x"}, {`..\..\victim`}, {"~root"}, {"."}, {".."},
		{""}, {"", "x"}, {"a/b"}, {"a", "b"}, {"a.b"}, {`a\2eb`}, {"a\x00b"}, {"a\nb"}, {"-rf"}, {"CON"}, {"nul.txt"}, {"x."}, {"x "}, {"x"}, {"X"},
		{"caf\u00e9"}, {"cafe\u0301"}, {"\xff\xfe"}, {"cur"}, {"new"}, {"dovecot-uidlist"}, {strings.Repeat("n", 5000)}, {strings.Repeat("n", 4999)},
		{"&AAA-"}, {"\u202etxt.exe"}, {"archive.json"},
	}
}

// TestHostileNames archives a message in each mailbox and extracts the tree: nothing is written outside it, no two mailboxes
// become one, also where case does not count, and each message comes back under the name its mailbox had.
func TestHostileNames(t *testing.T) {
	outer := t.TempDir()
	dir, out := filepath.Join(outer, "a"), filepath.Join(outer, "x", "y", "out")
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.BeginRun(archive.Source{}); err != nil {
		t.Fatal(err)
	}
	sp := spool.New(w.SpoolDir())
	names := hostileNames()
	for i, path := range names {
		mbox, err := w.SetMailbox(archive.MailboxInfo{Path: path, Raw: strings.Join(path, "\x01"), Delim: "/", Subscribed: true})
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		e, err := w.OpenEpoch(mbox.ID, 7)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(sp, "Subject: %d\r\n\r\n", i); err != nil {
			t.Fatal(err)
		}
		k := archive.Key{Mailbox: mbox.ID, Epoch: e.N, UID: 1}
		if _, err := w.Add(t.Context(), k, time.Unix(1, 0), nil, sp); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.EndRun(0, ""), w.Close()); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, dir)
	for name := range tarMembers(t, dir) {
		if !filepath.IsLocal(name) || !strings.HasPrefix(name+"/", "Maildir/") {
			t.Errorf("the tar has %q", name)
		}
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if res, err := r.Extract(t.Context(), out, archive.ExtractOptions{}); err != nil || res.Messages != len(names) {
		t.Fatalf("%d of %d messages extracted, %v", res.Messages, len(names), err)
	}
	dirs := make(map[string]bool)
	for i, mbox := range r.Mailboxes() {
		if got, want := strings.Join(mbox.Path, "\x01"), mbox.Raw; i > 0 && got != want && strings.ToValidUTF8(want, "") == want {
			t.Errorf("mailbox %q is called %q", want, got)
		}
		if fold := strings.ToLower(mbox.Dir); dirs[fold] || len(filepath.Base(mbox.Dir)) > 255 {
			t.Errorf("mailbox %q has directory %q, as another one has, or no file system", mbox.Raw, mbox.Dir)
		} else {
			dirs[fold] = true
		}
		files, err := maildirx.Messages(filepath.Join(out, mbox.Dir))
		if err != nil || len(files) != 1 {
			t.Errorf("mailbox %q: %d files, %v", mbox.Raw, len(files), err)
			continue
		}
		if body, err := os.ReadFile(files[0].Path); err != nil || string(body) != fmt.Sprintf("Subject: %d\r\n\r\n", i) {
			t.Errorf("mailbox %q holds %q, %v", mbox.Raw, body, err)
		}
	}
	err = filepath.WalkDir(outer, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(outer, path)
		if top, _, _ := strings.Cut(rel, "/"); top != "." && top != "a" && top != "x" ||
			strings.HasPrefix(rel, "x/") && rel != "x/y" && !strings.HasPrefix(rel, "x/y/out") {
			t.Errorf("something was written to %s", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
