package archive_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mailark/archive"
	"mailark/internal/durable"
)

func extract(t *testing.T, dir, out string, fs *durable.FS, opts archive.ExtractOptions) error {
	t.Helper()
	r, err := archive.Open(dir, options(fs))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, err = r.Extract(t.Context(), out, opts)
	return err
}

// TestExtractAtEveryStep dies before and after every durable step of an extract, or lets that step alone fail. The tree is
// there whole or not at all; an error leaves nothing behind; the same command again makes the tree.
func TestExtractAtEveryStep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(6, 20)
	list[3].body, list[3].date = list[1].body, list[1].date
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	opts := archive.ExtractOptions{Compress: archive.Gzip, Mailboxes: []uint32{1, 2}}
	ops := make(map[int]durable.Op)
	count := durable.New(func(s durable.Step, _ bool) error {
		ops[s.N] = s.Op
		return nil
	})
	clean := filepath.Join(t.TempDir(), "out")
	if err := extract(t, dir, clean, count, opts); err != nil {
		t.Fatal(err)
	}
	want := treeFiles(t, clean)
	if !slices.Contains(slices.Collect(maps.Values(ops)), durable.OpLink) {
		t.Error("no link is made")
	}
	for n := 1; n <= count.Steps(); n++ {
		for name, hook := range map[string]durable.Hook{
			"die before": killAt(n, false), "die after": killAt(n, true), "fail before": failStep(n, false, false, errKilled), "fail after": failStep(n, true, false, errKilled),
		} {
			what := fmt.Sprintf("%s step %d (%s)", name, n, ops[n])
			out := filepath.Join(t.TempDir(), "out")
			err := extract(t, dir, out, durable.New(hook), opts)
			if copied := ops[n] == durable.OpLink && strings.HasPrefix(name, "fail"); !errors.Is(err, errKilled) && !copied {
				t.Fatalf("%s: %v, want to be killed", what, err)
			}
			_, missing := os.Stat(filepath.Join(out, "Maildir"))
			if _, left := os.Stat(out); strings.HasPrefix(name, "fail") && missing != nil && left == nil && ops[n] != durable.OpRemove {
				t.Errorf("%s: something is left: %v", what, treeFiles(t, out))
			}
			if missing != nil {
				err = extract(t, dir, out, durable.New(lazy), opts)
			} else if err = extract(t, dir, out, durable.New(lazy), opts); errors.Is(err, archive.ErrExists) {
				err = os.RemoveAll(filepath.Join(out, "extract.lock"))
			}
			if got := treeFiles(t, out); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: %v, %d files, want %d", what, err, len(got), len(want))
			}
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d steps, died and failed before and after each", count.Steps())
}

// TestExtractWithoutLinks extracts where the file system makes no link, for every reason there is: copies are made.
func TestExtractWithoutLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(60, 20)
	for i := range 9 {
		list[i].body, list[i].date = list[0].body, list[0].date
	}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	opts := archive.ExtractOptions{Compress: archive.Zstd}
	want := treeFiles(t, extracted(t, dir, opts))
	for _, why := range []error{syscall.EXDEV, syscall.EMLINK, syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		out := filepath.Join(t.TempDir(), "out")
		links := 0
		err := extract(t, dir, out, durable.New(func(s durable.Step, done bool) error {
			if s.Op != durable.OpLink {
				return lazy(s, done)
			}
			if links++; errors.Is(why, syscall.EMLINK) && links != 4 { // as when one file has all the links it can have
				return nil
			}
			return &os.LinkError{Op: "link", New: s.Path, Err: why}
		}), opts)
		if err != nil || links < 8 || !slices.Equal(treeFiles(t, out), want) {
			t.Errorf("%v: %v after %d links, and the tree is another", why, err, links)
		}
	}
}

// TestExtractRefuses: where a tree cannot be made nothing is written, and what is there stays.
func TestExtractRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if _, err := export(dir, nil, sample(5, 20), 7); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(t.TempDir(), "link")
	full := t.TempDir()
	err := errors.Join(os.Symlink(filepath.Join(dir, "segments"), inside), os.WriteFile(filepath.Join(full, "file"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	before := treeFiles(t, dir)
	for out, want := range map[string]error{
		dir: archive.ErrInside, filepath.Join(dir, "tree"): archive.ErrInside, filepath.Join(dir, "a/b"): archive.ErrInside,
		inside: archive.ErrInside, filepath.Join(inside, "tree"): archive.ErrInside,
		filepath.Dir(dir): archive.ErrExists, full: archive.ErrExists, filepath.Join(full, "file"): syscall.ENOTDIR,
		filepath.Join(full, "file/tree"): syscall.ENOTDIR,
	} {
		if err := extract(t, dir, out, nil, archive.ExtractOptions{}); !errors.Is(err, want) {
			t.Errorf("into %s: %v, want %v", out, err, want)
		}
	}
	if !slices.Equal(treeFiles(t, dir), before) || len(treeFiles(t, full)) != 1 {
		t.Error("something was written")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 7 {
		t.Errorf("the archive holds %v, %v", entries, err)
	}
}

// TestExtractTwiceAtOnce: the second extract into a directory is refused while the first is at work, and disturbs nothing.
func TestExtractTwiceAtOnce(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "out")
	list := sample(20, 20)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	err := extract(t, dir, out, nil, archive.ExtractOptions{Progress: func(int, int64) {
		if err := extract(t, dir, out, nil, archive.ExtractOptions{}); !errors.Is(err, archive.ErrBusy) {
			t.Errorf("a second extract meanwhile: %v", err)
		}
	}})
	if err != nil || len(treeLines(t, out)) != len(list) {
		t.Errorf("the first: %v", err)
	}
}

// TestExtractCancelled stops in the middle: nothing is left.
func TestExtractCancelled(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "out")
	if _, err := export(dir, nil, sample(20, 20), 7); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = r.Extract(ctx, out, archive.ExtractOptions{Progress: func(int, int64) { cancel() }})
	if _, left := os.Stat(out); !errors.Is(err, context.Canceled) || !errors.Is(left, os.ErrNotExist) {
		t.Errorf("%v, and the directory: %v", err, left)
	}
}

// TestExtractSyncsBeforeItAppears: when the tree gets its name, every file in it has been synced since it was last written, and
// every directory since it last got a name.
func TestExtractSyncsBeforeItAppears(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "out")
	if _, err := export(dir, nil, sample(30, 20), 7); err != nil {
		t.Fatal(err)
	}
	dirty := make(map[string]durable.Op)
	appeared := false
	err := extract(t, dir, out, durable.New(func(s durable.Step, done bool) error {
		if !done && s.Op == durable.OpRename && filepath.Base(s.Path) == "Maildir" {
			appeared = true
			for path, op := range dirty {
				t.Errorf("not synced: %s after %s", path, op)
			}
		}
		parent := filepath.Dir(s.Path)
		switch {
		case !done:
		case s.Op == durable.OpSync, s.Op == durable.OpSyncDir:
			delete(dirty, s.Path)
		case s.Op == durable.OpWrite:
			dirty[s.Path] = s.Op
		case s.Op == durable.OpRename, s.Op == durable.OpLink, s.Op == durable.OpMkdir,
			s.Op == durable.OpCreate && filepath.Base(parent) != "tmp" && filepath.Ext(s.Path) != ".tmp":
			dirty[parent] = s.Op
		}
		return nil
	}), archive.ExtractOptions{Compress: archive.Gzip})
	if err != nil || !appeared || dirty[out] != "" {
		t.Errorf("%v; the tree has its name: %v; not synced after that: %s", err, appeared, dirty[out])
	}
}
