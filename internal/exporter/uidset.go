package exporter

import (
	"fmt"
	"strings"
)

// uidSet writes UIDs, which ascend, as IMAP does (RFC 9051, section 9, sequence-set): "1:5,9".
func uidSet(uids []uint32) string {
	var out strings.Builder
	for i := 0; i < len(uids); {
		last := i
		for last+1 < len(uids) && uids[last+1] == uids[last]+1 {
			last++
		}
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprint(&out, uids[i])
		if last > i {
			fmt.Fprintf(&out, ":%d", uids[last])
		}
		i = last + 1
	}
	return out.String()
}

// cutSet shortens a UID set for people, to whole ranges within limit octets.
func cutSet(set string, limit int) string {
	if len(set) <= limit {
		return set
	}
	end := strings.LastIndexByte(set[:limit], ',')
	return set[:max(end, 0)] + ",…"
}
