package exporter

import (
	"slices"
	"strings"

	"mailark/archive"
	"mailark/internal/session"
)

// plan is the difference between a listing and what the archive has of the mailbox's epoch.
type plan struct {
	before  int            // listed and archived
	missing []session.Meta // listed and not archived, by UID
	suspect []session.Meta // archived, yet size and date are others now
	flags   []session.Meta // archived with other flags
	back    []archive.Key  // archived as gone, yet listed
	gone    []archive.Key  // archived or refused, not listed and not known to be gone

	// refused to an earlier run. What kills the connection or the server's patience every time must not stand before the rest.
	refused map[uint32]bool
}

// makePlan compares. at.UID does not count; at.Epoch 0 stands for an epoch the archive does not have yet.
func makePlan(c *archive.Catalog, at archive.Key, l *listing) *plan {
	refused := make(map[uint32]bool)
	p := &plan{refused: refused}
	for _, r := range c.Refusals() {
		if r.Mailbox == at.Mailbox && r.Epoch == at.Epoch {
			refused[r.UID] = true
		}
	}
	for _, meta := range l.messages {
		at.UID = meta.UID
		msg := c.Message(at)
		if msg == nil {
			p.missing = append(p.missing, meta)
			continue
		}
		p.before++
		if !meta.NoFlags && !sameFlags(msg.Flags, meta.Flags) {
			p.flags = append(p.flags, meta)
		}
		if msg.Gone {
			p.back = append(p.back, at)
		}
		if looksOther(msg, &meta) {
			p.suspect = append(p.suspect, meta)
		}
	}
	p.gone = unlisted(c, at, l, refused)
	return p
}

// unlisted are the keys of the epoch that the archive takes to be on the server and the listing has not.
func unlisted(c *archive.Catalog, at archive.Key, l *listing, refused map[uint32]bool) []archive.Key {
	var keys []archive.Key
	for msg := range c.Messages(at.Mailbox) {
		if msg.Epoch == at.Epoch && !msg.Gone && !l.has(msg.UID) {
			keys = append(keys, msg.Key)
		}
	}
	for uid := range refused {
		if !l.has(uid) {
			at.UID = uid
			keys = append(keys, at)
		}
	}
	return keys
}

// looksOther reports whether a UID may have been given to another message although UIDVALIDITY is
// the same. Size alone proves nothing, since RFC822.SIZE is an estimate on some servers; nor does the date,
// which some make up anew.
func looksOther(msg *archive.Message, meta *session.Meta) bool {
	return meta.Size != msg.Size && meta.Size > 0 &&
		!msg.InternalDate.IsZero() && !meta.InternalDate.IsZero() && !msg.InternalDate.Equal(meta.InternalDate)
}

// sameFlags compares two lists of flags as sets: system flags without case, keywords exactly.
func sameFlags(a, b []string) bool {
	return slices.Equal(flagSet(a), flagSet(b))
}

func flagSet(flags []string) []string {
	set := make([]string, 0, len(flags))
	for _, f := range flags {
		if strings.HasPrefix(f, `\`) {
			f = strings.ToLower(f)
		}
		if f != `\recent` {
			set = append(set, f)
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// octets is the sum of the sizes the server gives.
func octets(list []session.Meta) (n int64) {
	for i := range list {
		n += max(list[i].Size, 0)
	}
	return n
}
