package archive_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/internal/spool"
	"mailark/maildirx"
)

// inflate decompresses a message file as its first octets say.
func inflate(t *testing.T, body []byte) []byte {
	t.Helper()
	var plain bytes.Buffer
	if err := inflateTo(&plain, bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	return plain.Bytes()
}

func inflateTo(w io.Writer, r io.Reader) error {
	in := bufio.NewReader(r)
	magic, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, z)
		return err
	case bytes.Equal(magic, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return err
		}
		defer z.Close()
		_, err = io.Copy(w, z)
		return err
	}
	_, err := io.Copy(w, in)
	return err
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

// TestExtractBigMessage extracts a message of 100 MB in every way: the heap stays below 64 MiB all the time.
func TestExtractBigMessage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	mbox, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenEpoch(mbox.ID, 1); err != nil {
		t.Fatal(err)
	}
	sp := spool.New(w.SpoolDir())
	rng := rand.NewChaCha8([32]byte{1})
	chunk := make([]byte, 60<<10)
	long := strings.Repeat("easily compressed, for the test's own speed\r\n", 20<<10)
	for sp.Size() < 100<<20 {
		_, _ = rng.Read(chunk)
		if _, err := fmt.Fprintf(sp, "%s\r\n%s", base64.StdEncoding.EncodeToString(chunk), long); err != nil {
			t.Fatal(err)
		}
	}
	size, sum := sp.Size(), sp.Sum()
	_, err = w.Add(t.Context(), archive.Key{Mailbox: mbox.ID, Epoch: 1, UID: 1}, time.Unix(1, 0), nil, sp)
	if err := errors.Join(err, w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, how := range []archive.Compression{archive.Plain, archive.Gzip, archive.Zstd} {
		runtime.GC()
		var peak uint64
		written := 0
		out := filepath.Join(t.TempDir(), "out")
		err := extract(t, dir, out, durable.New(func(s durable.Step, done bool) error {
			if written++; s.Op == durable.OpWrite && done && written%8 == 0 {
				var ms runtime.MemStats
				runtime.ReadMemStats(&ms)
				peak = max(peak, ms.HeapInuse)
			}
			return nil
		}), archive.ExtractOptions{Compress: how})
		if limit := uint64(64 << 20); err != nil || peak == 0 || peak > limit {
			t.Errorf("%q: %v, heap of %d MiB, want at most %d", how, err, peak>>20, limit>>20)
		}
		files, err := maildirx.Messages(filepath.Join(out, "Maildir"))
		if err != nil || len(files) != 1 || files[0].Name.Size != size || files[0].Name.VSize != size {
			t.Fatalf("%q: %+v, %v", how, files, err)
		}
		f, err := os.Open(files[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.New()
		if err := errors.Join(inflateTo(hash, f), f.Close()); err != nil || !bytes.Equal(hash.Sum(nil), sum[:]) {
			t.Errorf("%q: %v, or other octets", how, err)
		}
		t.Logf("%q: a heap of %d MiB at most", how, peak>>20)
	}
}
