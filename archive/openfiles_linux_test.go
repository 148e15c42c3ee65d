package archive_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mailark/archive"
)

// TestFewOpenFiles verifies and repairs an archive with many more segments than files that may be open.
func TestFewOpenFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	opts := options(nil)
	opts.FrameSize, opts.SegmentSize = 1<<10, 1<<10
	if _, err := exportWith(dir, opts, sample(600, 44), 7); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	room := uint64(len(open)) + 20
	if err != nil || uint64(len(names)) < 2*room {
		t.Fatalf("%d segments, %d files may be open: %v", len(names), room, err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = room
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	res, err := archive.Verify(t.Context(), dir, nil, nil)
	err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	if err != nil || len(res.Problems) > 0 {
		t.Errorf("verify: %v, %+v", err, res)
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("something was changed")
	}
}

// TestUnreadableSegment: a segment that is there and cannot be opened, or not be read, is not called damaged or missing.
func TestUnreadableSegment(t *testing.T) {
	base, _ := runs(t, 40, 60, 90)
	for name, spoil := range map[string]func(path string) error{
		"open": func(path string) error { return os.Symlink(filepath.Base(path), path) }, // to itself
		"read": func(path string) error { return os.Symlink("/proc/self/mem", path) },    // whose first octets are nowhere
	} {
		dir := copyDir(t, base)
		path := filepath.Join(dir, "segments", "000001.tar.zst")
		if err := errors.Join(os.Remove(path), spoil(path)); err != nil {
			t.Fatal(err)
		}
		res, err := archive.Verify(t.Context(), dir, nil, nil)
		var damage *archive.DamageError
		if err == nil || errors.As(err, &damage) {
			t.Errorf("%s: verify: %v, %+v", name, err, res)
		}
		if name == "read" {
			continue // it has no length, so repair would write to it
		}
		before := fmt.Sprint(os.ReadDir(filepath.Join(dir, "segments")))
		if _, err = archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{}); err == nil || errors.As(err, &damage) {
			t.Errorf("%s: repair: %v", name, err)
		}
		if after := fmt.Sprint(os.ReadDir(filepath.Join(dir, "segments"))); after != before {
			t.Errorf("%s: repair changed something", name)
		}
	}
}
