package archive_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// tarMembers reads all segments as one stream, as zstd -dc | tar --ignore-zeros does, and checks that every hard
// link's target came before it.
func tarMembers(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	members := make(map[string]bool)
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		dec, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(dec); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if h.Typeflag == tar.TypeLink && !members[h.Linkname] {
				t.Errorf("%s: %s links to %s, which did not come before it", name, h.Name, h.Linkname)
			}
			members[h.Name] = true
		}
		dec.Close()
		_ = f.Close()
	}
	return members
}
