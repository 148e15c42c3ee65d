package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mailark/archive"
	"mailark/internal/durable"
)

// errKilled stands for the end of the process: after it nothing reaches the disk.
var errKilled = errors.New("killed")

// killAt is a hook that lets the process die before (or after) step n.
func killAt(n int, after bool) durable.Hook {
	dead := false
	return func(s durable.Step, done bool) error {
		if dead || s.N > n || s.N == n && done == after {
			dead = true
			return errKilled
		}
		return nil
	}
}

// failAt is a hook that lets one step fail, as a full disk does, and no other.
func failAt(n int, after bool) durable.Hook {
	return func(s durable.Step, done bool) error {
		if s.N == n && done == after {
			return errKilled
		}
		return nil
	}
}

// TestCrashAtEveryStep dies before and after every durable step of a first run, of an incremental one and of one with a new
// UIDVALIDITY, or lets that step alone fail; then it runs again and compares everything.
func TestCrashAtEveryStep(t *testing.T) {
	first := sample(60, 3)
	second := append(slices.Clone(first), sample(90, 4)[60:]...)
	second[5].flags = []string{`\Deleted`, "k"}
	for _, scenario := range []struct {
		name     string
		base     []mail
		run      []mail
		validity uint32
	}{
		{"first", nil, first, 7},
		{"incremental", first, second, 7},
		{"uidvalidity", first, second, 8},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "base")
			if scenario.base != nil {
				if _, err := export(base, nil, scenario.base, 7); err != nil {
					t.Fatal(err)
				}
			}
			ops := make(map[int]durable.Op)
			count := durable.New(func(s durable.Step, _ bool) error {
				ops[s.N] = s.Op
				return nil
			})
			clean := copyDir(t, base)
			if _, err := export(clean, count, scenario.run, scenario.validity); err != nil {
				t.Fatal(err)
			}
			want := contents(t, clean)
			compare(t, "clean run", want, expected(scenario.run))
			for n := 1; n <= count.Steps(); n++ {
				for _, crash := range []struct {
					name string
					hook durable.Hook
				}{
					{"die before", killAt(n, false)}, {"die after", killAt(n, true)},
					{"fail before", failAt(n, false)}, {"fail after", failAt(n, true)},
				} {
					what := fmt.Sprintf("%s step %d", crash.name, n)
					dir := copyDir(t, base)
					if _, err := export(dir, durable.New(crash.hook), scenario.run, scenario.validity); !errors.Is(err, errKilled) &&
						ops[n] != durable.OpChmod { // whose failure does no harm
						t.Fatalf("%s: %v, want to be killed", what, err)
					}
					if _, err := export(dir, nil, scenario.run, scenario.validity); err != nil {
						t.Fatalf("%s: resume: %v", what, err)
					}
					compare(t, what, contents(t, dir), want)
					verifyClean(t, dir)
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d steps, died and failed before and after each", count.Steps())
		})
	}
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return to
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestTornTail cuts the catalog and then the open segment at every length within the last commit: what was
// committed before stays, and opening for writing finishes the commit from its copy in the segment.
func TestTornTail(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	first := sample(60, 5)
	if _, err := export(base, nil, first, 7); err != nil {
		t.Fatal(err)
	}
	whole := copyDir(t, base)
	second := append(slices.Clone(first), sample(66, 6)[60:]...)
	if _, err := export(whole, nil, second, 7); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.jsonl.zst", lastSegment(t, whole)} {
		from, to := int64(0), fileSize(t, filepath.Join(whole, name))
		if _, err := os.Stat(filepath.Join(base, name)); err == nil {
			from = fileSize(t, filepath.Join(base, name))
		}
		for size := from; size < to; size += 1 + (to-from)/200 {
			dir := copyDir(t, whole)
			truncate(t, filepath.Join(dir, name), size)
			if name != "catalog.jsonl.zst" { // then the catalog cannot have known of it either
				truncate(t, filepath.Join(dir, "catalog.jsonl.zst"), fileSize(t, filepath.Join(base, "catalog.jsonl.zst")))
			} else {
				w, err := archive.OpenWriter(dir, options(nil))
				if err != nil {
					t.Fatalf("%s cut to %d: %v", name, size, err)
				}
				if records, _ := w.Len(); records != len(second) {
					t.Errorf("%s cut to %d: %d messages after recovery, want %d", name, size, records, len(second))
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := export(dir, nil, second, 7); err != nil {
				t.Fatalf("%s cut to %d: %v", name, size, err)
			}
			compare(t, fmt.Sprintf("%s cut to %d", name, size), contents(t, dir), expected(second))
			verifyClean(t, dir)
		}
	}
}

func lastSegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	return filepath.Join("segments", filepath.Base(names[len(names)-1]))
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
}
