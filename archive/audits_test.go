package archive_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"mailark/archive"
)

// Reports in audits/, and whatever else lies there, are nobody's business: reading, verifying, repairing, rebuilding and
// writing go on as without them, and leave them as they are.
func TestAuditsAreIgnored(t *testing.T) {
	dir, list := threeRuns(t)
	audits := filepath.Join(dir, "audits")
	err := errors.Join(os.Mkdir(audits, 0o700),
		os.WriteFile(filepath.Join(audits, "20260101T000000Z.json"), []byte("{}\n"), 0o600),
		os.WriteFile(filepath.Join(audits, "000001.tar.zst"), []byte("\x28\xb5\x2f\xfd no frame"), 0o600),
		os.WriteFile(filepath.Join(audits, "catalog.jsonl.zst"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	reports := func() map[string]string {
		found := make(map[string]string)
		paths, _ := filepath.Glob(filepath.Join(audits, "*")) // fails with a bad pattern only
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[path] = string(data)
		}
		return found
	}
	before := reports()
	if len(before) < 3 {
		t.Fatalf("reports: %v", before)
	}
	compare(t, "with reports", contents(t, dir), expected(list))
	verifyClean(t, dir)
	if res, err := archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{}); err != nil || len(res.Problems) > 0 {
		t.Errorf("repair: %+v, %v", res, err)
	}
	if err := os.Remove(filepath.Join(dir, "catalog.jsonl.zst")); err != nil {
		t.Fatal(err)
	}
	if res := rebuild(t, dir); res.Unchanged || res.Damage != nil || res.Unknown != (archive.Unknown{}) {
		t.Errorf("rebuild: %+v", res)
	}
	compare(t, "after a rebuild", contents(t, dir), expected(list))
	if added, err := export(dir, nil, sample(155, 40), 8); err != nil || added != 5 {
		t.Errorf("%d added, %v", added, err)
	}
	verifyClean(t, dir)
	for path, content := range reports() {
		if before[path] != content {
			t.Errorf("%s has changed", path)
		}
		delete(before, path)
	}
	if len(before) > 0 {
		t.Errorf("lost: %v", before)
	}
}
