package durable_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailark/internal/durable"
)

// trace is a hook that writes down each finished step.
func trace(dir string, steps *[]string) durable.Hook {
	return func(s durable.Step, done bool) error {
		if done {
			*steps = append(*steps, fmt.Sprintf("%s %s", s.Op, strings.TrimPrefix(s.Path, dir)))
		}
		return nil
	}
}

func TestWriteFileSteps(t *testing.T) {
	dir := t.TempDir()
	var steps []string
	fs := durable.New(trace(dir, &steps))
	path := filepath.Join(dir, "f")
	if err := fs.WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	want := []string{"create /f.tmp", "write /f.tmp", "sync /f.tmp", "rename /f", "syncdir "}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if fs.Steps() != len(want) {
		t.Errorf("%d steps counted, want %d", fs.Steps(), len(want))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != durable.FileMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestWriteFileIsAtomic dies before and after each step: the file is the old one or the new one.
func TestWriteFileIsAtomic(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for _, after := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			killed := errors.New("killed")
			fs := durable.New(func(s durable.Step, done bool) error {
				if s.N > n || s.N == n && done == after {
					return killed
				}
				return nil
			})
			if err := fs.WriteFile(path, []byte("new")); !errors.Is(err, killed) {
				t.Fatalf("step %d after=%v: %v", n, after, err)
			}
			data, err := os.ReadFile(path)
			if err != nil || string(data) != "old" && string(data) != "new" {
				t.Errorf("step %d after=%v: %q, %v", n, after, data, err)
			}
			if err := durable.New(nil).WriteFile(path, []byte("again")); err != nil {
				t.Errorf("step %d after=%v: a second try: %v", n, after, err)
			}
		}
	}
}

func TestMkdirAllSyncsEachParent(t *testing.T) {
	dir := t.TempDir()
	var steps []string
	fs := durable.New(trace(dir, &steps))
	if err := fs.MkdirAll(filepath.Join(dir, "a/b")); err != nil {
		t.Fatal(err)
	}
	want := []string{"syncdir " + filepath.Dir(dir), "mkdir /a", "syncdir ", "mkdir /a/b", "syncdir /a"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if err := fs.Remove(filepath.Join(dir, "missing")); err != nil {
		t.Errorf("remove a missing file: %v", err)
	}
}

// TestHookReplacesSteps leaves out a sync and cuts a write short.
func TestHookReplacesSteps(t *testing.T) {
	full := errors.New("no space")
	fs := durable.New(func(s durable.Step, done bool) error {
		switch {
		case !done && s.Op == durable.OpSync:
			return durable.ErrSkip
		case !done && s.Op == durable.OpWrite && s.N > 2:
			return &durable.ShortWriteError{Octets: s.Len / 2, Err: full}
		}
		return nil
	})
	path := filepath.Join(t.TempDir(), "f")
	f, err := fs.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("whole ")); n != 6 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if n, err := f.Write([]byte("half of it")); n != 5 || !errors.Is(err, full) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Errorf("a sync that was left out: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "whole half " {
		t.Errorf("the file holds %q, %v", data, err)
	}
}
