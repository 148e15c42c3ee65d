package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mailark/archive"
)

// TestTornTail cuts the catalog and then the open segment within the last commit, at about 200 lengths each, evenly spaced,
// and with MAILARK_ROUNDS at every length: what was committed before stays, and opening for writing finishes the
// commit from its copy in the segment.
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
		step := 1 + (to-from)/200
		if os.Getenv("MAILARK_ROUNDS") != "" {
			step = 1
		}
		t.Logf("%s: from %d to %d by %d octets", name, from, to, step)
		for size := from; size < to; size += step {
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
