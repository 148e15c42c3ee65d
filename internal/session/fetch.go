package session

import (
	"context"
	"fmt"
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
	var failed error
	err := c.run(ctx, op, ScopeMailbox, func() error {
		var again []Meta
		err := c.eachMeta(imap.UIDSet{{Start: imap.UID(from)}}, func(m Meta, complete bool) {
			switch {
			case failed != nil:
			case complete:
				failed = fn(m)
			default:
				again = append(again, m)
			}
		})
		if err != nil || failed != nil {
			return err
		}
		if again, err = c.completeMeta(again); err != nil {
			return err
		}
		for i := 0; i < len(again) && failed == nil; i++ {
			again[i].NoFlags = again[i].Flags == nil
			failed = fn(again[i])
		}
		return nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// eachMeta reads one FETCH. complete says that flags, date and size all came.
func (c *conn) eachMeta(uids imap.UIDSet, fn func(m Meta, complete bool)) error {
	exists := c.exists
	if now := c.cl.Mailbox(); now != nil {
		exists = max(exists, now.NumMessages)
	}
	defer c.w.Limit(metaLimit(exists))()
	cmd := c.cl.Fetch(uids, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true})
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
		err := c.eachMeta(set, func(m Meta, _ bool) {
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
