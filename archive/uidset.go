package archive

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// formatUIDs writes UIDs as a set in the form of RFC 9051, section 9 (sequence-set): "1:4,7".
func formatUIDs(uids []uint32) string {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	var b strings.Builder
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1]-uids[j] <= 1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(uids[i]), 10))
		if uids[j] != uids[i] {
			b.WriteByte(':')
			b.WriteString(strconv.FormatUint(uint64(uids[j]), 10))
		}
		i = j + 1
	}
	return b.String()
}

// uidRange is an inclusive range of UIDs.
type uidRange struct{ first, last uint32 }

// parseUIDs reads a set: ranges, ascending, that do not touch. It is never larger than its text.
func parseUIDs(s string) ([]uidRange, error) {
	var set []uidRange
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		first, err := strconv.ParseUint(lo, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("parse UID set %.80q: %w", s, err)
		}
		last := first
		if isRange {
			if last, err = strconv.ParseUint(hi, 10, 32); err != nil {
				return nil, fmt.Errorf("parse UID set %.80q: %w", s, err)
			}
		}
		if first == 0 || last < first {
			return nil, fmt.Errorf("parse UID set %.80q: bad range %q", s, part)
		}
		set = append(set, uidRange{uint32(first), uint32(last)})
	}
	return merged(set), nil
}

// merged sorts ranges and makes one of those that overlap or touch, so that no UID is looked at twice.
func merged(set []uidRange) []uidRange {
	slices.SortFunc(set, func(a, b uidRange) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for _, r := range set[1:] {
		if last := &set[n]; r.first-1 <= last.last {
			last.last = max(last.last, r.last)
			continue
		}
		n++
		set[n] = r
	}
	return set[:n+1]
}
