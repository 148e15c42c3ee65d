package exporter

import (
	"context"
	"slices"

	"mailark/archive"
	"mailark/internal/session"
)

// manyUnknown is how many messages of a mailbox, or a quarter of them, may be asked for one by one before it is
// less work to list all.
const manyUnknown = 500

// base is what the archive knows of a mailbox whose changes are to be listed.
type base struct {
	validity uint32
	state    archive.State
	known    []session.Meta // archived and not gone, by UID
	refused  []uint32       // and not archived, ascending
}

// base is nil where a mailbox has to be listed in full.
func (x *export) base(mailbox uint32) *base {
	epoch, state := x.state(mailbox)
	if state == nil || state.HighestModSeq == 0 {
		return nil
	}
	b := &base{validity: epoch.UIDValidity, state: *state}
	for m := range x.catalog.Messages(mailbox) {
		if m.Epoch == epoch.N && !m.Gone {
			b.known = append(b.known, session.Meta{UID: m.UID, Flags: m.Flags, InternalDate: m.InternalDate, Size: m.Size})
		}
	}
	for _, r := range x.catalog.Refusals() {
		if r.Mailbox == mailbox && r.Epoch == epoch.N {
			b.refused = append(b.refused, r.UID)
		}
	}
	return b
}

// changes is what the server tells of a mailbox since the base.
type changes struct {
	selected session.Selected
	found    session.UIDSet // by SEARCH
	changed  []session.Meta // by FETCH (CHANGEDSINCE); by UID, each once
}

// fits reports whether the server's figures agree with each other and with the base.
func (c *changes) fits(b *base) bool {
	sel := &c.selected
	if sel.UIDValidity != b.validity || sel.UIDNext < b.state.UIDNext || sel.HighestModSeq < b.state.HighestModSeq ||
		sel.Exists == 0 || c.found.Len() != int64(sel.Exists) || c.found[len(c.found)-1].Last >= sel.UIDNext {
		return false
	}
	return !slices.ContainsFunc(c.changed, func(m session.Meta) bool { return !isIn(c.found, m.UID) })
}

func isIn(set session.UIDSet, uid uint32) bool {
	_, ok := slices.BinarySearchFunc(set, uid, func(r session.UIDRange, uid uint32) int {
		switch {
		case r.Last < uid:
			return -1
		case r.First > uid:
			return 1
		}
		return 0
	})
	return ok
}

// merge makes a listing of the changes and the base. doubtful are the UIDs to be asked for: those found of which
// nothing is known, and those known and not found, which must turn out to be gone.
func (c *changes) merge(b *base) (list []session.Meta, doubtful []uint32) {
	known := b.known
	list = make([]session.Meta, 0, c.selected.Exists)
	skip := func(until int64) { // what is known up to a UID has left, if the server is right
		for len(known) > 0 && int64(known[0].UID) < until {
			doubtful = append(doubtful, known[0].UID)
			known = known[1:]
		}
	}
	changed := listing{messages: c.changed}
	for uid := range c.found.All() {
		skip(int64(uid))
		isKnown := len(known) > 0 && known[0].UID == uid
		switch m := changed.find(uid); {
		case m != nil:
			list = append(list, *m)
		case isKnown:
			list = append(list, known[0])
		default:
			doubtful = append(doubtful, uid)
		}
		if isKnown {
			known = known[1:]
		}
	}
	skip(1 << 32)
	for _, uid := range b.refused {
		if !isIn(c.found, uid) {
			doubtful = append(doubtful, uid)
		}
	}
	slices.Sort(doubtful)
	return list, slices.Compact(doubtful)
}

// resolve takes in what the server says of the doubtful. It reports whether those found are there, and the others not.
func (c *changes) resolve(list []session.Meta, doubtful []uint32, told []session.Meta) ([]session.Meta, bool) {
	said := listing{messages: sortMessages(told)}
	for _, uid := range doubtful {
		m := said.find(uid)
		if (m != nil) != isIn(c.found, uid) {
			return nil, false
		}
		if m != nil {
			list = append(list, *m)
		}
	}
	return sortMessages(list), true
}

// listChanges opens and lists a mailbox by what has changed since the base. No listing and no error: it has to be
// listed in full.
func (l *link) listChanges(ctx context.Context, mailbox string, b *base) (found *listing, err error) {
	err = l.do(ctx, func(src server) error {
		found = nil
		inc, ok := src.(incremental)
		if !ok {
			return nil
		}
		c, err := l.askChanges(ctx, inc, mailbox, b)
		if err == nil && c.fits(b) {
			found, err = l.mergeChanges(ctx, inc, c, b)
		}
		if err != nil && (ctx.Err() != nil || lostConnection(err) || asksPatience(err)) {
			return err
		}
		if found == nil {
			l.leave() // the full listing is to begin afresh
			l.log.Info("what has changed is not to be had; listing in full", "mailbox", mailbox, "reason", err)
		}
		return nil
	})
	if err != nil {
		return nil, asMailboxError(ctx, "list", err)
	}
	return found, nil
}

func (l *link) askChanges(ctx context.Context, src incremental, mailbox string, b *base) (*changes, error) {
	l.leave()
	c := new(changes)
	set, err := src.ExamineChanged(ctx, mailbox, b.state.HighestModSeq, func(sel *session.Selected) {
		l.nowIn(mailbox, sel)
		c.selected = *sel
	}, func(m session.Meta) error {
		if m.UID != 0 {
			c.changed = append(c.changed, m)
		}
		return tooMany(len(c.changed), &c.selected)
	})
	c.found, c.changed = set, sortMessages(c.changed)
	return c, err
}

// mergeChanges is nil without an error where it would be too much, or does not add up.
func (l *link) mergeChanges(ctx context.Context, src incremental, c *changes, b *base) (*listing, error) {
	list, doubtful := c.merge(b)
	if len(doubtful) > max(manyUnknown, int(c.selected.Exists)/4) {
		return nil, nil //nolint:nilnil // documented
	}
	var told []session.Meta
	if len(doubtful) > 0 {
		err := src.FetchMetaOf(ctx, doubtful, func(m session.Meta) error {
			told = append(told, m)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list, ok := c.resolve(list, doubtful, told)
	if !ok {
		return nil, nil //nolint:nilnil // documented
	}
	return &listing{selected: c.selected, messages: list, opened: l.opened}, nil
}
