package session

import (
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/internal/session/wire"
)

// logoutTimeout is how long Close waits for the server's goodbye.
const logoutTimeout = 2 * time.Second

// Source is a signed-in connection that can only read: EXAMINE and BODY.PEEK[], nothing that changes
// the server.
type Source struct{ conn }

// conn is what Source and Target share.
type conn struct {
	opts   Options
	w      *wire.Conn
	cl     *imapclient.Client
	caps   imap.CapSet
	spaces imap.NamespaceData
	delim  string
	prefix string
	exists uint32 // messages in the selected mailbox, as it said when opened
}

func newConn(o Options, w *wire.Conn) *conn {
	return &conn{opts: o, w: w, cl: imapclient.New(w, nil)}
}

// run carries out one operation under ctx. A cancelled ctx ends the connection.
func (c *conn) run(ctx context.Context, op string, scope Scope, f func() error) error {
	if ctx.Err() != nil {
		return &Error{Op: op, Scope: ScopeSession, Class: ClassFinal, Err: context.Cause(ctx)}
	}
	defer c.w.Guard(ctx)()
	return c.wrap(op, scope, f())
}

// Delim is the hierarchy delimiter of the personal namespace, "" if there is none.
func (c *conn) Delim() string { return c.delim }

// Prefix is what the names of the personal namespace begin with, "INBOX." say; often "".
func (c *conn) Prefix() string { return c.prefix }

// Has reports whether the server offers a capability, "UIDPLUS" say.
func (c *conn) Has(capability string) bool { return c.caps.Has(imap.Cap(capability)) }

// Identity is what the server answered to ID, "" if nothing.
func (c *conn) Identity() string { return c.w.Seen().Identity }

// Cause tells why the connection was lost, nil if it was not.
func (c *conn) Cause() error { return c.w.Cause() }

// Noop keeps an idle connection alive and finds out whether it still is.
func (c *conn) Noop(ctx context.Context) error {
	return c.run(ctx, "NOOP", ScopeSession, func() error { return c.cl.Noop().Wait() })
}

// Close says LOGOUT, waits a moment for the answer, and closes the connection. It never fails.
func (c *conn) Close() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.cl.Logout().Wait() // whatever the server says, this is the end
	}()
	timer := time.NewTimer(logoutTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return c.w.Close()
}

// Selected is the answer to EXAMINE or SELECT. Of STATUS it has the three numbers asked for.
type Selected struct {
	Exists         uint32
	UIDValidity    uint32 // 0 if the server sent none
	UIDNext        uint32 // 0 if the server sent none
	HighestModSeq  uint64
	Flags          []string
	PermanentFlags []string // nil if the server sent none
	ReadOnly       bool
}

// Examine selects a mailbox for reading.
func (c *conn) Examine(ctx context.Context, name string) (*Selected, error) {
	return c.selectMailbox(ctx, name, true)
}

func (c *conn) selectMailbox(ctx context.Context, name string, readOnly bool) (*Selected, error) {
	command := "SELECT"
	if readOnly {
		command = "EXAMINE"
	}
	var sel *Selected
	err := c.run(ctx, fmt.Sprintf("%s %q", command, name), ScopeMailbox, func() error {
		data, err := c.cl.Select(name, &imap.SelectOptions{ReadOnly: readOnly}).Wait()
		if err != nil {
			return err
		}
		seen := c.w.Seen()
		c.exists = data.NumMessages
		sel = &Selected{
			Exists: data.NumMessages, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext),
			HighestModSeq: data.HighestModSeq, Flags: flagNames(data.Flags),
			ReadOnly: readOnly || seen.ReadOnly,
		}
		if seen.PermFlags {
			sel.PermanentFlags = flagNames(data.PermanentFlags)
		}
		return nil
	})
	return sel, err
}

func flagNames(flags []imap.Flag) []string {
	names := make([]string, 0, len(flags))
	for _, f := range flags {
		names = append(names, wire.Unalias(string(f)))
	}
	return names
}
