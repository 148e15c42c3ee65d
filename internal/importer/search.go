package importer

import (
	"cmp"
	"context"
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
}

// newSearch lists the messages of the selected mailbox with UIDs from `from` on.
func (b *box) newSearch(ctx context.Context, from uint32, items []*item) (*search, error) {
	s := &search{box: b, items: make(map[*claim]*item, len(items))}
	seen := make(map[uint32]bool)
	err := b.link.target.FetchMeta(ctx, from, func(m session.Meta) error {
		if m.UID < from || m.UID == 0 || seen[m.UID] || b.led.isClaimed(b.to, b.receipt(m.UID)) {
			return nil
		}
		seen[m.UID] = true
		s.pool = append(s.pool, &candidate{uid: m.UID, size: m.Size, date: m.InternalDate, digest: b.digests[m.UID]})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(s.pool, func(a, b *candidate) int { return cmp.Compare(a.uid, b.uid) })
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
		if sizes[c.size] {
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
		assign(s.pool, s.earlier, s.needs, false)
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
		if !c.taken {
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
		if !c.taken && fitting.has(c.size) {
			fit = append(fit, c)
		}
	}
	if err := s.fetch(ctx, fit); err != nil {
		return err
	}
	return s.assignAltered(ctx)
}

// assignAltered gives away what is equal in canonical form, to earlier entries first.
func (s *search) assignAltered(ctx context.Context) error {
	wanted := make(map[archive.Sum]bool)
	for _, cl := range s.missing() {
		if cl.canon != nil {
			wanted[*cl.canon] = true
		}
	}
	for _, c := range s.pool {
		if c.taken || c.digest == nil || !wanted[c.digest.canon] {
			continue
		}
		for _, cl := range s.earlier {
			if cl.found != nil || cl.canon != nil || !looselyAlike(c.size).has(cl.size) {
				continue
			}
			msg := s.arc.BySum(cl.sum)
			if msg == nil {
				continue
			}
			d, err := s.shape(ctx, msg)
			if err == nil {
				cl.canon = &d.canon
			} else if !damaged(err) {
				return err
			}
		}
	}
	assign(s.pool, s.earlier, s.needs, true)
	return nil
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
		c.digest, s.digests[uid] = d, d
		s.link.progress()
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

// blocked reports whether a message that was not found may be one the server does not give.
func (s *search) blocked(ctx context.Context, cl *claim) (bool, error) {
	d, err := s.shape(ctx, s.items[cl].msg)
	if err != nil && !damaged(err) {
		return false, err
	}
	return slices.ContainsFunc(s.pool, func(c *candidate) bool {
		return c.unreadable && c.uid >= cl.from && (c.size == cl.size || d != nil && d.couldBe().has(c.size))
	}), nil
}
