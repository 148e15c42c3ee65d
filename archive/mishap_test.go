package archive_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// mishap is something that happens to the files of an archive: a, whose run before the last one left old, beside other, which
// is another archive.
type mishap struct {
	name string
	do   func(a, old, other string) error
}

func rename(from, to string) func(a, _, _ string) error {
	return func(a, _, _ string) error { return os.Rename(filepath.Join(a, from), filepath.Join(a, to)) }
}

func remove(name string) mishap {
	return mishap{"lost " + name, func(a, _, _ string) error { return os.RemoveAll(filepath.Join(a, name)) }}
}

// replaced puts a file of the old or of another archive in place.
func replaced(name string, byOld bool) mishap {
	what := "foreign " + name
	if byOld {
		what = "older " + name
	}
	return mishap{what, func(a, old, other string) error {
		from := other
		if byOld {
			from = old
		}
		data, err := os.ReadFile(filepath.Join(from, name))
		return errors.Join(err, os.Remove(filepath.Join(a, name)), os.WriteFile(filepath.Join(a, name), data, 0o600))
	}}
}

// edited changes the octets of a file.
func edited(what, name string, edit func(data []byte) []byte) mishap {
	return mishap{what + " " + name, func(a, _, _ string) error {
		path := filepath.Join(a, name)
		data, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, edit(data), 0o600))
	}}
}

// mishaps are all that are tried.
func mishaps() []mishap {
	const segment1, segment2, segment3 = "segments/000001.tar.zst", "segments/000002.tar.zst", "segments/000003.tar.zst"
	list := []mishap{
		{"segments swapped", func(a, _, _ string) error {
			return errors.Join(rename(segment1, "x")(a, "", ""), rename(segment2, segment1)(a, "", ""), rename("x", segment2)(a, "", ""))
		}},
		{"a segment renamed", rename(segment1, "segments/000009.tar.zst")},
		{"a segment twice", func(a, _, _ string) error {
			data, err := os.ReadFile(filepath.Join(a, segment1))
			return errors.Join(err, os.WriteFile(filepath.Join(a, "segments/000004.tar.zst"), data, 0o600))
		}},
		{"a file with a foreign name", func(a, _, _ string) error {
			return os.WriteFile(filepath.Join(a, "segments/Thumbs.db"), []byte("x"), 0o600)
		}},
		remove("archive.json"), remove("catalog.jsonl.zst"), remove("SHA256SUMS"), remove("README.txt"), remove("lock"),
		remove("segments"), remove(segment1), remove(segment2), remove(segment3),
		replaced("catalog.jsonl.zst", true), replaced("SHA256SUMS", true), replaced(segment2, true),
	}
	for _, name := range []string{"archive.json", "catalog.jsonl.zst", "SHA256SUMS", segment1, segment2, segment3} {
		list = append(list, replaced(name, false))
	}
	for _, name := range []string{"archive.json", "catalog.jsonl.zst", "SHA256SUMS", segment1, segment3} {
		list = append(list,
			edited("emptied", name, func([]byte) []byte { return nil }),
			edited("zeroed", name, func(data []byte) []byte { return make([]byte, len(data)) }),
			edited("first page zeroed of", name, func(data []byte) []byte { clear(data[:min(len(data), 4096)]); return data }),
			edited("a page zeroed in the midst of", name, func(data []byte) []byte {
				clear(data[len(data)/2 : min(len(data), len(data)/2+4096)])
				return data
			}),
			edited("halved", name, func(data []byte) []byte { return data[:len(data)/2] }),
			edited("doubled", name, func(data []byte) []byte { return append(data, data...) }),
			edited("zeros behind", name, func(data []byte) []byte { return append(data, make([]byte, 5000)...) }),
			edited("garbage behind", name, func(data []byte) []byte { return append(data, bytes.Repeat([]byte("\x28\xb5\x2f\xfd"), 999)...) }),
		)
	}
	return list
}

// TestMishaps damages an archive in every way that has a name. Whatever happens: nothing wrong is given out, each message whose
// frame is whole can be read as long as the catalog can, verify reports what is missing, a writer refuses and changes
// nothing, or goes on and loses nothing, and all of it takes its time once.
func TestMishaps(t *testing.T) {
	const old, other = "old", "other"
	root := t.TempDir()
	dirs := map[string]string{"a": filepath.Join(root, "a"), old: filepath.Join(root, old), other: filepath.Join(root, other)}
	list := sample(100, 40)
	for name, lists := range map[string][][]mail{"a": {list[:50], list[:90], list}, old: nil, other: {sample(50, 41), sample(100, 41)}} {
		for i, l := range lists {
			opts := options(nil)
			opts.FrameSize, opts.SegmentSize = 6<<10, 16<<10
			if _, err := exportWith(dirs[name], opts, l, 7); err != nil {
				t.Fatal(err)
			}
			if name == "a" && i == 1 {
				if err := os.CopyFS(dirs[old], os.DirFS(dirs["a"])); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	want, err := yield(dirs["a"], spool.New(""))
	if err != nil || len(filesOf(t, dirs["a"])) != 6 || len(filesOf(t, dirs[other])) != 6 {
		t.Fatalf("%v, %v, %v", filesOf(t, dirs["a"]), filesOf(t, dirs[other]), err)
	}
	for _, m := range mishaps() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t, dirs["a"])
			if err := m.do(dir, dirs[old], dirs[other]); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(time.Minute, func() { panic("it takes for ever: " + m.name) })
			defer late.Stop()
			sp := spool.New("")
			before := tree(t, dir)
			changed, err := verdict(dir, want, sp)
			if err != nil {
				t.Error(err)
			}
			readable, _ := yield(dir, sp)
			w, openErr := archive.OpenWriter(dir, options(nil))
			if openErr != nil {
				refused(t, openErr)
				if !maps.Equal(tree(t, dir), before) {
					t.Error("a writer that refused has changed something")
				}
				_, createErr := archive.Create(dir, archive.Source{}, options(nil))
				if createErr == nil || !maps.Equal(tree(t, dir), before) {
					t.Errorf("a new archive was made over it: %v", createErr)
				}
				t.Logf("changed %v, refused: %v", changed, openErr)
				return
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			after, err := yield(dir, sp)
			for k, octets := range readable {
				if octets != "" && after[k] != octets {
					t.Errorf("%v was there before a writer came, and is lost: %v", k, err)
				}
			}
			t.Logf("changed %v, a writer goes on, %d of %d messages", changed, len(after), len(want))
		})
	}
}

// refused checks that an error of opening is one that a program knows what to do about.
func refused(t *testing.T, err error) {
	t.Helper()
	var damage *archive.DamageError
	if !errors.As(err, &damage) && !errors.Is(err, archive.ErrNotArchive) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the writer's error is neither damage nor a missing archive: %v", err)
	}
}
