package session

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Measure is what STATUS says of a mailbox with the sum of its sizes (RFC 8438, RFC 9051).
type Measure struct {
	Messages    uint32
	UIDValidity uint32 // 0 if the server sent none
	Octets      int64  // sum of RFC822.SIZE
}

// Measures asks for MESSAGES, UIDVALIDITY and SIZE of mailboxes without selecting them. Commands are pipelined, a
// bounded number in flight. fn is called for each mailbox of which the server tells all that; for none if it does not
// offer STATUS=SIZE. The error returned is that of a lost connection.
func (c *conn) Measures(ctx context.Context, names []string, fn func(name string, m Measure)) error {
	for first := 0; first < len(names); first += statusesAhead {
		some := names[first:min(first+statusesAhead, len(names))]
		err := c.run(ctx, fmt.Sprintf("STATUS of %d mailboxes", len(some)), ScopeSession, func() error {
			if !c.caps.Has(imap.CapStatusSize) {
				return nil
			}
			return c.measure(some, fn)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) measure(names []string, fn func(name string, m Measure)) error {
	sent := make([]*imapclient.StatusCommand, len(names))
	for i, name := range names {
		sent[i] = c.cl.Status(name, &imap.StatusOptions{NumMessages: true, UIDValidity: true, Size: true})
	}
	for i, name := range names {
		data, err := sent[i].Wait()
		if err = c.wrap(fmt.Sprintf("STATUS %q", name), ScopeMailbox, err); isLost(err) {
			return err
		}
		if err == nil && data.NumMessages != nil && data.Size != nil && *data.Size >= 0 {
			fn(name, Measure{Messages: *data.NumMessages, UIDValidity: data.UIDValidity, Octets: *data.Size})
		}
	}
	return nil
}
