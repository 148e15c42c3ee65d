package importer

import (
	"slices"
	"time"

	"mailark/archive"
)

// state is what becomes of a wanted message in a run.
type state int

const (
	todo      state = iota
	doneEarly       // by an earlier run
	doneNow         // uploaded in this run
	foundNow        // adopted in this run
	refusedBy       // the target, now or earlier
	damagedIn       // the archive
	inDoubt         // sent, and the target cannot be asked; not sent again in this run
)

// item is one wanted message of one mailbox on its way to the target.
type item struct {
	msg   *archive.Message
	date  time.Time // INTERNALDATE to be sent
	state state
	text  string // of refusedBy and damagedIn
	early bool   // refused by an earlier run

	entry *entry // its open intent, or nil
	sent  bool   // all octets of entry's APPEND may have reached the server
	ours  bool   // entry is of this run
	hurt  bool   // could not be read from the archive; not counted yet

	bare   bool // to be sent without keywords, which the server has refused
	noes   int  // times the server did not take it
	passed int  // messages the server had taken when it first did not take this one
	down   bool // not taken often enough: it is tried again only after all others
	losses int  // connections it is blamed for
	alone  int  // of these, connections on which nothing else was sent
}

// settleItems matches what is wanted of a mailbox with what the ledger has, octets with octets: of every
// SHA-256, as many items are settled as there are entries. Entries beyond that are of mail the archive no
// longer wants. Where only some of several copies are settled, they are those with the same INTERNALDATE,
// then the first in order. Items with an open intent are left alone.
func settleItems(items []*item, entries []*entry, settle func(*item, *entry)) {
	bySum := make(map[archive.Sum][]*entry)
	for _, e := range entries {
		bySum[e.sum] = append(bySum[e.sum], e)
	}
	for _, sameDate := range []bool{true, false} {
		for _, it := range items {
			list := bySum[it.msg.Sum]
			if it.state != todo || it.entry != nil || len(list) == 0 {
				continue
			}
			i := 0
			if sameDate {
				i = slices.IndexFunc(list, func(e *entry) bool { return equalDate(e.date, it.date) })
			}
			if i < 0 {
				continue
			}
			settle(it, list[i])
			bySum[it.msg.Sum] = slices.Delete(list, i, i+1)
		}
	}
}

// equalDate compares INTERNALDATEs, which are whole seconds; the zone is only a way to write them.
func equalDate(a, b time.Time) bool { return a.Unix() == b.Unix() }

// candidate is a message in the target that no entry claims by UID.
type candidate struct {
	uid    uint32
	size   int64 // RFC822.SIZE, a hint
	date   time.Time
	digest *digest // nil: not fetched
	// unreadable: the server lists it and does not give its octets, or others than it has announced.
	unreadable bool
	taken      bool
}

// claim is something that may be among the candidates.
type claim struct {
	sum   archive.Sum
	size  int64
	date  time.Time
	from  uint32       // its UID is not below; 0: unknown
	upTo  uint32       // its UID is below; 0: unknown
	canon *archive.Sum // nil: unknown, or not to be compared
	found *candidate
}

// match gives candidates to claims. Within equal octets, equal dates go first, then low UIDs. byCanon
// compares canonical forms, else octets. Earlier claims of which the UID is not known must be matched
// before needs are, so that what is left really is free.
func match(pool []*candidate, claims []*claim, byCanon bool) {
	free := make(map[archive.Sum][]*candidate)
	for _, c := range pool {
		if c.digest == nil || c.taken {
			continue
		}
		key := c.digest.sum
		if byCanon {
			key = c.digest.canon
		}
		free[key] = append(free[key], c)
	}
	for _, sameDate := range []bool{true, false} {
		for _, cl := range claims {
			if cl.found != nil || byCanon && cl.canon == nil {
				continue
			}
			key := cl.sum
			if byCanon {
				key = *cl.canon
			}
			cl.take(free[key], sameDate)
		}
	}
}

// within reports whether a candidate lies where the claim expects its message.
func (cl *claim) within(c *candidate) bool {
	return c.uid >= cl.from && (cl.upTo == 0 || c.uid < cl.upTo)
}

func (cl *claim) take(free []*candidate, sameDate bool) {
	for _, c := range free {
		if !c.taken && cl.within(c) && (!sameDate || equalDate(c.date, cl.date)) {
			cl.found, c.taken = c, true
			return
		}
	}
}
