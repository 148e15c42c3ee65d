package archive_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
	"mailark/internal/durable"
)

const catalogName = "catalog.jsonl.zst"

// catalogLines is the catalog's text, line by line, without the times of commits.
func catalogLines(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, catalogName))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(dec); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// withoutTime takes the time out of a record, since that of a seal's commit is not known again.
func withoutTime(lines []string) []string {
	var list []string
	for _, l := range lines {
		var r map[string]any
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			continue
		}
		if r["t"] == "commit" {
			delete(r, "time")
		}
		data, _ := json.Marshal(r)
		list = append(list, string(data))
	}
	return list
}

func rebuild(t *testing.T, dir string) *archive.RebuildResult {
	t.Helper()
	res, err := archive.Rebuild(t.Context(), dir, options(nil), archive.RebuildOptions{})
	if err != nil {
		t.Fatalf("rebuild: %v", err)
	}
	return res
}

// threeRuns is an archive of three runs, one of them with a new UIDVALIDITY.
func threeRuns(t *testing.T) (dir string, list []mail) {
	t.Helper()
	return runs(t, 60, 100, 150)
}

// runs is an archive of three runs that know so many messages each.
func runs(t *testing.T, first, second, third int) (dir string, list []mail) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "base")
	list = sample(third, 40)
	for _, run := range []struct {
		n        int
		validity uint32
	}{{first, 7}, {second, 7}, {third, 8}} {
		if _, err := export(dir, nil, list[:run.n], run.validity); err != nil {
			t.Fatal(err)
		}
	}
	return dir, list
}

// TestRebuildGivesTheSameCatalog loses the catalog in several ways: the new one is the old one, record by record, and where
// the old one had the octets, octet by octet.
func TestRebuildGivesTheSameCatalog(t *testing.T) {
	base, list := threeRuns(t)
	want := catalogLines(t, base)
	octets, err := os.ReadFile(filepath.Join(base, catalogName))
	if err != nil {
		t.Fatal(err)
	}
	size := fileSize(t, filepath.Join(base, catalogName))
	for name, lose := range map[string]func(path string){
		"removed":   func(path string) { _ = os.Remove(path) },
		"empty":     func(path string) { truncate(t, path, 0) },
		"half":      func(path string) { truncate(t, path, size/2) },
		"zeros":     func(path string) { _ = os.WriteFile(path, make([]byte, size), 0o600) },
		"flipped":   func(path string) { flip(t, path, size/3) },
		"all times": func(path string) { flip(t, path, 30); flip(t, path, size/2); flip(t, path, size-30) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, base)
			path := filepath.Join(dir, catalogName)
			lose(path)
			lost, _ := os.ReadFile(path)
			res := rebuild(t, dir)
			if res.Unchanged || res.Damage != nil || res.Messages != 2*len(list)-50 && res.Messages < len(list) {
				t.Errorf("%+v", res)
			}
			if res.OldCatalog != "" {
				if kept, err := os.ReadFile(filepath.Join(dir, res.OldCatalog)); err != nil || !bytes.Equal(kept, lost) {
					t.Errorf("the old catalog was not kept: %v", err)
				}
			} else if name != "removed" {
				t.Error("the old catalog was not kept")
			}
			if got := catalogLines(t, dir); !slices.Equal(withoutTime(got), withoutTime(want)) {
				t.Errorf("%d records, want %d", len(got), len(want))
			}
			compare(t, name, contents(t, dir), contents(t, base))
			verifyClean(t, dir)
			if now, err := os.ReadFile(path); name == "flipped" && (err != nil || res.Made == 0 && !bytes.Equal(now, octets)) {
				t.Errorf("the catalog is another one, %v", err)
			}
			if added, err := export(dir, nil, list, 8); err != nil || added > 0 {
				t.Errorf("%d added by the next run, %v", added, err)
			}
		})
	}
}

// TestRebuildLeavesAFineCatalog changes nothing without force, and with force only what is not known any more.
func TestRebuildLeavesAFineCatalog(t *testing.T) {
	dir, _ := threeRuns(t)
	before := tree(t, dir)
	if res := rebuild(t, dir); !res.Unchanged {
		t.Errorf("%+v", res)
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("the archive was changed")
	}
	res, err := archive.Rebuild(t.Context(), dir, options(nil), archive.RebuildOptions{Force: true})
	if err != nil || res.Unchanged || res.OldCatalog == "" || res.Made != 0 {
		t.Errorf("with force: %+v, %v", res, err)
	}
	after := tree(t, dir)
	delete(after, filepath.Join(dir, res.OldCatalog))
	if !maps.Equal(before, after) {
		t.Error("with force, the archive is another one now")
	}
}

// TestRebuildIsAlone: the lock is held, and what is no archive is left alone.
func TestRebuildIsAlone(t *testing.T) {
	dir, _ := threeRuns(t)
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Rebuild(t.Context(), dir, nil, archive.RebuildOptions{}); !errors.Is(err, archive.ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	if _, err := archive.Rebuild(t.Context(), empty, nil, archive.RebuildOptions{}); !errors.Is(err, archive.ErrNotArchive) {
		t.Errorf("%v, want ErrNotArchive", err)
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// TestRebuildMakesInfo loses archive.json as well.
func TestRebuildMakesInfo(t *testing.T) {
	base, list := threeRuns(t)
	old, err := archive.Open(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = old.Close()
	for _, lost := range [][]string{{"archive.json"}, {"archive.json", catalogName, "SHA256SUMS", "README.txt"}} {
		dir := copyDir(t, base)
		for _, name := range lost {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if res := rebuild(t, dir); !res.MadeInfo {
			t.Errorf("%+v", res)
		}
		r, err := archive.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Info().ID != old.Info().ID || r.Info().Source != old.Info().Source {
			t.Errorf("%+v, want %+v", r.Info(), old.Info())
		}
		_ = r.Close()
		compare(t, "without archive.json", contents(t, dir), contents(t, base))
		verifyClean(t, dir)
		if added, err := export(dir, nil, list, 8); err != nil || added > 0 {
			t.Errorf("%d added by the next run, %v", added, err)
		}
		for name, data := range tree(t, base) {
			name, _ := filepath.Rel(base, name)
			now, err := os.ReadFile(filepath.Join(dir, name))
			if (name == "SHA256SUMS" || name == "README.txt") && (err != nil || string(now) != data) {
				t.Errorf("%s is another one: %v", name, err)
			}
		}
	}
}

// recordFrames are the offsets of the record frames in a segment.
func recordFrames(t *testing.T, path string) []int64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return recordFramesIn(data)
}

func recordFramesIn(data []byte) (list []int64) {
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], []byte{0x5A, 0x2A, 0x4D, 0x18})
		if i < 0 {
			return list
		}
		at += i
		list = append(list, int64(at))
	}
}

// TestRebuildCrash dies before and after every durable step of a rebuild, and runs it again.
func TestRebuildCrash(t *testing.T) {
	base, list := runs(t, 20, 30, 40)
	for _, lost := range [][]string{{catalogName}, {"archive.json", "SHA256SUMS", "README.txt"}} {
		hurt := copyDir(t, base)
		flip(t, filepath.Join(hurt, catalogName), 40)
		for _, name := range lost {
			if err := os.Remove(filepath.Join(hurt, name)); err != nil {
				t.Fatal(err)
			}
		}
		want := contents(t, base)
		ops := make(map[int]durable.Op)
		count := durable.New(func(s durable.Step, _ bool) error {
			ops[s.N] = s.Op
			return nil
		})
		if _, err := archive.Rebuild(t.Context(), copyDir(t, hurt), options(count), archive.RebuildOptions{}); err != nil {
			t.Fatal(err)
		}
		if count.Steps() < 4 {
			t.Errorf("%d steps", count.Steps())
		}
		for n := 1; n <= count.Steps(); n++ {
			for name, hook := range map[string]durable.Hook{
				"die before": killAt(n, false), "die after": killAt(n, true),
				"fail before": failStep(n, false, false, errKilled), "fail after": failStep(n, true, false, errKilled),
			} {
				what := fmt.Sprintf("lost %v, %s step %d", lost, name, n)
				dir := copyDir(t, hurt)
				_, err := archive.Rebuild(t.Context(), dir, options(durable.New(hook)), archive.RebuildOptions{})
				if !errors.Is(err, errKilled) && ops[n] != durable.OpChmod { // whose failure does no harm
					t.Errorf("%s: %v", what, err)
				}
				rebuild(t, dir)
				compare(t, what, contents(t, dir), want)
				verifyClean(t, dir)
				if added, err := export(dir, nil, list, 8); err != nil || added > 0 {
					t.Errorf("%s: %d added, %v", what, added, err)
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("lost %v: %d steps", lost, count.Steps())
	}
}

// TestRebuildNeverKnowsLess puts an older copy of the last segment beside a catalog with a damaged frame: what only the
// readable part of the catalog knows stays known.
func TestRebuildNeverKnowsLess(t *testing.T) {
	base, _ := threeRuns(t)
	dir := copyDir(t, base)
	if err := os.Remove(filepath.Join(dir, lastSegment(t, dir))); err != nil {
		t.Fatal(err)
	}
	res := rebuild(t, dir)
	if !res.Unchanged || res.Damage == nil {
		t.Errorf("a segment is missing: %+v", res)
	}
	flip(t, filepath.Join(dir, catalogName), 30)
	res = rebuild(t, dir)
	if res.Damage == nil {
		t.Errorf("a segment is missing: %+v", res)
	}
	r, err := archive.Open(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if records, _ := r.Len(); res.Messages != records {
		t.Errorf("%d messages known, want %d", res.Messages, records)
	}
}

// TestRebuildRefusesToKnowLess gives an archive the segments of another branch of its history: the copies there are whole, but
// messages that the catalog knows are not in them.
func TestRebuildRefusesToKnowLess(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(80, 45)
	if _, err := export(base, nil, list[:40], 7); err != nil {
		t.Fatal(err)
	}
	dir, other := copyDir(t, base), copyDir(t, base)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := export(other, nil, append(slices.Clone(list[:40]), sample(90, 46)[80:]...), 7); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "segments")),
		os.CopyFS(filepath.Join(dir, "segments"), os.DirFS(filepath.Join(other, "segments")))); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	if _, err := archive.Rebuild(t.Context(), dir, options(nil), archive.RebuildOptions{}); !errors.Is(err, archive.ErrFewer) {
		t.Errorf("%v, want ErrFewer", err)
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("the archive was changed")
	}
	res, err := archive.Rebuild(t.Context(), dir, options(nil), archive.RebuildOptions{Force: true})
	if err != nil || res.OldCatalog == "" {
		t.Errorf("with force: %+v, %v", res, err)
	}
	repair(t, "with force", dir)
	verifyClean(t, dir)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	got := contents(t, dir)
	for _, l := range expected(list) {
		if !slices.Contains(got, l) {
			t.Errorf("with force: missing %s", l)
		}
	}
}
