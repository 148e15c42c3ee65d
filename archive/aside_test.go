package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
)

// wholeAfter checks an archive after its repair: verify finds nothing, decoders read it, the next run makes everything equal.
func wholeAfter(t *testing.T, what, dir string, list []mail) {
	t.Helper()
	res, err := archive.Verify(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(res.Problems) > 0 || len(res.Damaged) > 0 {
		t.Fatalf("%s: after the repair: %v, damaged %v", what, res.Problems, res.Damaged)
	}
	decodable(t, what, dir)
	if len(res.Lost) > 0 {
		t.Errorf("%s: lost although the server has it: %v", what, res.Lost)
	}
	added, err := export(dir, nil, list, 8)
	if err != nil {
		t.Fatalf("%s: next run: %v", what, err)
	}
	if added != len(res.Awaited) {
		t.Errorf("%s: %d messages fetched again, %d were awaited", what, added, len(res.Awaited))
	}
	compare(t, what, contents(t, dir), expected(list))
	res = verifyClean(t, dir)
	if len(res.Awaited) > 0 || len(res.Lost) > 0 {
		t.Errorf("%s: still awaited %v, lost %v", what, res.Awaited, res.Lost)
	}
	decodable(t, what, dir)
	inTree(t, what, dir)
}

// decodable reads every segment to its end as zstd -d does, and its tar members.
func decodable(t *testing.T, what, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dec, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(dec); ; {
			if _, err := tr.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %s: %v", what, name, err)
			}
		}
		if _, err := io.Copy(io.Discard, dec); err != nil {
			t.Fatalf("%s: %s: %v", what, name, err)
		}
		dec.Close()
	}
}

// inTree makes sure that every message has its file in the tar.
func inTree(t *testing.T, what, dir string) {
	t.Helper()
	members := make(map[string]bool)
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		dec, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(dec); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", what, name, err)
			}
			if h.Typeflag != tar.TypeLink || members[h.Linkname] { // else tar complains and makes no file
				members[h.Name] = true
			}
		}
		dec.Close()
		_ = f.Close()
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, mbox := range r.Mailboxes() {
		for _, name := range []string{mbox.Dir + "/cur/", mbox.Dir + "/dovecot-uidlist", "Maildir/subscriptions"} {
			if !members[name] {
				t.Errorf("%s: %s is not in the tar", what, name)
			}
		}
		for m := range r.Messages(mbox.ID) {
			if !members[r.File(m)] {
				t.Errorf("%s: %s is not in the tar", what, r.File(m))
			}
		}
	}
}

// TestRebuildAfterRepair loses the catalog of a repaired archive: the new one knows the same.
func TestRebuildAfterRepair(t *testing.T) {
	dir, list := runs(t, 30, 40, 60)
	name := filepath.Join(dir, "segments", "000001.tar.zst")
	zeros(t, name, 200, 40)
	repair(t, "before", dir)
	want := contents(t, dir)
	for _, lose := range []func(string) error{os.Remove, func(path string) error { return os.Truncate(path, 0) }} {
		dir := copyDir(t, dir)
		if err := lose(filepath.Join(dir, catalogName)); err != nil {
			t.Fatal(err)
		}
		res := rebuild(t, dir)
		if res.Damage != nil {
			t.Errorf("%+v", res)
		}
		compare(t, "rebuilt", contents(t, dir), want)
		verifyClean(t, dir)
		wholeAfter(t, "rebuilt", dir, list)
	}
	// Without rebuild, a writer brings an empty catalog up to date by itself.
	if err := os.Truncate(filepath.Join(dir, catalogName), 0); err != nil {
		t.Fatal(err)
	}
	wholeAfter(t, "empty catalog", dir, list)
}

// TestRepairAfterRebuild loses the catalog and a copy of records: after rebuild and repair everything is well.
func TestRepairAfterRebuild(t *testing.T) {
	base, list := runs(t, 30, 40, 60)
	names, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, at := range recordFrames(t, name) {
			for _, off := range []int64{0, 20} {
				what := fmt.Sprintf("%s record frame at %d+%d", filepath.Base(name), at, off)
				dir := copyDir(t, base)
				if err := os.Remove(filepath.Join(dir, catalogName)); err != nil {
					t.Fatal(err)
				}
				flip(t, filepath.Join(dir, "segments", filepath.Base(name)), at+off)
				rebuild(t, dir)
				repair(t, what, dir)
				verifyClean(t, dir)
				decodable(t, what, dir)
				if _, err := export(dir, nil, list, 8); err != nil {
					t.Fatal(err)
				}
				compare(t, what, loose(t, contents(t, dir)), loose(t, expected(list)))
				verifyClean(t, dir)
				inTree(t, what, dir)
			}
		}
	}
}

// TestRepairedArchiveInRealPrograms unpacks a repaired archive with zstd and tar, as README.txt says.
func TestRepairedArchiveInRealPrograms(t *testing.T) {
	for _, program := range []string{"zstd", "tar", "sha256sum", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	dir, list := runs(t, 40, 60, 90)
	name := filepath.Join(dir, "segments", "000001.tar.zst")
	size := fileSize(t, name)
	zeros(t, name, size/3, 40)
	repair(t, "real", dir)
	if _, err := export(dir, nil, list, 8); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	for _, command := range []string{
		"zstd -tq segments/*.tar.zst", "sha256sum --quiet -c SHA256SUMS",
		// tar complains about links whose target was put aside, and goes on; the files come again later.
		"zstd -dc segments/*.tar.zst | tar -x --ignore-zeros -C " + out + " 2>" + out + "/complaints || true",
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, text)
		}
	}
	complaints, err := os.ReadFile(filepath.Join(out, "complaints"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(strings.TrimSpace(string(complaints)), "\n") {
		if l != "" && !strings.Contains(l, "hard link") && !strings.Contains(l, "previous errors") {
			t.Errorf("tar says: %s", l)
		}
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, mbox := range r.Mailboxes() {
		for _, m := range r.Current(mbox.ID) {
			data, err := os.ReadFile(filepath.Join(out, r.File(m)))
			if err != nil || sumOf(data) != m.Sum {
				t.Errorf("%s: %v", r.File(m), err)
			}
		}
	}
}
