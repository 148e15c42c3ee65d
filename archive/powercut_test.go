package archive_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mailark/internal/durable"
)

// powerCut runs an export and cuts the power before step n: what was not synced stays, block by block, or not; it may be
// cut short too.
func powerCut(t *testing.T, dir string, n int, rng *rand.Rand, list []mail, validity uint32) {
	t.Helper()
	synced := make(map[string]int64)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			synced[path] = fileSize(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	hook := func(s durable.Step, done bool) error {
		if s.N >= n {
			return errKilled
		}
		if info, err := os.Stat(s.Path); done && err == nil && info.Mode().IsRegular() {
			switch s.Op {
			case durable.OpSync:
				synced[s.Path] = info.Size()
			case durable.OpTruncate:
				synced[s.Path] = min(synced[s.Path], info.Size())
			case durable.OpRename: // of a file synced under its old name
				synced[s.Path] = info.Size()
			}
		}
		return nil
	}
	_, _ = export(dir, durable.New(hook), list, validity)
	names, err := filepath.Glob(filepath.Join(dir, "segments/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(names, filepath.Join(dir, "catalog.jsonl.zst")) {
		tear(t, path, synced[path], rng)
	}
}

// tear damages what a file has beyond its synced octets.
func tear(t *testing.T, path string, synced int64, rng *rand.Rand) {
	t.Helper()
	const block = 128
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	end := int64(len(data))
	if end <= synced {
		return
	}
	if rng.IntN(2) == 0 {
		end = synced + rng.Int64N(end-synced+1)
	}
	for at := synced / block * block; at < end; at += block {
		if rng.IntN(3) == 0 {
			clear(data[max(at, synced):min(at+block, end)])
		}
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data[:end], 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCut cuts the power at every step of a run, again while the next run recovers, and compares everything after a
// third.
func TestPowerCut(t *testing.T) {
	first := sample(30, 3)
	second := append(slices.Clone(first), sample(90, 4)[30:]...)
	base := filepath.Join(t.TempDir(), "base")
	if _, err := export(base, nil, first, 7); err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for seed := range uint64(2) {
		for _, validity := range []uint32{7, 8} {
			for n := 1; n < 60; n++ {
				what := fmt.Sprintf("seed %d, UIDVALIDITY %d, step %d", seed, validity, n)
				rng := rand.New(rand.NewPCG(seed, uint64(n)))
				dir := copyDir(t, base)
				powerCut(t, dir, n, rng, second, validity)
				powerCut(t, dir, 1+rng.IntN(12), rng, second, validity)
				cuts += 2
				if _, err := export(dir, nil, second, validity); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				compare(t, what, contents(t, dir), expected(second))
				verifyClean(t, dir)
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Logf("%d power cuts", cuts)
}
