package archive_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// TestReadErrorIsNoTornTail makes segments and catalog unreadable (a directory stands in their place): whoever opens the
// archive must fail, and change nothing, rather than take what cannot be read for what is not there.
func TestReadErrorIsNoTornTail(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(200, 30)
	if _, err := export(base, nil, list[:150], 7); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(base, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export(base, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	for _, catalog := range [][]byte{nil, old} {
		dir := copyDir(t, base)
		name := lastSegment(t, dir)
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "catalog.jsonl.zst"), catalog, 0o600),
			os.Remove(filepath.Join(dir, name)), os.Mkdir(filepath.Join(dir, name), 0o700)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		if w, err := archive.OpenWriter(dir, options(nil)); err == nil {
			t.Errorf("an unreadable %s: no error", name)
			_ = w.Close()
		}
		if !maps.Equal(before, tree(t, dir)) {
			t.Errorf("an unreadable %s: the archive was changed", name)
		}
	}
	dir := copyDir(t, base)
	catalog := filepath.Join(dir, "catalog.jsonl.zst")
	if err := errors.Join(os.Remove(catalog), os.Mkdir(catalog, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Open(dir, nil); err == nil {
		t.Error("an unreadable catalog: no error")
	}
}

// TestRottenLastCommit damages or shortens the catalog's end: a reader sees everything all the same, because the
// segments have it.
func TestRottenLastCommit(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(60, 31)
	if _, err := export(base, nil, list[:50], 7); err != nil {
		t.Fatal(err)
	}
	from := fileSize(t, filepath.Join(base, "catalog.jsonl.zst"))
	if _, err := export(base, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	catalog := filepath.Join(base, "catalog.jsonl.zst")
	size := fileSize(t, catalog)
	for at := from; at < size; at += 1 + (size-from)/50 {
		dir := copyDir(t, base)
		flip(t, filepath.Join(dir, "catalog.jsonl.zst"), at)
		compare(t, "flipped", contents(t, dir), expected(list))
		truncate(t, filepath.Join(dir, "catalog.jsonl.zst"), at)
		compare(t, "cut", contents(t, dir), expected(list))
	}
}

// TestNothingUnreadableIsWritten gives the writer what a hostile server may say; the archive must open afterwards.
func TestNothingUnreadableIsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	mbox, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenEpoch(mbox.ID, 1); err != nil {
		t.Fatal(err)
	}
	dates := []time.Time{
		time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", 25*3600)),
		time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", -99*3600)),
		time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3601)),
		time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), {},
	}
	flags := []string{strings.Repeat("x", 5<<20), "bad \xff octet", `\Recent`, `\Seen`}
	sp := spool.New(w.SpoolDir())
	for i, date := range dates {
		if _, err := sp.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(t.Context(), archive.Key{Mailbox: 1, Epoch: 1, UID: uint32(i + 1)}, date, flags, sp); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Add(t.Context(), archive.Key{Mailbox: 1, Epoch: 1}, dates[0], nil, sp); err == nil {
		t.Error("UID 0 was accepted")
	}
	var gone []archive.Key
	for uid := uint32(1); uid < 400_000; uid += 2 {
		gone = append(gone, archive.Key{Mailbox: 1, Epoch: 1, UID: uid})
	}
	err = errors.Join(w.Refuse(archive.Key{Mailbox: 1, Epoch: 1, UID: 99}, strings.Repeat("no ", 3<<20)),
		w.SetGone(true, gone...), w.Commit(), w.Close())
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for i, date := range dates {
		m := r.Message(archive.Key{Mailbox: 1, Epoch: 1, UID: uint32(i + 1)})
		if i < 3 && !m.InternalDate.Equal(date) || i >= 3 && !m.InternalDate.IsZero() {
			t.Errorf("date %v comes back as %v", date, m.InternalDate)
		}
		if !m.Gone && m.UID%2 == 1 || len(m.Flags) != 2 || m.Flags[0] != "bad \u00ff octet" {
			t.Errorf("UID %d: gone %v, flags %.80q", m.UID, m.Gone, m.Flags)
		}
	}
}

// TestRefusedInANewEpochStaysCurrent: a message that the archive has, and that the server refuses under its new UID, is not
// lost from view.
func TestRefusedInANewEpochStaysCurrent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(9, 32)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := export(dir, nil, list[:6], 8); err != nil {
		t.Fatal(err)
	}
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for mailbox := uint32(1); mailbox <= 3; mailbox++ {
		if err := w.Refuse(archive.Key{Mailbox: mailbox, Epoch: 2, UID: 77}, "no"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	compare(t, "with refusals", contents(t, dir), expected(list))
}

// TestCreateKeepsWhatIsThere: half an archive is not taken for an interrupted creation.
func TestCreateKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog.jsonl.zst")
	if err := os.WriteFile(path, []byte("records"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Create(dir, archive.Source{}, nil); !errors.Is(err, archive.ErrExists) {
		t.Errorf("create: %v, want ErrExists", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "records" {
		t.Errorf("the catalog is %q now, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lock")); err == nil {
		t.Error("a lock was left in a directory that is no archive")
	}
}

// TestMailThatLooksLikeACommit archives a message that holds another archive's catalog, octet for octet, and dies before the
// commit: the tail is cut off all the same.
func TestMailThatLooksLikeACommit(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if _, err := export(other, nil, sample(30, 33), 7); err != nil {
		t.Fatal(err)
	}
	catalog, err := os.ReadFile(filepath.Join(other, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(30, 34)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "segments/000002.tar.zst"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(append([]byte("\x28\xb5\x2f\xfd torn "), catalog...))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	compare(t, "after recovery", contents(t, dir), expected(list))
}

// TestUnlistedMailboxIsGone: a mailbox that has left the server keeps its mail, and holds nothing now.
func TestUnlistedMailboxIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(9, 35)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.SetUnlisted(2), w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	all := 0
	for range r.Messages(2) {
		all++
	}
	if now := len(r.Current(2)); now != 0 || all != 3 {
		t.Errorf("%d messages current, %d in all; want 0 and 3", now, all)
	}
	for want, opts := range map[int]archive.ExtractOptions{6: {}, 9: {IncludeGone: true}} {
		res, err := r.Extract(t.Context(), filepath.Join(t.TempDir(), "out"), opts)
		if err != nil || res.Messages != want {
			t.Errorf("extract %+v: %+v, %v, want %d messages", opts, res, err, want)
		}
	}
}
