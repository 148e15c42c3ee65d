package archive_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mailark/archive"
	"mailark/internal/durable"
)

// TestRepairAsksForMissingSegments: without being told so, a repair gives up no missing segment, and never all of them with
// their directory; nothing is changed.
func TestRepairAsksForMissingSegments(t *testing.T) {
	base, _ := runs(t, 80, 160, 240)
	names, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, c := range []struct {
		what   string
		remove []string
		giveUp bool
	}{
		{"segments/000001.tar.zst is missing", []string{"segments/000001.tar.zst"}, false},
		{"segments/000002.tar.zst and 1 more are missing", []string{"segments/000002.tar.zst", "segments/000003.tar.zst"}, false},
		{"segments is missing", []string{"segments"}, false},
		{"segments is missing", []string{"segments"}, true},
	} {
		dir := copyDir(t, base)
		truncate(t, filepath.Join(dir, "segments", filepath.Base(names[len(names)-1])), 100)
		for _, name := range c.remove {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		before := tree(t, dir)
		res, err := archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{GiveUpMissing: c.giveUp})
		var missing *archive.MissingError
		var damage *archive.DamageError
		if !errors.As(err, &missing) || !errors.As(err, &damage) || err.Error() != c.what || res != nil {
			t.Errorf("%v: %v, %+v, want %q", c, err, res, c.what)
		}
		if missing != nil && missing.CanGiveUp != (c.what != "segments is missing") {
			t.Errorf("%v: %+v", c, missing)
		}
		if !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%v: something was changed", c)
		}
	}
}

// TestSegmentsComeBack gives segments up, and finds them again: their mail is taken back, with flags, and what had left the
// server; nothing has to be fetched again.
func TestSegmentsComeBack(t *testing.T) {
	base, list := runs(t, 40, 60, 90)
	w, err := open(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := archive.Key{Mailbox: 1, Epoch: 2, UID: list[0].uid}
	flagged := archive.Key{Mailbox: 1, Epoch: 2, UID: list[3].uid}
	_, err = w.SetFlags(flagged, []string{`\Answered`})
	if err := errors.Join(err, w.SetGone(true, gone), w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	want := contents(t, base)
	for _, how := range []string{"all", "all but the last", "half"} {
		dir := copyDir(t, base)
		names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if how != "all" {
			names = names[:len(names)-1]
		}
		away := make(map[string][]byte)
		for _, name := range names {
			if away[name], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
			if how == "half" {
				truncate(t, name, int64(len(away[name])/2))
			} else if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		first := repair(t, how, dir)
		if len(first.Awaited) == 0 {
			t.Fatalf("%s: nothing awaited", how)
		}
		for name, data := range away {
			if how == "all" && fileSize(t, name) > int64(len(data)) {
				continue // the repair itself went on in this one
			}
			if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		res := repair(t, how, dir)
		if res.Rescued == 0 || len(res.Lost) > 0 || how != "all" && len(res.Awaited) > 0 {
			t.Errorf("%s: %d taken back, awaited %v, lost %v", how, res.Rescued, res.Awaited, res.Lost)
		}
		verifyClean(t, dir)
		decodable(t, how, dir)
		if how != "all" {
			compare(t, how, contents(t, dir), want)
			r, err := archive.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if m := r.Message(gone); m == nil || !m.Gone {
				t.Errorf("%s: what had left the server is %+v", how, m)
			}
			if m := r.Message(flagged); m == nil || !slices.Equal(m.Flags, []string{`\Answered`}) {
				t.Errorf("%s: flags: %+v", how, m)
			}
			_ = r.Close()
		}
		if again := repair(t, how, dir); len(again.Problems) > 0 {
			t.Errorf("%s: repaired again: %v", how, again.Problems)
		}
	}
}

// TestRepairLooksFirst: what a repair cannot mend stops it before it changes anything, and not after.
func TestRepairLooksFirst(t *testing.T) {
	dir, _ := runs(t, 40, 60, 90)
	truncate(t, filepath.Join(dir, "segments", "000001.tar.zst"), 100)
	if err := os.WriteFile(filepath.Join(dir, "segments", "000009.tar.zst"), []byte("stray"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	res, err := archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{})
	var damage *archive.DamageError
	if !errors.As(err, &damage) || res != nil {
		t.Errorf("%v, %+v", err, res)
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("something was changed")
	}
}

// TestTakeBackCrash dies before and after every durable step of a repair that takes mail back; the next one ends it.
func TestTakeBackCrash(t *testing.T) {
	base, _ := runs(t, 10, 20, 45)
	want := contents(t, base)
	path := filepath.Join("segments", "000001.tar.zst")
	octets, err := os.ReadFile(filepath.Join(base, path))
	if err := errors.Join(err, os.Remove(filepath.Join(base, path))); err != nil {
		t.Fatal(err)
	}
	repair(t, "given up", base)
	path = filepath.Join(base, path)
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, octets, 0o600)); err != nil {
		t.Fatal(err)
	}
	count := durable.New(func(durable.Step, bool) error { return nil })
	if _, err := archive.Repair(t.Context(), copyDir(t, base), options(count), archive.RepairOptions{}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= count.Steps(); n++ {
		for _, after := range []bool{false, true} {
			what := fmt.Sprintf("step %d, after %v", n, after)
			dir := copyDir(t, base)
			_, _ = archive.Repair(t.Context(), dir, options(durable.New(killAt(n, after))), archive.RepairOptions{})
			repair(t, what, dir)
			if res := verifyClean(t, dir); len(res.Awaited)+len(res.Lost) > 0 {
				t.Errorf("%s: awaited %v, lost %v", what, res.Awaited, res.Lost)
			}
			compare(t, what, contents(t, dir), want)
			_ = os.RemoveAll(dir)
		}
	}
	t.Logf("%d steps", count.Steps())
}
