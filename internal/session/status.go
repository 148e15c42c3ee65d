package session

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// statusesAhead is how many STATUS commands are sent before the first answer is awaited.
const statusesAhead = 200

// Status asks for MESSAGES, UIDNEXT and UIDVALIDITY without selecting the mailbox. What the server
// leaves out is 0.
func (c *conn) Status(ctx context.Context, name string) (*Selected, error) {
	var sel *Selected
	err := c.run(ctx, fmt.Sprintf("STATUS %q", name), ScopeMailbox, func() (err error) {
		sel, err = c.status(name)
		return err
	})
	return sel, err
}

func (c *conn) status(name string) (*Selected, error) {
	data, err := c.cl.Status(name, &imap.StatusOptions{
		NumMessages: true, UIDNext: true, UIDValidity: true,
	}).Wait()
	if err != nil {
		return nil, err
	}
	sel := told(data)
	if sel == nil {
		sel = &Selected{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext)}
	}
	return sel, nil
}

// Statuses asks for the figures of many mailboxes, with HIGHESTMODSEQ where CONDSTORE is offered. Commands are
// pipelined, a bounded number in flight. fn is called for each name in the order given: with nil figures if the
// server leaves out MESSAGES, with an *Error of scope mailbox if it refuses. The error returned is that of a
// lost connection; fn was not called for the names that were left then.
func (c *conn) Statuses(ctx context.Context, names []string, fn func(name string, sel *Selected, err error)) error {
	for first := 0; first < len(names); first += statusesAhead {
		some := names[first:min(first+statusesAhead, len(names))]
		err := c.run(ctx, fmt.Sprintf("STATUS of %d mailboxes", len(some)), ScopeSession, func() error {
			return c.statuses(some, fn)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) statuses(names []string, fn func(name string, sel *Selected, err error)) error {
	sent := make([]*imapclient.StatusCommand, len(names))
	for i, name := range names {
		sent[i] = c.cl.Status(name, c.statusOptions())
	}
	for i, name := range names {
		data, err := sent[i].Wait()
		err = c.wrap(fmt.Sprintf("STATUS %q", name), ScopeMailbox, err)
		if isLost(err) {
			return err
		}
		fn(name, told(data), err)
	}
	return nil
}

func (c *conn) statusOptions() *imap.StatusOptions {
	return &imap.StatusOptions{
		NumMessages: true, UIDNext: true, UIDValidity: true, HighestModSeq: c.caps.Has(imap.CapCondStore),
	}
}

// told makes a Selected of a STATUS answer, nil if that lacks the number of messages.
func told(data *imap.StatusData) *Selected {
	if data == nil || data.NumMessages == nil {
		return nil
	}
	return &Selected{
		Exists: *data.NumMessages, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext),
		HighestModSeq: data.HighestModSeq,
	}
}
