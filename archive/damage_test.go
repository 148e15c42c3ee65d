package archive_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"mailark/archive"
	"mailark/internal/spool"
)

// TestDamageIsNoTornTail flips octets in the middle of catalog and segments: opening for writing must refuse,
// and change nothing, rather than take what follows for a torn tail and cut it off.
func TestDamageIsNoTornTail(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(200, 7)
	if _, err := export(base, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	harmless := 0
	size := fileSize(t, filepath.Join(base, "catalog.jsonl.zst"))
	for at := int64(0); at < size/2; at += 1 + size/100 {
		dir := copyDir(t, base)
		flip(t, filepath.Join(dir, "catalog.jsonl.zst"), at)
		before := tree(t, dir)
		var damage *archive.DamageError
		w, err := archive.OpenWriter(dir, options(nil))
		if err == nil {
			// A bit of a frame header that no reader minds, such as the unused one (RFC 8878, section 3.1.1.1.1).
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			compare(t, fmt.Sprintf("octet %d flipped", at), contents(t, dir), expected(list))
			harmless++
			continue
		}
		if !errors.As(err, &damage) {
			t.Errorf("octet %d flipped: OpenWriter gave %v, want *DamageError", at, err)
		}
		if after := tree(t, dir); !maps.Equal(before, after) {
			t.Errorf("octet %d flipped: OpenWriter changed the archive", at)
		}
		if res, err := archive.Verify(t.Context(), dir, nil, nil); err != nil || len(res.Problems) == 0 {
			t.Errorf("octet %d flipped: Verify found nothing (%v)", at, err)
		}
	}
	if harmless > 5 {
		t.Errorf("%d flips were harmless", harmless)
	}
}

// TestOldCatalog puts an older catalog beside newer segments: what the segments hold is not lost.
func TestOldCatalog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(200, 8)
	if _, err := export(dir, nil, list[:40], 7); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	for _, catalog := range [][]byte{old, nil} {
		if err := os.WriteFile(filepath.Join(dir, "catalog.jsonl.zst"), catalog, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := archive.OpenWriter(dir, options(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		compare(t, "recovered", contents(t, dir), expected(list))
		verifyClean(t, dir)
	}
}

// TestForeignCatalog puts another archive's catalog in place: nothing may be cut off.
func TestForeignCatalog(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if _, err := export(a, nil, sample(100, 9), 7); err != nil {
		t.Fatal(err)
	}
	if _, err := export(b, nil, sample(20, 10), 7); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(b, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a, "catalog.jsonl.zst"), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, a)
	var damage *archive.DamageError
	if _, err := archive.OpenWriter(a, options(nil)); !errors.As(err, &damage) {
		t.Errorf("OpenWriter: %v, want *DamageError", err)
	}
	if !maps.Equal(before, tree(t, a)) {
		t.Error("OpenWriter changed the archive")
	}
}

// TestVerifyNamesDamage flips an octet in each frame of mail: verify names messages, and the others can be read.
func TestVerifyNamesDamage(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(120, 11)
	if _, err := export(base, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	hurt := 0
	for _, name := range names {
		size := fileSize(t, name)
		for at := int64(0); at < size; at += 1 + size/60 {
			dir := copyDir(t, base)
			flip(t, filepath.Join(dir, "segments", filepath.Base(name)), at)
			res, err := archive.Verify(t.Context(), dir, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Problems) == 0 {
				t.Errorf("%s octet %d: not noticed", filepath.Base(name), at)
			}
			damaged := make(map[archive.Key]bool)
			for _, d := range res.Damaged {
				damaged[d.Key] = true
				hurt++
			}
			readOthers(t, dir, damaged)
		}
	}
	if hurt == 0 {
		t.Error("no message was ever hurt")
	}
}

// readOthers loads every message: those named as damaged must fail, all others must be right.
func readOthers(t *testing.T, dir string, damaged map[archive.Key]bool) {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	sp := spool.New(t.TempDir())
	for _, mbox := range r.Mailboxes() {
		for m := range r.Messages(mbox.ID) {
			err := r.Load(t.Context(), m, sp)
			if (err != nil) != damaged[m.Key] {
				t.Errorf("%q UID %d: load %v, verify says damaged=%v", mbox.Name(), m.UID, err, damaged[m.Key])
			}
		}
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x10
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// tree is every file of a directory but the lock, with its octets.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, pattern := range []string{"*", "segments/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if data, err := os.ReadFile(name); err == nil && filepath.Base(name) != "lock" {
				files[name] = string(data)
			}
		}
	}
	return files
}

// TestSealVouchesForNothingRotten lets a frame of the open segment rot before the segment is sealed: no seal vouches for
// what it has become.
func TestSealVouchesForNothingRotten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(40, 12)
	open := options(nil)
	open.SegmentSize = 1 << 30
	for n := 20; ; n = 40 {
		w, err := archive.OpenWriter(dir, open)
		if errors.Is(err, archive.ErrNotArchive) {
			w, err = archive.Create(dir, archive.Source{Host: "h", User: "u"}, open)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.BeginRun(archive.Source{Host: "h", User: "u"}); err != nil {
			t.Fatal(err)
		}
		mbox, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.OpenEpoch(mbox.ID, 7); err != nil {
			t.Fatal(err)
		}
		for i, m := range list[n-20 : n] {
			m.uid = uint32(n + i)
			if err := put(w, mbox.ID, 1, m); err != nil {
				t.Fatal(err)
			}
		}
		if n == 20 { // a commit, and no end of the run, which would seal
			if err := errors.Join(w.Commit(), w.Close()); err != nil {
				t.Fatal(err)
			}
			flip(t, filepath.Join(dir, "segments", "000001.tar.zst"), 300)
			continue
		}
		var damage *archive.DamageError
		if err := errors.Join(w.EndRun(0, ""), w.Close()); !errors.As(err, &damage) {
			t.Errorf("the run ended with %v, want *DamageError", err)
		}
		break
	}
	if sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil || len(sums) > 0 {
		t.Errorf("SHA256SUMS is %q, %v", sums, err)
	}
}
