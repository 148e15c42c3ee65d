package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Target is a signed-in connection that can also add mail.
type Target struct{ conn }

// UIDPlus reports whether APPEND is answered with the UID (RFC 4315).
func (t *Target) UIDPlus() bool { return t.caps.Has(imap.CapUIDPlus) }

// AppendLimit is the largest message the server says it takes (RFC 7889); ok is false if it does not.
func (t *Target) AppendLimit() (octets int64, ok bool) {
	limit, ok := t.caps.AppendLimit()
	if !ok || limit == nil {
		return 0, false
	}
	return int64(*limit), true
}

// Select opens a mailbox for adding mail. ReadOnly in the answer says that nothing can be added.
func (t *Target) Select(ctx context.Context, name string) (*Selected, error) {
	return t.selectMailbox(ctx, name, false)
}

// Create makes a mailbox; the server makes the parents. use is "" or a SPECIAL-USE attribute, sent
// only if CREATE-SPECIAL-USE is offered, and left out if the server refuses it. An existing mailbox is
// no error.
func (t *Target) Create(ctx context.Context, name, use string) error {
	if strings.EqualFold(name, "INBOX") {
		return nil
	}
	return t.run(ctx, fmt.Sprintf("CREATE %q", name), ScopeMailbox, func() error {
		err := t.create(name, use)
		var refused *imap.Error
		if use != "" && errors.As(err, &refused) && refused.Code != imap.ResponseCodeAlreadyExists {
			t.opts.Log.Info("role refused, creating without", "mailbox", name, "role", use, "text", refused.Text)
			err = t.create(name, "")
		}
		if !errors.As(err, &refused) {
			return err
		}
		if refused.Code == imap.ResponseCodeAlreadyExists {
			return nil
		}
		if _, serr := t.status(name); serr == nil {
			return nil
		}
		return err
	})
}

func (t *Target) create(name, use string) error {
	var o *imap.CreateOptions
	if use != "" && t.caps.Has(imap.CapCreateSpecialUse) {
		o = &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttr(use)}}
	}
	return t.cl.Create(name, o).Wait()
}

// Subscribe puts a mailbox on the list of those the user wants to see.
func (t *Target) Subscribe(ctx context.Context, name string) error {
	return t.run(ctx, fmt.Sprintf("SUBSCRIBE %q", name), ScopeMailbox, func() error {
		return t.cl.Subscribe(name).Wait()
	})
}
