package archive_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mailark/archive"
)

// noStates makes sure that no epoch counts as copied whole.
func noStates(t *testing.T, what, dir string) {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() { _ = r.Close() }()
	for _, m := range r.Mailboxes() {
		for _, e := range m.Epochs {
			if e.State != nil {
				t.Errorf("%s: epoch %d of %q still counts as copied whole", what, e.N, m.Name())
			}
		}
	}
}

// TestRebuildSaysWhatIsLost loses the catalog and a part of a segment, or a whole one: the rebuild says that commits are lost,
// and no mailbox counts as copied whole, also after it has been read again, rebuilt again and repaired.
func TestRebuildSaysWhatIsLost(t *testing.T) {
	base, list := threeRuns(t)
	names, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for i, name := range names {
		for part := range int64(4) {
			dir := copyDir(t, base)
			path := filepath.Join(dir, "segments", filepath.Base(name))
			what := filepath.Base(name) + " removed"
			switch {
			case part > 0:
				what = filepath.Base(name) + " cut"
				truncate(t, path, fileSize(t, path)*part/4)
			case i == len(names)-1:
				continue // it was not sealed: no file says that it was there
			default:
				err = os.Remove(path)
			}
			if err := errors.Join(err, os.Remove(filepath.Join(dir, catalogName))); err != nil {
				t.Fatal(err)
			}
			res := rebuild(t, dir)
			if u := res.Unknown; u.Commits+u.Ends == 0 && u.Octets == 0 {
				t.Errorf("%s at %d/4: %+v", what, part, res)
			}
			noStates(t, what, dir)
			if again := rebuild(t, dir); !again.Unchanged && again.Damage == nil {
				t.Errorf("%s: rebuilt again: %+v", what, again)
			}
			lostAgain(t, what, dir)
			repair(t, what, dir)
			noStates(t, what+", repaired", dir)
			if i < len(names)-1 { // else the repair has cut off the end, and what is left is the archive of an earlier day
				lostAgain(t, what+", repaired", dir)
				repair(t, what, dir)
			}
			if _, err := export(dir, nil, list, 8); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			verifyClean(t, dir)
			got := loose(t, contents(t, dir))
			for _, l := range loose(t, expected(list)) {
				if !slices.Contains(got, l) {
					t.Errorf("%s: missing after the next run: %s", what, l)
				}
			}
			_ = os.RemoveAll(dir)
		}
	}
}

func lostAgain(t *testing.T, what, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, catalogName)); err != nil {
		t.Fatal(err)
	}
	if res := rebuild(t, dir); res.Unknown == (archive.Unknown{}) {
		t.Errorf("%s: lost again: %+v", what, res)
	}
	noStates(t, what+", lost again", dir)
}

// TestRebuildFindsLostAside: a frame was put aside, its messages were rescued or fetched again, and then the catalog and the copy of
// the commit that said so are lost. What is good of the messages is known afterwards, nothing is stored again.
func TestRebuildFindsLostAside(t *testing.T) {
	base, list := threeRuns(t)
	first := filepath.Join(base, "segments", "000001.tar.zst")
	whole := copyDir(t, base)
	for name, hurt := range map[string]func(){
		"rescued":       func() { flip(t, first, recordFrames(t, first)[0]-2) },
		"fetched again": func() { zeros(t, first, 0, 300) },
	} {
		if err := errors.Join(os.RemoveAll(base), os.CopyFS(base, os.DirFS(whole))); err != nil {
			t.Fatal(err)
		}
		hurt()
		repaired := repair(t, name, base)
		last := filepath.Join(base, lastSegment(t, base))
		copies := recordFrames(t, last)
		if repaired.Seals != 1 || repaired.Frames != 1 || len(copies) < 2 {
			t.Fatalf("%+v", repaired)
		}
		if _, err := export(base, nil, list, 8); err != nil {
			t.Fatal(err)
		}
		aside := copies[len(copies)-2] // the seal is the last one
		for _, lost := range [][]int64{{aside}, {aside, copies[len(copies)-1]}} {
			dir := copyDir(t, base)
			for _, at := range lost {
				flip(t, filepath.Join(dir, "segments", filepath.Base(last)), at+20)
			}
			if err := os.Remove(filepath.Join(dir, catalogName)); err != nil {
				t.Fatal(err)
			}
			before := verifyClean(t, base).Messages
			var sums []string
			res := rebuild(t, dir)
			files := 0
			if name == "rescued" {
				files = 3 // rescued messages that share another one's file: no copy, no message
			}
			if res.Unknown.Records > 0 || res.Messages != before-files {
				t.Errorf("%s: %d messages, want %d: %+v", name, res.Messages, before, res)
			}
			if (res.Damage != nil) != (len(lost) > 1) {
				t.Errorf("%s: of the second seal: %v", name, res.Damage)
			}
			for _, path := range []string{base, dir} {
				now, err := os.ReadFile(filepath.Join(path, "SHA256SUMS"))
				if sums = append(sums, string(now)); err != nil || sums[0] != string(now) {
					t.Errorf("%s: SHA256SUMS is another one: %v", name, err)
				}
			}
			repair(t, name, dir)
			if v := verifyClean(t, dir); v.Messages != before-files || len(v.Lost)+len(v.Awaited) > 0 {
				t.Errorf("%s: repaired: %+v", name, v)
			}
			n := stored(t, dir)
			if _, err := export(dir, nil, list, 8); err != nil || stored(t, dir) != n {
				t.Errorf("%s: stored again, %v", name, err)
			}
			compare(t, name, loose(t, contents(t, dir)), loose(t, contents(t, base)))
		}
	}
}
