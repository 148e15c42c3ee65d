package archive_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
	"mailark/maildirx"
)

// inflate decompresses a message file as its first octets say.
func inflate(t *testing.T, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch {
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	case bytes.HasPrefix(body, []byte("\x28\xb5\x2f\xfd")):
		dec, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer dec.Close()
		r = dec
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// treeFiles is every file of a tree: its octets and time by its path.
func treeFiles(t *testing.T, root string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		lines = append(lines, fmt.Sprintf("%s %x", rel, sha256.Sum256(data)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// extracted extracts an archive into a new directory, whose path it returns.
func extracted(t *testing.T, dir string, opts archive.ExtractOptions) string {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	out := filepath.Join(t.TempDir(), "out")
	res, err := r.Extract(t.Context(), out, opts)
	if err != nil || len(res.Damaged) > 0 || res.Messages == 0 {
		t.Fatalf("extract: %+v, %v", res, err)
	}
	return out
}

// TestExtractCompressed extracts in every way: octets, dates and flags are there, the sizes in the names are those of the
// messages, the uidlist has the names, equal messages share files, and a second tree is the same file for file.
func TestExtractCompressed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(150, 20)
	list[1].date, list[2].date = list[0].date, list[0].date
	for i := range 3 {
		list[i].body = []byte("From: a\n\nbare\r\nmixed\n\r\n\x00")
	}
	list[3].body = []byte("\n")
	list[4].date = time.Date(1959, 1, 2, 3, 4, 5, 0, zone(9))
	list[5].date = time.Date(2106, 2, 8, 0, 0, 0, 0, zone(-11))
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, how := range []archive.Compression{archive.Plain, archive.Gzip, archive.Zstd} {
		t.Run("with "+string(how), func(t *testing.T) {
			opts := archive.ExtractOptions{Compress: how}
			out := extracted(t, dir, opts)
			compare(t, "tree", treeLines(t, out), treeWant(list, func(m mail) time.Time { return m.date }))
			checkUIDList(t, out, r)
			checkFiles(t, out, how)
			if again := extracted(t, dir, opts); !slices.Equal(treeFiles(t, out), treeFiles(t, again)) {
				t.Error("a second tree is another")
			}
		})
	}
	if _, err := r.Extract(t.Context(), filepath.Join(t.TempDir(), "x"), archive.ExtractOptions{Compress: "lzma"}); err == nil {
		t.Error("a compression nobody knows is no error")
	}
}

// checkFiles looks at each message file as it lies on the disk.
func checkFiles(t *testing.T, out string, how archive.Compression) {
	t.Helper()
	magic := map[archive.Compression]string{archive.Gzip: "\x1f\x8b\x08\x00\x00\x00\x00\x00", archive.Zstd: "\x28\xb5\x2f\xfd"}[how]
	names := 0
	shared := make(map[string]os.FileInfo)
	err := maildirx.Walk(filepath.Join(out, "Maildir"), func(_ []string, dir string) error {
		files, err := maildirx.Messages(dir)
		for _, f := range files {
			names++
			body, err := os.ReadFile(f.Path)
			if err != nil {
				return err
			}
			info, err := os.Stat(f.Path)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(string(body), magic) {
				t.Errorf("%s begins with %.8q", f.Path, body)
			}
			plain := inflate(t, body)
			lf := bytes.ReplaceAll(plain, []byte("\r\n"), []byte("\n"))
			if want := len(lf) + bytes.Count(lf, []byte("\n")); f.Name.Size != int64(len(plain)) || f.Name.VSize != int64(want) {
				t.Errorf("%s: sizes are %d and %d", f.Path, len(plain), want)
			}
			key := fmt.Sprintf("%x %d", sha256.Sum256(plain), info.ModTime().Unix())
			if first, ok := shared[key]; ok && !os.SameFile(first, info) {
				t.Errorf("%s shares no file with its like", f.Path)
			}
			shared[key] = info
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(shared) == names {
		t.Error("nothing is shared")
	}
}
