package archive_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
)

// TestUnknownIsKept adds to an archive what a later version of the format may write: kinds of records, members of known ones,
// members of archive.json. A writer goes on behind it and changes no octet of it, and what is known keeps its meaning.
func TestUnknownIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(60, 60)
	if _, err := export(dir, nil, list[:30], 7); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	lines := records(t, dir)
	commits := 0
	for _, l := range lines {
		if strings.HasPrefix(l, `{"t":"commit"`) {
			commits++
		}
	}
	future := packed(t, fmt.Sprintf(`{"t":"commit","n":%d,"archive":%q,"time":"2040-01-02T03:04:05Z","signed":{"by":["x",1,null]}}
{"t":"colour","mailbox":1,"uid":9,"flags":7,"at":"somewhere"}
{"t":"flags","mailbox":1,"epoch":1,"uid":1,"flags":["\\Draft"],"why":"because","Extra":[{"a":{}}]}
{"t":"X-later","n":-5,"time":0}
`, commits+1, r.Info().ID))
	list[0].flags = []string{`\Draft`}
	path := filepath.Join(dir, "catalog.jsonl.zst")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old = append(old, future...)
	info, err := os.ReadFile(filepath.Join(dir, "archive.json"))
	if err != nil {
		t.Fatal(err)
	}
	info = bytes.Replace(info, []byte("{"), []byte("{\"later\": {\"a\": [1, 2]},\n"), 1)
	if err := os.WriteFile(filepath.Join(dir, "archive.json"), info, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	compare(t, "with unknown records", contents(t, dir), expected(list[:30]))
	verifyClean(t, dir)
	if added, err := export(dir, nil, list, 7); err != nil || added != 30 {
		t.Fatalf("%d added, %v", added, err)
	}
	compare(t, "after another run", contents(t, dir), expected(list))
	verifyClean(t, dir)
	if now, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(now, old) {
		t.Errorf("the old frames of the catalog have changed, %v", err)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "archive.json")); err != nil || !bytes.Equal(now, info) {
		t.Errorf("archive.json has changed: %s, %v", now, err)
	}
	if !slices.ContainsFunc(records(t, dir), func(l string) bool { return strings.HasPrefix(l, `{"t":"X-later"`) }) {
		t.Error("an unknown record is gone")
	}
}

// records are the lines of a catalog.
func records(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(plain), "\n"), "\n")
}
