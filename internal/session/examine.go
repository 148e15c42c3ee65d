package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/internal/session/wire"
)

// Selected is the answer to EXAMINE or SELECT. Of STATUS it has the numbers alone.
type Selected struct {
	Exists         uint32
	UIDValidity    uint32 // 0 if the server sent none
	UIDNext        uint32 // 0 if the server sent none
	HighestModSeq  uint64 // 0 if the server sent none, or NOMODSEQ (RFC 7162, section 3.1.2.2)
	Flags          []string
	PermanentFlags []string // nil if the server sent none
	ReadOnly       bool
}

// Examine selects a mailbox for reading. Where CONDSTORE is offered it is switched on, so that the server
// counts changes from now on and HighestModSeq means something.
func (c *conn) Examine(ctx context.Context, name string) (*Selected, error) {
	return c.selectMailbox(ctx, name, true)
}

func (c *conn) selectMailbox(ctx context.Context, name string, readOnly bool) (*Selected, error) {
	command := "SELECT"
	if readOnly {
		command = "EXAMINE"
	}
	var sel *Selected
	err := c.run(ctx, fmt.Sprintf("%s %q", command, name), ScopeMailbox, func() (err error) {
		sel, err = c.open(name, readOnly).wait()
		if c.shedsCondStore(err) || c.presents(err) {
			sel, err = c.open(name, readOnly).wait()
		}
		return err
	})
	return sel, err
}

// opening is an EXAMINE or SELECT whose answer is not yet read.
type opening struct {
	c        *conn
	readOnly bool
	cmd      *imapclient.SelectCommand
}

func (c *conn) open(name string, readOnly bool) *opening {
	return &opening{c: c, readOnly: readOnly, cmd: c.cl.Select(name, &imap.SelectOptions{
		ReadOnly: readOnly, CondStore: readOnly && c.caps.Has(imap.CapCondStore) && !c.noCondStore,
	})}
}

func (o *opening) wait() (*Selected, error) {
	c := o.c
	data, err := o.cmd.Wait()
	if c.wary = err != nil; err != nil {
		return nil, err
	}
	seen := c.w.Seen()
	c.exists = data.NumMessages
	sel := &Selected{
		Exists: data.NumMessages, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext),
		HighestModSeq: data.HighestModSeq, Flags: flagNames(data.Flags),
		ReadOnly: o.readOnly || seen.ReadOnly,
	}
	if seen.PermFlags {
		sel.PermanentFlags = flagNames(data.PermanentFlags)
	}
	return sel, nil
}

// shedsCondStore reports whether EXAMINE is to be tried again because the server may have balked at CONDSTORE.
func (c *conn) shedsCondStore(err error) bool {
	var refused *imap.Error
	if !errors.As(err, &refused) || refused.Type != imap.StatusResponseTypeBad || !c.caps.Has(imap.CapCondStore) || c.noCondStore {
		return false
	}
	c.opts.Log.Info("EXAMINE with CONDSTORE refused, going on without", "text", refused.Text)
	c.noCondStore = true
	return true
}

// presents sends ID, if it was not sent, to a server that refuses to open mailboxes without (quirk SEL-41: NetEase), and
// reports whether it is worth to try again.
func (c *conn) presents(err error) bool {
	var refused *imap.Error
	if !errors.As(err, &refused) || c.sentID != nil || !strings.Contains(strings.ToLower(refused.Text), "unsafe login") {
		return false
	}
	c.sendID()
	_, err = c.sentID.Wait()
	return err == nil
}

func flagNames(flags []imap.Flag) []string {
	names := make([]string, 0, len(flags))
	for _, f := range flags {
		names = append(names, wire.Unalias(string(f)))
	}
	return names
}

// isLost reports whether an error of this package took the connection with it.
func isLost(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Scope == ScopeSession
}
