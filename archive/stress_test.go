package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"mailark/archive"
)

// damageSomewhere hurts a file of the archive: a bit, a part, its end, all of it, or it gets octets from elsewhere.
func damageSomewhere(t *testing.T, dir string, rng *rand.Rand) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{catalogName, catalogName, "SHA256SUMS", "README.txt"} {
		names = append(names, filepath.Join(dir, name))
	}
	name := names[rng.IntN(len(names))]
	data, err := os.ReadFile(name)
	if err != nil || len(data) == 0 {
		return "nothing"
	}
	at := rng.IntN(len(data))
	end := min(len(data), at+1+rng.IntN(600))
	what := ""
	switch rng.IntN(6) {
	case 0:
		what = "flip"
		data[at] ^= 1 << rng.IntN(8)
	case 1:
		what = "zeros"
		clear(data[at:end])
	case 2:
		what = "cut"
		data = data[:at]
	case 3:
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		return "remove " + filepath.Base(name)
	case 4:
		what = "noise"
		for i := at; i < end; i++ {
			data[i] = byte(rng.Uint32())
		}
	default:
		what = "old octets"
		copy(data[at:end], bytes.Clone(data[rng.IntN(at+1):]))
	}
	if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s at %d", what, filepath.Base(name), at)
}

// TestAnyDamage hurts archives in several places at once, and mends them as the programs say: rebuild, repair, export. Then
// everything is there.
func TestAnyDamage(t *testing.T) {
	base, list := runs(t, 30, 50, 80)
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for seed := range uint64(rounds) {
		anyDamage(t, base, list, seed)
	}
}

func anyDamage(t *testing.T, base string, list []mail, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 9))
	dir := copyDir(t, base)
	defer func() { _ = os.RemoveAll(dir) }()
	what := fmt.Sprintf("seed %d:", seed)
	for range 1 + rng.IntN(4) {
		what += " " + damageSomewhere(t, dir, rng) + ","
	}
	if rng.IntN(3) == 0 {
		what += " no catalog"
		_ = os.Remove(filepath.Join(dir, catalogName))
	}
	res, err := archive.Rebuild(t.Context(), dir, options(nil), archive.RebuildOptions{})
	if errors.Is(err, archive.ErrNotArchive) || errors.Is(err, archive.ErrFewer) {
		t.Logf("%s: %v", what, err)
		return
	}
	if err != nil {
		t.Fatalf("%s: rebuild: %v", what, err)
	}
	if _, err := archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{GiveUpMissing: true}); err != nil {
		t.Fatalf("%s: repair: %v\n%+v", what, err, res)
	}
	verified, err := archive.Verify(t.Context(), dir, nil, nil)
	if err != nil || len(verified.Problems) > 0 || len(verified.Damaged) > 0 {
		t.Fatalf("%s: verify: %v\n%+v", what, err, verified)
	}
	decodable(t, what, dir)
	if _, err := export(dir, nil, list, 8); err != nil {
		t.Fatalf("%s: export: %v", what, err)
	}
	compare(t, what, loose(t, contents(t, dir)), loose(t, expected(list)))
	verifyClean(t, dir)
	decodable(t, what, dir)
	if again := rebuild(t, dir); !again.Unchanged || again.Damage != nil {
		t.Errorf("%s: rebuild once more: %+v", what, again)
	}
	if t.Failed() {
		t.FailNow()
	}
}
