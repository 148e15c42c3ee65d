package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"
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
	return c.introduce()
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

// credentials is a name and a password that must not come out again.
type credentials struct{ user, password string }

// authenticate tries the methods that are left, one after the other, until one is accepted or the
// server says clearly that it is the password.
func (c *conn) authenticate(ctx context.Context) error {
	caps, err := c.capsBefore()
	if err != nil {
		return err
	}
	methods, err := c.methods(caps)
	if err != nil {
		return err
	}
	cred := credentials{user: c.opts.User}
	if c.opts.Password != nil {
		if cred.password, err = c.opts.Password(ctx); err != nil {
			return fmt.Errorf("get the password of %q: %w", c.opts.User, err)
		}
	}
	c.w.Conceal(cred.forms()...)
	for _, method := range methods {
		if err = c.try(method, cred); err == nil {
			return nil
		}
		var e *Error
		if !errors.As(err, &e) || e.Scope == ScopeSession || e.Class == ClassWait || isCredentialCode(e.Code) {
			break
		}
		c.opts.Log.Info("sign-in method refused", "method", method, "text", e.Server)
	}
	return signInError(err)
}

// methods lists the ways to sign in, the best first. LOGINDISABLED (RFC 9051, section 6.2.3) is heeded
// before a password leaves this machine.
func (c *conn) methods(caps imap.CapSet) ([]string, error) {
	plain, login := caps.Has(imap.AuthCap("PLAIN")), !caps.Has(imap.CapLoginDisabled)
	var methods []string
	if c.opts.Auth == "plain" || c.opts.Auth == "auto" && plain {
		methods = append(methods, "PLAIN")
	}
	if login && c.opts.Auth != "plain" {
		methods = append(methods, "LOGIN")
	}
	if len(methods) == 0 {
		reason := "the server takes no password on this connection (LOGINDISABLED)"
		if c.opts.TLS == TLSNone {
			reason += "; use --tls starttls or implicit"
		}
		return nil, &Error{
			Op: "sign in as " + c.opts.User, Scope: ScopeSession, Class: ClassFinal,
			Err: fmt.Errorf("%w: %s", ErrSignIn, reason),
		}
	}
	return methods, nil
}

func (c *conn) try(method string, cred credentials) error {
	op := fmt.Sprintf("sign in as %q by %s", cred.user, method)
	var err error
	if method == "PLAIN" {
		err = c.cl.Authenticate(sasl.NewPlainClient("", cred.user, cred.password))
	} else {
		err = c.cl.Login(cred.user, cred.password).Wait()
	}
	// A refusal leaves the connection usable: its scope is not the session until all methods failed.
	err = c.wrap(op, ScopeMailbox, err)
	var e *Error
	if errors.As(err, &e) && errors.Is(e.Err, errParse) {
		e.Err = errParse // go-imap's words may quote ours
	}
	return err
}

// forms are the ways in which a command may have carried the password, and an echo bring it back: PLAIN
// (RFC 4616), a quoted string, the bare word.
func (cred credentials) forms() []string {
	if cred.password == "" {
		return nil
	}
	encode := base64.StdEncoding.EncodeToString
	return []string{
		encode([]byte("\x00" + cred.user + "\x00" + cred.password)),
		encode([]byte(cred.password)),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(cred.password),
		cred.password,
	}
}

// isCredentialCode recognises the codes that say: the server understood, and it is the account
// (RFC 5530, section 3). Another try would only bring the account nearer to its lock-out.
func isCredentialCode(code string) bool {
	switch code {
	case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED":
		return true
	}
	return false
}

// signInError turns the last refusal into the verdict on the session.
func signInError(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Scope == ScopeSession {
		return err
	}
	e.Scope = ScopeSession
	if e.Class == ClassWait {
		return e
	}
	e.Class = ClassFinal
	e.Err = fmt.Errorf("%w: check user name and password", ErrSignIn)
	return e
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
		name, version, _ := strings.Cut(c.opts.Program, " ")
		c.sentID = c.cl.ID(&imap.IDData{Name: name, Version: version})
	}
	if c.caps.Has(imap.CapNamespace) {
		c.sentNamespace = c.cl.Namespace()
		return nil
	}
	return c.settle()
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
