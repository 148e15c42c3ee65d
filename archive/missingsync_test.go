package archive_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailark/internal/durable"
)

// ofFile is the sync of a file with this name, or of a directory.
func ofFile(op durable.Op, name string) func() func(durable.Step) bool {
	return func() func(durable.Step) bool {
		return func(s durable.Step) bool { return s.Op == op && filepath.Base(s.Path) == name }
	}
}

// ofSegment is the sync of a segment at a seal, or at a commit.
func ofSegment(seal bool) func() func(durable.Step) bool {
	return func() func(durable.Step) bool {
		return func(s durable.Step) bool {
			if s.Op != durable.OpSync || filepath.Base(filepath.Dir(s.Path)) != "segments" {
				return false
			}
			data, err := os.ReadFile(s.Path)
			return err == nil && bytes.HasSuffix(data, []byte("\xb1\xea\x92\x8f")) == seal
		}
	}
}

// ofFound is the sync of a segment before a commit found in it is added to the catalog.
func ofFound() func(durable.Step) bool {
	opening, last := false, 0
	return func(s durable.Step) bool {
		// The second run counts its steps from 1 again.
		opening = s.N <= last || opening && (s.Op != durable.OpWrite || filepath.Base(s.Path) != "catalog.jsonl.zst")
		last = s.N
		return opening && s.Op == durable.OpSync && strings.HasSuffix(s.Path, ".tar.zst")
	}
}

// ofNames are the syncs of directories with which a writer begins.
func ofNames() func(durable.Step) bool {
	opening, last := false, 0
	return func(s durable.Step) bool {
		opening = s.N <= last || opening && s.Op != durable.OpCreate
		last = s.N
		return opening && s.Op == durable.OpSyncDir
	}
}

// ofCut is the sync after a torn tail was cut off.
func ofCut() func(durable.Step) bool {
	cut := ""
	return func(s durable.Step) bool {
		if s.Op == durable.OpTruncate {
			cut = s.Path
		}
		return s.Op == durable.OpSync && s.Path == cut
	}
}

// ofParent is the sync of the directory the archive is in.
func ofParent() func(durable.Step) bool {
	return func(s durable.Step) bool {
		base := filepath.Base(s.Path)
		return s.Op == durable.OpSyncDir && base != "a" && base != "segments"
	}
}

// TestPowerCutNoticesMissingSync leaves out one kind of sync after the other: the power cuts must find each that matters.
// They find nothing where
//
//   - a new catalog is synced, because it is empty;
//   - a torn tail has been cut off, because the next commit's sync makes that certain too, and if none comes the
//     tail may as well be there again;
//   - a seal found in a segment is added to the catalog: never counted here, since it is synced like any other.
func TestPowerCutNoticesMissingSync(t *testing.T) {
	const first, incremental, sealing = "first export", "incremental export", "sealing"
	for _, missing := range []struct {
		name     string
		kind     func() func(durable.Step) bool
		scenario string
		matters  bool
	}{
		{"segment at a commit", ofSegment(false), incremental, true},
		{"segment at a seal", ofSegment(true), sealing, true},
		{"segment of a commit found in it", ofFound, incremental, true},
		{"catalog", ofFile(durable.OpSync, "catalog.jsonl.zst"), incremental, true},
		{"archive.json", ofFile(durable.OpSync, "archive.json.tmp"), first, true},
		{"README.txt", ofFile(durable.OpSync, "README.txt.tmp"), first, true},
		{"SHA256SUMS", ofFile(durable.OpSync, "SHA256SUMS.tmp"), sealing, true},
		{"directory of the segments", ofFile(durable.OpSyncDir, "segments"), sealing, true},
		{"directory of the archive", ofFile(durable.OpSyncDir, "a"), first, true},
		{"directory the archive is in", ofParent, first, true},
		{"names found on opening", ofNames, first, true},
		{"new catalog", ofFile(durable.OpSync, "catalog.jsonl.zst.tmp"), first, false},
		{"what was cut", ofCut, incremental, false},
	} {
		t.Run(missing.name, func(t *testing.T) {
			t.Parallel()
			list := archives()
			sc := list[slices.IndexFunc(list, func(sc scenario) bool { return sc.name == missing.scenario })]
			base := sc.begin(t)
			want, steps := sc.clean(t, base)
			for i, cut := range manyCuts(len(steps)) {
				if missing.name == "names found on opening" && (!cut.killed || cut.step < 20) {
					continue // there is no archive yet
				}
				cut.forget = missing.kind
				err := cut.try(t, sc, base, want)
				switch {
				case err != nil && missing.matters:
					t.Logf("try %d: %.200v", i, err)
					return
				case err != nil:
					t.Errorf("it matters: %v", err)
				case !missing.matters && i > 60:
					return
				}
			}
			if missing.matters {
				t.Error("no power cut has shown that it is missing")
			}
		})
	}
}

// manyCuts are power cuts at every step, and at every step of the recovery from a kill at any step.
func manyCuts(steps int) []powerCut {
	const recovery = 16
	var list []powerCut
	for step := 1; step <= steps; step++ {
		list = append(list, powerCut{step: step, seed: 1}, powerCut{step: step, seed: 2})
	}
	for step := 1; step <= steps; step++ {
		for second := 3; second <= recovery; second++ {
			list = append(list, powerCut{step: step, second: second, killed: true, seed: uint64(second)})
		}
	}
	return list
}
