package session

import (
	"fmt"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/session/wire"
)

func TestSplit(t *testing.T) {
	sequence := func(n int, step uint32) (uids []uint32) {
		for i := range n {
			uids = append(uids, 4_000_000_000+uint32(i)*step)
		}
		return uids
	}
	for _, c := range []struct {
		name    string
		uids    []uint32
		size    int64
		batches int
	}{
		{"nothing", nil, 0, 0},
		{"one", sequence(1, 1), 1, 1},
		{"one that is too big", sequence(1, 1), 1 << 40, 1},
		{"all in a row", sequence(1000, 1), 10, 2},
		{"scattered", sequence(1000, 7), 10, 12},
		{"pairs", pairs(400), 10, 4},
		{"big ones", sequence(10, 1), 5 << 20, 10},
		{"medium ones", sequence(10, 1), 3 << 20, 5},
		{"negative sizes", sequence(10, 1), -1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			sizes := make([]int64, len(c.uids))
			for i := range sizes {
				sizes[i] = c.size
			}
			batches := split(c.uids, sizes)
			if len(batches) != c.batches {
				t.Errorf("%d batches, want %d", len(batches), c.batches)
			}
			if all := slices.Concat(batches...); !slices.Equal(all, c.uids) {
				t.Errorf("the batches are not the list: %v", all)
			}
			for _, b := range batches {
				var set imap.UIDSet
				for _, uid := range b {
					set.AddNum(imap.UID(uid))
				}
				if line := fmt.Sprintf("T12345 UID FETCH %s (UID BODY.PEEK[])\r\n", set); len(line) > 1000 {
					t.Errorf("a line of %d octets", len(line))
				}
			}
		})
	}
}

func pairs(n int) (uids []uint32) {
	for i := range uint32(n) {
		uids = append(uids, 1_000_000+i/2*5+i%2)
	}
	return uids
}

func TestAppendUID(t *testing.T) {
	for args, want := range map[string]AppendResult{
		"7 9": {7, 9}, "4294967295 4294967295": {4294967295, 4294967295}, " 7  9 ": {7, 9},
		"": {}, "7": {}, "0 9": {}, "7 0": {}, "7 9 11": {}, "7 9:11": {}, "7 -1": {}, "7 4294967296": {}, "x y": {},
	} {
		if got := appendUID(wire.Status{Code: "APPENDUID", Args: args}); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
	if got := appendUID(wire.Status{Code: "COPYUID", Args: "7 9"}); got != (AppendResult{}) {
		t.Errorf("COPYUID: %v", got)
	}
}
