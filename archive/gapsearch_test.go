package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestGapSearchGivesUp looks through frames that are no tar: as long as there is a budget they are octets of no use; once it is
// used up the search ends in an error, so that good frames behind them are never put aside.
func TestGapSearchGivesUp(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	noTar := enc.EncodeAll(bytes.Repeat([]byte("no tar\n"), 1000), nil)
	data := bytes.Repeat(noTar, 20)
	path := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, budget := range []int64{1 << 20, 10_000} {
		g := &gapSearch{
			salvage: newSalvage(&rebuilder{}, false), ctx: t.Context(), segment: 1, f: f, size: int64(len(data)), budget: budget,
		}
		err := g.search(0, g.size)
		var damage *DamageError
		if gaveUp := errors.As(err, &damage); gaveUp != (budget == 10_000) {
			t.Errorf("budget %d: %v, %d units", budget, err, len(g.units))
		}
	}
}
