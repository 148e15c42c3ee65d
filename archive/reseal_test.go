package archive_test

import (
	"os"
	"path/filepath"
	"testing"

	"mailark/archive"
)

// TestOldCatalogAfterReseal puts older catalogs, down to an empty one, beside segments that were repaired, sealed anew and
// exported to: opening brings each up to date, and so does a rebuild, and SHA256SUMS stays what it is.
func TestOldCatalogAfterReseal(t *testing.T) {
	base, list := threeRuns(t)
	names, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	flip(t, names[0], recordFrames(t, names[0])[0]-2) // a frame of mail
	flip(t, names[1], fileSize(t, names[1])-2)        // a seek table
	if res := repair(t, "base", base); res.Seals != 1 || res.Frames != 1 {
		t.Fatalf("%+v", res)
	}
	if _, err := export(base, nil, list, 8); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, base)
	want := contents(t, base)
	sums, err := os.ReadFile(filepath.Join(base, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	same := func(what, dir string) {
		t.Helper()
		compare(t, what, contents(t, dir), want)
		verifyClean(t, dir)
		if now, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil || string(now) != string(sums) {
			t.Errorf("%s: SHA256SUMS is another one: %v", what, err)
		}
	}
	size := fileSize(t, filepath.Join(base, catalogName))
	for part := range int64(24) {
		dir := copyDir(t, base)
		truncate(t, filepath.Join(dir, catalogName), size*part/24)
		again := copyDir(t, dir)
		w, err := open(dir, nil)
		if err != nil {
			t.Fatalf("%d/24 of the catalog: %v", part, err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		same("opened", dir)
		if res := rebuild(t, again); res.Unknown != (archive.Unknown{}) || res.Damage != nil {
			t.Errorf("%d/24 of the catalog: %+v", part, res)
		}
		same("rebuilt", again)
		if added, err := export(again, nil, list, 8); err != nil || added > 0 {
			t.Errorf("%d added, %v", added, err)
		}
	}
}
