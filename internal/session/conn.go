package session

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/internal/session/wire"
)

// logoutTimeout is how long Close waits for the server's goodbye.
const logoutTimeout = 500 * time.Millisecond

// Source is a signed-in connection that can only read: EXAMINE and BODY.PEEK[], nothing that changes
// the server. One goroutine at a time may use it. That the account has no mailbox (ErrSignIn) may turn out
// with the first operation.
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

	sentID        *imapclient.IDCommand        // nil: ID is not offered
	sentNamespace *imapclient.NamespaceCommand // nil: NAMESPACE is not offered
	settled       bool                         // these are answered

	exists uint32 // messages in the selected mailbox, as it said when opened

	noCondStore bool // the server offers CONDSTORE and does not take it in EXAMINE
	wary        bool // the last EXAMINE was refused: nothing is sent behind the next one unseen
	near        bool // the server is so near that to compress costs more than it saves
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
	err := c.wrap(op, scope, f())
	if isLost(err) {
		return err
	}
	if err := c.settle(); err != nil {
		return err
	}
	return err
}

// Delim is the hierarchy delimiter of the personal namespace, "" if there is none. Before the first operation
// it waits for the server's answer.
func (c *conn) Delim() string {
	_ = c.settle() // the next operation tells
	return c.delim
}

// Prefix is what the names of the personal namespace begin with, "INBOX." say; often "". Before the first
// operation it waits for the server's answer.
func (c *conn) Prefix() string {
	_ = c.settle() // the next operation tells
	return c.prefix
}

// Has reports whether the server offers a capability, "UIDPLUS" say.
func (c *conn) Has(capability string) bool { return c.caps.Has(imap.Cap(capability)) }

// Identity is what the server answered to ID, "" if nothing. Before the first operation it waits for the
// server's answer.
func (c *conn) Identity() string {
	_ = c.settle() // the next operation tells
	return c.w.Seen().Identity
}

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
