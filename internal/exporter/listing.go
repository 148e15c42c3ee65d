package exporter

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"mailark/internal/session"
)

// listing is what the server shows of one mailbox: the answers to EXAMINE and to one FETCH of everything.
type listing struct {
	selected session.Selected
	messages []session.Meta // by UID, each once
	opened   int            // link.opened when it was listed
}

// sound reports whether the two answers agree on the number of messages. If they do not, a message
// that is not listed may be there all the same.
func (l *listing) sound() bool { return len(l.messages) == int(l.selected.Exists) }

// has reports whether a UID is listed.
func (l *listing) has(uid uint32) bool { return l.find(uid) != nil }

// find returns what is listed for a UID, or nil.
func (l *listing) find(uid uint32) *session.Meta {
	i, ok := slices.BinarySearchFunc(l.messages, uid, func(m session.Meta, uid uint32) int { return cmp.Compare(m.UID, uid) })
	if !ok {
		return nil
	}
	return &l.messages[i]
}

// listSlack is how many more messages than it said a server may list before it is not believed at all.
const listSlack = 100_000

// list opens and lists a mailbox. If the server's figures disagree it looks a second time, afresh; if
// they still disagree, the listing is not sound and holds whatever was listed either time.
// errRenumbered: the second look found another UIDVALIDITY.
func (l *link) list(ctx context.Context, mailbox string) (*listing, error) {
	first, err := l.listOnce(ctx, mailbox)
	if err != nil || first.sound() {
		return first, err
	}
	l.leave()
	second, err := l.listOnce(ctx, mailbox)
	if err != nil || second.sound() {
		return second, err
	}
	if second.selected.UIDValidity != first.selected.UIDValidity {
		return nil, errRenumbered
	}
	second.messages = sortMessages(append(second.messages, first.messages...))
	return second, nil
}

// listOnce lists a mailbox, and opens it if it is not open. A lost connection begins it again.
func (l *link) listOnce(ctx context.Context, mailbox string) (*listing, error) {
	var found *listing
	begin := func(sel *session.Selected) { found = &listing{selected: *sel, opened: l.opened} }
	add := func(m session.Meta) error {
		if m.UID != 0 {
			found.messages = append(found.messages, m)
		}
		return tooMany(len(found.messages), &found.selected)
	}
	err := l.do(ctx, func(src server) error {
		found = nil
		if inc, ok := src.(incremental); ok && l.mailbox != mailbox {
			l.leave()
			return inc.ExamineMeta(ctx, mailbox, func(sel *session.Selected) {
				l.nowIn(mailbox, sel)
				begin(sel)
			}, add)
		}
		sel, err := l.enter(ctx, mailbox)
		if err != nil {
			return err
		}
		begin(sel)
		return l.src.FetchMeta(ctx, 1, add)
	})
	switch {
	case err != nil && found == nil:
		return nil, asMailboxError(ctx, "open", err)
	case err != nil:
		return nil, asMailboxError(ctx, "list", err)
	}
	found.messages = sortMessages(found.messages)
	return found, nil
}

// tooMany is the error of a listing that has no end.
func tooMany(n int, sel *session.Selected) error {
	limit := 2*int(sel.Exists) + listSlack
	if n <= limit {
		return nil
	}
	return &mailboxError{text: fmt.Sprintf("list: more than %d messages where the server had said %d", limit, sel.Exists)}
}

// sortMessages sorts by UID and drops what was listed twice, keeping the first.
func sortMessages(list []session.Meta) []session.Meta {
	slices.SortStableFunc(list, func(a, b session.Meta) int { return cmp.Compare(a.UID, b.UID) })
	return slices.CompactFunc(list, func(a, b session.Meta) bool { return a.UID == b.UID })
}
