package session

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/internal/session/wire"
)

// Meta is what FETCH says of a message besides its octets.
type Meta struct {
	UID          uint32
	Flags        []string  // without \Recent
	InternalDate time.Time // zero if the server tells none
	Size         int64     // RFC822.SIZE: a hint
	NoFlags      bool      // the server told no flags, though asked twice: they are unknown
	Estimate     bool      // Size is no more than an estimate
}

const (
	// metaSlack is how many lines a listing may have beyond two for each message: mail may arrive.
	metaSlack = 200_000
	// metaOctets is how many octets it may have beyond metaLine for each message.
	metaOctets = 16 << 20
	metaLine   = 1 << 10
	// maxMessages is the largest mailbox that is believed.
	maxMessages = 20_000_000
	// maxMetaOctets is the longest listing that is taken, whatever the server announces.
	maxMetaOctets = 4 << 30
)

// metaLimit is how many lines and octets a listing may have where the server said that exists messages
// are there.
func metaLimit(exists uint32) (lines, octets int64) {
	n := min(int64(exists), maxMessages)
	return min(2*n+metaSlack, maxMessages), min(n*metaLine+metaOctets, maxMetaOctets)
}

// FetchMeta calls fn for every message of the selected mailbox with UID >= from, in the order the
// server sends them. A message whose answer lacks something is asked for once more and comes last. An
// error of fn ends the calls and is returned; the connection stays good. A server that lists far more
// than it announced loses the connection.
func (c *conn) FetchMeta(ctx context.Context, from uint32, fn func(Meta) error) error {
	from = max(from, 1)
	op := fmt.Sprintf("UID FETCH %d:* of flags, dates and sizes", from)
	return c.fetchMeta(ctx, op, imap.UIDSet{{Start: imap.UID(from)}}, 0, fn)
}

// FetchChanged is FetchMeta for the messages that are new or have other flags since the mailbox had the given
// HIGHESTMODSEQ (RFC 7162, CONDSTORE). A server that keeps no count for the mailbox refuses.
func (c *conn) FetchChanged(ctx context.Context, since uint64, fn func(Meta) error) error {
	return c.fetchMeta(ctx, fmt.Sprintf("UID FETCH 1:* (CHANGEDSINCE %d)", since), everyUID(), since, fn)
}

// FetchMetaOf is FetchMeta for the given UIDs, which ascend. Commands are pipelined. UIDs the server passes
// over in silence are simply not called for.
func (c *conn) FetchMetaOf(ctx context.Context, uids []uint32, fn func(Meta) error) error {
	const ahead = 8 // commands in flight, few enough for the buffers of the line
	r := &metaReader{c: c, fn: fn}
	err := c.run(ctx, fmt.Sprintf("UID FETCH of flags, dates and sizes of %d messages", len(uids)), ScopeMailbox, func() error {
		defer c.w.Limit(c.metaLimit())()
		var sent []*imapclient.FetchCommand
		var refused error
		read := func() {
			if err := readMeta(sent[0], r.take); refused == nil {
				refused = err
			}
			sent = sent[1:]
		}
		for _, batch := range split(uids, make([]int64, len(uids))) {
			if len(sent) == ahead {
				read()
			}
			var set imap.UIDSet
			for _, uid := range batch {
				set.AddNum(imap.UID(uid))
			}
			sent = append(sent, c.askMeta(set, 0))
		}
		for len(sent) > 0 {
			read()
		}
		if refused != nil {
			return refused
		}
		return r.finish()
	})
	return r.outcome(err)
}

func everyUID() imap.UIDSet { return imap.UIDSet{{Start: 1}} }

func (c *conn) fetchMeta(ctx context.Context, op string, uids imap.UIDSet, since uint64, fn func(Meta) error) error {
	r := &metaReader{c: c, fn: fn, all: since == 0 && uids.String() == everyUID().String()}
	err := c.run(ctx, op, ScopeMailbox, func() error {
		if err := c.eachMeta(uids, since, r.take); err != nil {
			return err
		}
		return r.finish()
	})
	return r.outcome(err)
}

// metaReader hands on what is complete and keeps the rest for a second question.
type metaReader struct {
	c      *conn
	fn     func(Meta) error
	failed error // of fn
	again  []Meta
	all    bool // everything was asked for
	some   bool // there was an answer
}

func (r *metaReader) take(m Meta, complete bool) {
	r.some = true
	switch {
	case r.failed != nil:
	case complete:
		r.failed = r.fn(m)
	default:
		r.again = append(r.again, m)
	}
}

// finish asks for what was not complete, and for everything in another way if nothing came where something must be:
// some servers do not understand "*" (quirk FETCH-63).
func (r *metaReader) finish() error {
	if r.all && !r.some && r.c.exists > 0 {
		if err := r.c.eachMeta(imap.UIDSet{{Start: 1, Stop: math.MaxUint32}}, 0, r.take); err != nil {
			return err
		}
	}
	if r.failed != nil {
		return nil
	}
	again, err := r.c.completeMeta(r.again)
	if err != nil {
		return err
	}
	for i := 0; i < len(again) && r.failed == nil; i++ {
		again[i].NoFlags = again[i].Flags == nil
		r.failed = r.fn(again[i])
	}
	return nil
}

// outcome is the error of the whole operation.
func (r *metaReader) outcome(err error) error {
	if r.failed != nil {
		return r.failed
	}
	return err
}

// eachMeta reads one FETCH.
func (c *conn) eachMeta(uids imap.UIDSet, since uint64, fn func(m Meta, complete bool)) error {
	defer c.w.Limit(c.metaLimit())()
	return readMeta(c.askMeta(uids, since), fn)
}

// metaLimit is the limit for the selected mailbox.
func (c *conn) metaLimit() (lines, octets int64) {
	exists := c.exists
	if now := c.cl.Mailbox(); now != nil {
		exists = max(exists, now.NumMessages)
	}
	return metaLimit(exists)
}

// askMeta sends a FETCH; since 0: of all the given messages, whether changed or not.
func (c *conn) askMeta(uids imap.UIDSet, since uint64) *imapclient.FetchCommand {
	return c.cl.Fetch(uids, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true, ChangedSince: since,
	})
}

// readMeta reads the answer. complete says that flags, date and size all came.
func readMeta(cmd *imapclient.FetchCommand, fn func(m Meta, complete bool)) error {
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		var m Meta
		var flags, date, size bool
		for item := msg.Next(); item != nil; item = msg.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				m.UID = uint32(item.UID)
			case imapclient.FetchItemDataFlags:
				m.Flags, flags = withoutRecent(item.Flags), true
			case imapclient.FetchItemDataInternalDate:
				m.InternalDate, date = item.Time, true
			case imapclient.FetchItemDataRFC822Size:
				m.Size, size = item.Size, true
			}
		}
		fn(m, flags && date && size)
	}
	return cmd.Close()
}

// completeMeta asks again for messages whose first answer was a line of flags that came unasked, or
// one half of the data (go-imap takes the first line with a UID for the answer). What is still missing
// then does not exist.
func (c *conn) completeMeta(metas []Meta) ([]Meta, error) {
	const atOnce = 100 // a command line of at most 1000 octets
	at := make(map[uint32]int, len(metas))
	for i, m := range metas {
		at[m.UID] = i
	}
	for first := 0; first < len(metas); first += atOnce {
		var set imap.UIDSet
		for _, m := range metas[first:min(first+atOnce, len(metas))] {
			set.AddNum(imap.UID(m.UID))
		}
		err := c.eachMeta(set, 0, func(m Meta, _ bool) {
			i, ok := at[m.UID]
			if !ok {
				return
			}
			if m.Flags != nil {
				metas[i].Flags = m.Flags
			}
			if !m.InternalDate.IsZero() {
				metas[i].InternalDate = m.InternalDate
			}
			metas[i].Size = max(metas[i].Size, m.Size)
		})
		if err != nil {
			return nil, err
		}
	}
	return metas, nil
}

func withoutRecent(flags []imap.Flag) []string {
	names := make([]string, 0, len(flags))
	for _, f := range flags {
		if !strings.EqualFold(string(f), `\Recent`) {
			names = append(names, wire.Unalias(string(f)))
		}
	}
	return names
}
