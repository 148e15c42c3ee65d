package session

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// Measure is what STATUS says of a mailbox with the sum of its sizes (RFC 8438, RFC 9051).
type Measure struct {
	Messages    uint32
	UIDValidity uint32 // 0 if the server sent none
	Octets      int64  // sum of RFC822.SIZE
}

// Measure asks for MESSAGES, UIDVALIDITY and SIZE without selecting the mailbox. ok is false, and nothing was asked or
// nothing of use was answered, if the server does not tell SIZE.
func (c *conn) Measure(ctx context.Context, name string) (m Measure, ok bool, err error) {
	if !c.caps.Has(imap.CapStatusSize) {
		return Measure{}, false, nil
	}
	err = c.run(ctx, fmt.Sprintf("STATUS %q", name), ScopeMailbox, func() error {
		data, err := c.cl.Status(name, &imap.StatusOptions{NumMessages: true, UIDValidity: true, Size: true}).Wait()
		if err != nil {
			return err
		}
		if ok = data.NumMessages != nil && data.Size != nil && *data.Size >= 0; ok {
			m = Measure{Messages: *data.NumMessages, UIDValidity: data.UIDValidity, Octets: *data.Size}
		}
		return nil
	})
	return m, ok && err == nil, err
}
