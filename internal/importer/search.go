package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"mailark/archive"
	"mailark/internal/session"
)

const (
	// fetchMessages and fetchOctets bound what is fetched before what was found is written down.
	fetchMessages = 256
	fetchOctets   = 32 << 20
	// fewCandidates may be fetched although the sizes the server tells do not fit: sizes can be wrong,
	// and a message sent twice is worse than some octets fetched in vain.
	fewCandidates = 64
)

// search looks for messages of the archive among those in a mailbox of the target. Octets decide:
// nothing is found by its Message-ID, size or date alone.
type search struct {
	*box
	pool    []*candidate // messages no entry claims by UID, by UID
	earlier []*claim     // entries that may be among them
	needs   []*claim     // what is looked for
	items   map[*claim]*item
	from    uint32 // messages with lower UIDs are not looked at

	anywhere bool // nor does any claim say where
}

// newSearch lists the messages of the selected mailbox.
func (b *box) newSearch(ctx context.Context, items []*item) (*search, error) {
	s := &search{box: b, items: make(map[*claim]*item, len(items))}
	var err error
	if s.pool, err = b.unclaimed(ctx); err != nil {
		return nil, err
	}
	s.earlier = b.unplaced()
	for _, it := range items {
		cl := &claim{sum: it.msg.Sum, size: it.msg.Size, date: it.date}
		if it.entry != nil {
			cl.from = b.bound(it.entry)
		}
		s.needs = append(s.needs, cl)
		s.items[cl] = it
	}
	return s, nil
}

// errShort says that the target lists fewer messages than it says it has. Nothing can be told from what
// is missing in such a list.
var errShort = errors.New("the target does not list all the messages it says it has")

// unclaimed lists the messages of the selected mailbox that no entry claims by UID, by UID.
// Somebody may take mail away between SELECT and FETCH; after a second SELECT a short list is errShort.
func (b *box) unclaimed(ctx context.Context) ([]*candidate, error) {
	for try := 1; ; try++ {
		var pool []*candidate
		seen := make(map[uint32]bool)
		err := b.link.target.FetchMeta(ctx, 1, func(m session.Meta) error {
			if m.UID == 0 || seen[m.UID] {
				return nil
			}
			seen[m.UID] = true
			if !b.led.isClaimed(b.to, b.receipt(m.UID)) {
				pool = append(pool, &candidate{uid: m.UID, size: m.Size, date: m.InternalDate, digest: b.digests[m.UID]})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(seen) >= int(b.sel.Exists) {
			slices.SortFunc(pool, func(a, b *candidate) int { return cmp.Compare(a.uid, b.uid) })
			return pool, nil
		}
		if try > 1 {
			return nil, fmt.Errorf("%w: %d of %d", errShort, len(seen), b.sel.Exists)
		}
		if err := b.enter(ctx); err != nil {
			return nil, err
		}
	}
}

// unbind forgets where claims expect their messages: a server may have told a wrong UIDNEXT.
func (s *search) unbind() {
	s.from, s.anywhere = 0, true
	for _, cl := range slices.Concat(s.earlier, s.needs) {
		cl.from, cl.upTo = 0, 0
	}
}

// bound is the UID an entry's message cannot be below, as the mailbox is numbered now.
func (b *box) bound(e *entry) uint32 {
	if b.sel.UIDValidity == 0 || e.before.UIDValidity != b.sel.UIDValidity {
		return 0
	}
	return e.before.UIDNext
}

// unplaced is what the ledger has as done in this mailbox without a UID that means something now. Such an
// entry lies between the mark its intent was made at and the next one: the marks are set by SELECT while
// nothing is under way. An entry of another UIDVALIDITY is older than every mark of this one.
func (b *box) unplaced() []*claim {
	var marks []uint32
	for _, e := range b.led.list(b.to, open, stored, adopted, refused, void) {
		if m := b.bound(e); m > 0 {
			marks = append(marks, m)
		}
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)
	var list []*claim
	for _, e := range b.led.list(b.to, stored, adopted) {
		if e.at.UID != 0 && e.at.UIDValidity == b.sel.UIDValidity {
			continue
		}
		cl := &claim{sum: e.sum, size: e.size, date: e.date, from: b.bound(e)}
		next := slices.IndexFunc(marks, func(m uint32) bool { return m > cl.from })
		if next >= 0 && (cl.from > 0 || e.before.UIDValidity != b.sel.UIDValidity) {
			cl.upTo = marks[next]
		}
		list = append(list, cl)
	}
	return list
}

// missing is what has not been found.
func (s *search) missing() []*claim {
	return slices.DeleteFunc(slices.Clone(s.needs), func(cl *claim) bool { return cl.found != nil })
}

// exact compares octets of all candidates whose size fits, in portions; each ends with a call of
// took, so that what was found is written down before more is fetched.
func (s *search) exact(ctx context.Context, took func() error) error {
	sizes := make(map[int64]bool)
	for _, cl := range s.needs {
		sizes[cl.size] = true
	}
	bySize := make(map[int64][]*candidate)
	for _, c := range s.pool {
		if sizes[c.size] && c.uid >= s.from {
			bySize[c.size] = append(bySize[c.size], c)
		}
	}
	// A size is never split: of equal messages, those of earlier runs must get theirs first.
	var portion []*candidate
	var octets int64
	flush := func() error {
		if err := s.fetch(ctx, portion); err != nil {
			return err
		}
		portion, octets = nil, 0
		if err := s.assignExact(ctx); err != nil {
			return err
		}
		return took()
	}
	for _, size := range slices.Sorted(maps.Keys(bySize)) {
		group := bySize[size]
		portion = append(portion, group...)
		octets += size * int64(len(group))
		if len(portion) >= fetchMessages || octets >= fetchOctets {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// altered compares canonical forms of what exact has not found, where a server may have altered the
// octets. all: also of messages no server has reason to alter.
func (s *search) altered(ctx context.Context, all bool) error {
	var loose, fitting spans
	for _, c := range s.pool {
		if !c.taken && c.uid >= s.from {
			loose = append(loose, looselyAlike(c.size))
		}
	}
	loose = loose.merged()
	missing := s.missing()
	slices.SortFunc(missing, func(a, b *claim) int { return s.items[a].msg.Place.Compare(s.items[b].msg.Place) })
	for _, cl := range missing {
		if !loose.has(cl.size) {
			continue
		}
		d, err := s.shape(ctx, s.items[cl].msg)
		if damaged(err) {
			continue // nothing to compare with; the upload will name it
		}
		if err != nil {
			return err
		}
		if all || d.altered {
			cl.canon = &d.canon
			fitting = append(fitting, d.couldBe())
		}
	}
	fitting = fitting.merged()
	var fit []*candidate
	for _, c := range s.pool {
		if !c.taken && c.uid >= s.from && fitting.has(c.size) {
			fit = append(fit, c)
		}
	}
	if err := s.fetch(ctx, fit); err != nil {
		return err
	}
	return s.assignAltered(ctx)
}

// assignExact gives away what is equal octet by octet, to earlier entries first: also to those whose
// message the server has altered until it was equal to one that is looked for.
func (s *search) assignExact(ctx context.Context) error {
	match(s.pool, s.earlier, false)
	wanted := make(map[archive.Sum]bool)
	for _, cl := range s.missing() {
		wanted[cl.sum] = true
	}
	err := s.bid(ctx, func(c *candidate) bool { return c.digest != nil && wanted[c.digest.sum] })
	match(s.pool, s.needs, false)
	return err
}

// assignAltered gives away what is equal in canonical form, to earlier entries first.
func (s *search) assignAltered(ctx context.Context) error {
	match(s.pool, s.earlier, false)
	wanted := make(map[archive.Sum]bool)
	for _, cl := range s.missing() {
		if cl.canon != nil {
			wanted[*cl.canon] = true
		}
	}
	err := s.bid(ctx, func(c *candidate) bool { return c.digest != nil && wanted[c.digest.canon] })
	match(s.pool, s.needs, true)
	return err
}

// bid lets earlier entries have contested candidates that are theirs in canonical form. Before that their
// own octets are looked for: not every server alters messages.
func (s *search) bid(ctx context.Context, contested func(*candidate) bool) error {
	sizes := make(map[int64]bool)
	for _, c := range s.pool {
		if c.taken || !contested(c) {
			continue
		}
		for _, cl := range s.earlier {
			if cl.found != nil || cl.canon != nil || !cl.within(c) || !looselyAlike(c.size).has(cl.size) {
				continue
			}
			msg := s.arc.BySum(cl.sum)
			if msg == nil {
				continue
			}
			d, err := s.shape(ctx, msg)
			if err != nil && !damaged(err) {
				return err
			}
			if err == nil {
				cl.canon = &d.canon
				if d.canon == c.digest.canon {
					sizes[cl.size] = true
				}
			}
		}
	}
	if len(sizes) == 0 {
		match(s.pool, s.earlier, true)
		return nil
	}
	err := s.fetch(ctx, slices.DeleteFunc(slices.Clone(s.pool), func(c *candidate) bool { return !sizes[c.size] }))
	match(s.pool, s.earlier, false)
	match(s.pool, s.earlier, true)
	return err
}

// fetch computes the digests of candidates that have none yet. One the server does not give is
// unreadable. Octets are never kept.
func (s *search) fetch(ctx context.Context, list []*candidate) error {
	byUID := make(map[uint32]*candidate)
	var uids []uint32
	var sizes []int64
	for _, c := range list {
		if c.digest == nil && !c.unreadable && !c.taken {
			byUID[c.uid] = c
			uids = append(uids, c.uid)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	slices.Sort(uids)
	for _, uid := range uids {
		sizes = append(sizes, byUID[uid].size)
	}
	err := s.link.target.FetchBodies(ctx, uids, sizes, func(uid uint32, _ int64, r io.Reader) error {
		c := byUID[uid]
		if c == nil {
			return nil
		}
		d, err := digestOf(r)
		if err != nil {
			return err
		}
		c.digest = d
		if d.size == 0 || d.size != c.size {
			// Servers give empty or cut bodies for those they cannot read. Equal octets would still be proof;
			// others prove nothing.
			c.unreadable = true
			return nil
		}
		s.digests[uid] = d
		if !s.volatile {
			s.link.progress()
		}
		return nil
	})
	if err != nil && !refusal(err) {
		return err
	}
	for _, c := range byUID {
		if c.digest == nil {
			c.unreadable = true
			s.opts.Log.Warn("the target does not give a message", "mailbox", s.to, "uid", c.uid, "reason", err)
		}
	}
	return nil
}
