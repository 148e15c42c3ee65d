package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// signIn reads the greeting, signs in, and learns what the server can do.
func (c *conn) signIn(ctx context.Context) error {
	defer c.w.Guard(ctx)()
	op := "connect to " + c.opts.address()
	if err := c.cl.WaitGreeting(); err != nil {
		return c.greetingError(op, err)
	}
	if c.cl.State() == imap.ConnStateNotAuthenticated {
		if err := c.authenticate(ctx); err != nil {
			return err
		}
	}
	if err := c.learnCaps(); err != nil {
		return err
	}
	c.w.Forget()
	if err := c.compress(ctx); err != nil {
		return err
	}
	return c.introduce()
}

// compress asks for COMPRESS=DEFLATE (RFC 4978) where that is worth the time of both machines.
func (c *conn) compress(ctx context.Context) error {
	addr, ok := c.w.RemoteAddr().(*net.TCPAddr)
	near := c.near || ok && addr.IP.IsLoopback()
	if c.opts.Compress == CompressOff || c.opts.Compress == CompressAuto && near || !c.Has("COMPRESS=DEFLATE") {
		return nil
	}
	st, err := c.w.Compress(ctx)
	switch {
	case err != nil:
		return c.lost("COMPRESS", err)
	case st.Kind != "OK":
		c.opts.Log.Info("refused, going on without", "command", "COMPRESS", "text", st.String())
	default:
		c.opts.Log.Debug("the connection is compressed")
	}
	return nil
}

// greetingError tells a server that greets with BYE, being busy or on its way down, from one that
// cannot be reached. The wire knows; go-imap may report a BYE as a closed connection.
func (c *conn) greetingError(op string, err error) error {
	e := c.lost(op, err)
	if cause := c.w.Cause(); cause != nil {
		e = c.lost(op, cause)
	}
	if isContext(e.Err) {
		return e
	}
	if greeting := c.w.Seen().Greeting; greeting.Kind == "BYE" {
		e.Class, e.Code, e.Server, e.Err = ClassWait, greeting.Code, greeting.String(), errRefused
	}
	e.Err = fmt.Errorf("%w: %w", ErrConnect, e.Err)
	return e
}

// capsBefore gets the capabilities that hold before the sign-in. They must be known: without them a
// password could go out in spite of LOGINDISABLED. go-imap's own Caps gives up after 30 seconds.
func (c *conn) capsBefore() (imap.CapSet, error) {
	if c.w.Seen().Greeting.Code == "CAPABILITY" {
		if caps := c.cl.Caps(); caps != nil {
			return caps, nil
		}
	}
	caps, err := c.cl.Capability().Wait()
	return caps, c.wrap("CAPABILITY", ScopeSession, err)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// learnCaps gets the capabilities that hold after the sign-in.
func (c *conn) learnCaps() error {
	if c.w.Seen().CapsSent {
		c.caps = c.cl.Caps()
		return nil
	}
	caps, err := c.cl.Capability().Wait()
	if err != nil {
		return c.enteredInName(c.wrap("CAPABILITY", ScopeSession, err))
	}
	c.caps = caps
	return nil
}

// introduce sends ID (RFC 2971; some servers refuse SELECT without) and asks for the namespaces. Where that is
// done by NAMESPACE nobody waits for the answers yet: the first operation follows in the same flight.
func (c *conn) introduce() error {
	if c.caps.Has(imap.CapID) {
		c.sendID()
	}
	if c.caps.Has(imap.CapNamespace) {
		c.sentNamespace = c.cl.Namespace()
		return nil
	}
	return c.settle()
}

func (c *conn) sendID() {
	name, version, _ := strings.Cut(c.opts.Program, " ")
	c.sentID = c.cl.ID(&imap.IDData{Name: name, Version: version})
}

// settle takes the answers to what introduce has sent. The first operation does, behind its own answer.
func (c *conn) settle() error {
	if c.settled {
		return nil
	}
	if c.sentID != nil {
		_, err := c.sentID.Wait()
		if err := c.survive("ID", err); err != nil {
			return err
		}
		c.opts.Log.Debug("server's identity", "id", c.w.Seen().Identity)
	}
	err := c.askNamespace()
	c.settled = err == nil
	return err
}

// survive swallows a refusal of a command that is not vital.
func (c *conn) survive(op string, err error) error {
	err = c.wrap(op, ScopeMailbox, err)
	var e *Error
	if errors.As(err, &e) && e.Scope != ScopeSession {
		c.opts.Log.Info("refused, going on without", "command", op, "text", e.Server)
		return c.enteredInName(nil, e.Server)
	}
	return err
}

// enteredInName recognises Exchange's way to refuse a mailbox after it took the password.
func (c *conn) enteredInName(err error, words ...string) error {
	var e *Error
	if errors.As(err, &e) {
		words = append(words, e.Server)
	}
	for _, w := range words {
		if strings.Contains(w, "authenticated but not connected") {
			return &Error{
				Op: "sign in as " + c.opts.User, Scope: ScopeSession, Class: ClassFinal, Server: w,
				Err: fmt.Errorf("%w: the account has no mailbox here, or the password is wrong", ErrSignIn),
			}
		}
	}
	return err
}
