package session

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// maxSearch is the largest mailbox of which SEARCH without ESEARCH is asked: its answer is one line.
const maxSearch = 50_000

// errSearch is the reason where the answer to SEARCH holds no UIDs or nonsense.
var errSearch = errors.New("no set of UIDs")

// UIDRange is the UIDs from First to Last.
type UIDRange struct{ First, Last uint32 }

// UIDSet is a set of UIDs: ranges in ascending order that do not touch. What a server lists as one range takes
// no more memory however long it is.
type UIDSet []UIDRange

// Len is the number of UIDs.
func (s UIDSet) Len() (n int64) {
	for _, r := range s {
		n += int64(r.Last) - int64(r.First) + 1
	}
	return n
}

// All yields the UIDs in ascending order. There may be four thousand millions: look at Len first.
func (s UIDSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range s {
			for uid := int64(r.First); uid <= int64(r.Last); uid++ {
				if !yield(uint32(uid)) { //nolint:gosec // G115: between two of them
					return
				}
			}
		}
	}
}

// UIDs are the UIDs of the selected mailbox, by SEARCH (RFC 4731 where offered). No answer to the search is
// the empty set if the server says OK (quirk AUTH-124).
func (c *conn) UIDs(ctx context.Context) (set UIDSet, err error) {
	err = c.run(ctx, "UID SEARCH ALL", ScopeMailbox, func() (err error) {
		defer c.w.Limit(c.metaLimit())()
		if !c.caps.Has(imap.CapESearch) && c.exists > maxSearch {
			set, err = c.fetchUIDs()
		} else {
			set, err = c.searched(c.askUIDs())
		}
		return err
	})
	return set, err
}

func (c *conn) askUIDs() *imapclient.SearchCommand {
	return c.cl.UIDSearch(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnAll: c.caps.Has(imap.CapESearch)})
}

// searched reads the answer to askUIDs.
func (c *conn) searched(cmd *imapclient.SearchCommand) (UIDSet, error) {
	data, err := cmd.Wait()
	if err != nil {
		return nil, err
	}
	all, ok := data.All.(imap.UIDSet)
	if data.All != nil && !ok {
		return nil, &Error{Op: "UID SEARCH ALL", Scope: ScopeMailbox, Class: ClassFinal, Err: errSearch}
	}
	return uidSet(all)
}

// uidSet takes over a set of go-imap's, which writes "*" as 0.
func uidSet(all imap.UIDSet) (UIDSet, error) {
	set := make(UIDSet, 0, len(all))
	last := int64(-1)
	for _, r := range all {
		if r.Start == 0 || r.Stop < r.Start || int64(r.Start) <= last {
			return nil, &Error{Op: "UID SEARCH ALL", Scope: ScopeMailbox, Class: ClassFinal, Err: errSearch}
		}
		set, last = append(set, UIDRange{uint32(r.Start), uint32(r.Stop)}), int64(r.Stop)
	}
	return set, nil
}

// fetchUIDs asks by FETCH, a line for each message.
func (c *conn) fetchUIDs() (UIDSet, error) {
	cmd := c.cl.Fetch(everyUID(), &imap.FetchOptions{UID: true})
	var all imap.UIDSet
	err := readMeta(cmd, func(m Meta, _ bool) {
		if m.UID != 0 {
			all.AddNum(imap.UID(m.UID))
		}
	})
	if err != nil {
		return nil, err
	}
	return uidSet(all)
}

// ExamineMeta is Examine and FetchMeta of everything in one flight. opened is called before the first message, and
// not at all if the mailbox cannot be opened.
func (c *conn) ExamineMeta(ctx context.Context, name string, opened func(*Selected), fn func(Meta) error) error {
	_, err := c.examineMeta(ctx, name, 0, opened, fn)
	return err
}

// ExamineChanged is Examine, UIDs and FetchChanged in one flight: what is there, and what of it is new or has
// other flags since the mailbox had the given HIGHESTMODSEQ. It is an error where the server lacks CONDSTORE or
// ESEARCH, and if it refuses for this mailbox; the connection is good then, and the mailbox open or not.
func (c *conn) ExamineChanged(
	ctx context.Context, name string, since uint64, opened func(*Selected), fn func(Meta) error,
) (UIDSet, error) {
	if since == 0 || !c.caps.Has(imap.CapCondStore) || !c.caps.Has(imap.CapESearch) {
		return nil, &Error{
			Op: fmt.Sprintf("list changes of %q", name), Scope: ScopeMailbox, Class: ClassFinal, Err: errors.ErrUnsupported,
		}
	}
	return c.examineMeta(ctx, name, since, opened, fn)
}

func (c *conn) examineMeta(
	ctx context.Context, name string, since uint64, opened func(*Selected), fn func(Meta) error,
) (set UIDSet, err error) {
	r := &metaReader{c: c, fn: fn, all: since == 0}
	err = c.run(ctx, fmt.Sprintf("list %q", name), ScopeMailbox, func() (err error) {
		if !c.wary {
			f := c.takeOff(name, since)
			f.land(opened, r)
			if !c.shedsCondStore(f.refused) && !c.presents(f.refused) {
				if set, err = f.set, f.err(); err != nil {
					return err
				}
				return r.finish()
			}
		}
		if set, err = c.oneByOne(name, since, opened, r); err != nil {
			return err
		}
		return r.finish()
	})
	if err = r.outcome(err); err != nil {
		return nil, err
	}
	return set, nil
}

// oneByOne lists a mailbox with a round trip for each command.
func (c *conn) oneByOne(name string, since uint64, opened func(*Selected), r *metaReader) (set UIDSet, err error) {
	sel, err := c.open(name, true).wait()
	if c.shedsCondStore(err) || c.presents(err) {
		sel, err = c.open(name, true).wait()
	}
	if err != nil {
		return nil, c.wrap(fmt.Sprintf("EXAMINE %q", name), ScopeMailbox, err)
	}
	opened(sel)
	if since > 0 {
		if set, err = c.searched(c.askUIDs()); err != nil {
			return nil, err
		}
	}
	return set, c.eachMeta(everyUID(), since, r.take)
}

// flight is EXAMINE with the listing right behind it. If EXAMINE is refused, what the others bring is of another
// mailbox or of none, and is thrown away.
type flight struct {
	c      *conn
	name   string
	open   *opening
	search *imapclient.SearchCommand // nil: none
	fetch  *imapclient.FetchCommand

	ready      chan struct{} // closed when EXAMINE is answered; sel and refused are valid then
	sel        *Selected
	refused    error
	set        UIDSet
	searchErr  error
	fetchErr   error
	forgetLast func()
}

func (c *conn) takeOff(name string, since uint64) *flight {
	f := &flight{c: c, name: name, ready: make(chan struct{})}
	f.forgetLast = c.w.Limit(metaLimit(0)) // until EXISTS is known
	f.open = c.open(name, true)
	if since > 0 {
		f.search = c.askUIDs()
	}
	f.fetch = c.askMeta(everyUID(), since)
	go func() {
		defer close(f.ready)
		if f.sel, f.refused = f.open.wait(); f.refused == nil {
			c.w.Limit(metaLimit(f.sel.Exists))
		}
	}()
	return f
}

// land reads the answers. FETCH is read from the start, whatever comes first, for go-imap's decoder waits for its
// reader; what comes before the mailbox is open is held back, within the limit for an empty mailbox.
func (f *flight) land(opened func(*Selected), r *metaReader) {
	defer func() { f.forgetLast() }()
	type early struct {
		Meta
		complete bool
	}
	var held []early
	announced := false
	begin := func() {
		if announced || f.refused != nil {
			held = nil
			return
		}
		announced = true
		opened(f.sel)
		for _, m := range held {
			r.take(m.Meta, m.complete)
		}
		held = nil
	}
	f.fetchErr = readMeta(f.fetch, func(m Meta, complete bool) {
		select {
		case <-f.ready:
			if begin(); announced {
				r.take(m, complete)
			}
		default:
			held = append(held, early{m, complete})
		}
	})
	<-f.ready
	begin()
	if f.search != nil {
		f.set, f.searchErr = f.c.searched(f.search)
	}
}

// err is what is wrong with the listing: a refusal of EXAMINE explains the others.
func (f *flight) err() error {
	if f.refused != nil {
		return f.c.wrap(fmt.Sprintf("EXAMINE %q", f.name), ScopeMailbox, f.refused)
	}
	if f.searchErr != nil {
		return f.c.wrap(fmt.Sprintf("UID SEARCH ALL in %q", f.name), ScopeMailbox, f.searchErr)
	}
	return f.c.wrap(fmt.Sprintf("UID FETCH of flags, dates and sizes in %q", f.name), ScopeMailbox, f.fetchErr)
}
