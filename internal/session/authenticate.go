package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// The ways to sign in, as they are told to the user.
const (
	methodPlain     = "PLAIN"
	methodLogin     = "LOGIN" // the command (RFC 9051, section 6.2.3)
	methodSASLLogin = "AUTHENTICATE LOGIN"
	methodCRAM      = "CRAM-MD5"
)

// The values of Options.Auth.
const (
	authAuto  = "auto"
	authPlain = "plain"
	authLogin = "login"
	authCRAM  = "cram-md5"
)

// credentials are names and a password that must not come out again.
type credentials struct {
	user     string // whose mail it is
	owner    string // whose password it is, if it is not user's
	password string
}

// plain is the message of PLAIN: whom to act as, who it is, the password (RFC 4616, section 2).
func (cred credentials) plain() string {
	if cred.owner == "" {
		return "\x00" + cred.user + "\x00" + cred.password
	}
	return cred.user + "\x00" + cred.owner + "\x00" + cred.password
}

func encode64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// forms are the ways in which a command may have carried the password, and an echo bring it back: PLAIN,
// the answer to a prompt, a quoted string, the bare word; and parts of the first.
func (cred credentials) forms() []string {
	if cred.password == "" {
		return nil
	}
	forms := []string{
		encode64(cred.plain()),
		encode64(cred.password),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(cred.password),
		cred.password,
	}
	for shift := range 3 {
		if part := within64(cred.password, shift); len(part) >= shortestPart64 {
			forms = append(forms, part)
		}
	}
	return forms
}

// shortestPart64 is the least of base64 that gives a password away, and may not stand in a server's words
// by chance.
const shortestPart64 = 6

// within64 gives what is always the same in base64 where s is in the middle of something, shift octets
// behind a multiple of three.
func within64(s string, shift int) string {
	octets := shift + len(s)
	return base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), s...))[(shift*8+5)/6 : octets*8/6]
}

// isASCII reports whether all charsets agree on what the credentials are.
func (cred credentials) isASCII() bool {
	return !strings.ContainsFunc(cred.user+cred.owner+cred.password, func(r rune) bool { return r > '~' })
}

// refused is a method and what the server said to it.
type refused struct {
	method string
	err    *Error
}

// authenticate tries the methods that are left, each once, until one is accepted or the server says
// clearly that it is the account: more tries would only bring that nearer to its lock-out.
func (c *conn) authenticate(ctx context.Context) error {
	caps, err := c.capsBefore()
	if err != nil {
		return err
	}
	methods, err := c.methods(caps)
	if err != nil {
		return err
	}
	cred := credentials{user: c.opts.User, owner: c.opts.AuthUser}
	if c.opts.Password != nil {
		if cred.password, err = c.opts.Password(ctx); err != nil {
			return fmt.Errorf("get the password of %q: %w", c.opts.passwordOwner(), err)
		}
	}
	c.w.Conceal(cred.forms()...)
	var refusals []refused
	for _, method := range methods {
		if err = c.try(method, cred); err == nil {
			c.opts.Shared.keepMethod(method)
			return nil
		}
		var e *Error
		if !errors.As(err, &e) {
			return err
		}
		if e.Scope == ScopeSession {
			if len(refusals) > 0 && errors.Is(e, net.ErrClosed) { // go-imap gives up over a refused literal
				break
			}
			return err
		}
		if e.Class == ClassWait {
			e.Scope = ScopeSession
			return e
		}
		refusals = append(refusals, refused{method, e})
		if isAccount(method, e) {
			break
		}
		c.opts.Log.Info("sign-in method refused", "method", method, "text", e.Server)
	}
	return c.signInError(refusals, cred)
}

// methods lists the ways to sign in, the best first. LOGINDISABLED (RFC 9051, section 6.2.3) is heeded
// before a password leaves this machine. Inside TLS the password itself is safest to be understood;
// without TLS it is better not sent at all.
func (c *conn) methods(caps imap.CapSet) ([]string, error) {
	offers := func(mechanism string) bool { return caps.Has(imap.AuthCap(mechanism)) }
	login := []string{methodLogin}
	if caps.Has(imap.CapLoginDisabled) {
		if login = nil; offers("LOGIN") {
			login = []string{methodSASLLogin}
		}
	}
	var methods []string
	switch {
	case c.opts.AuthUser != "":
		if !offers("PLAIN") && c.opts.Auth != authPlain {
			return nil, c.noMethod("only PLAIN can sign in for somebody else (--authuser), and the server does not " +
				"offer it on this connection")
		}
		return []string{methodPlain}, nil
	case c.opts.Auth == authPlain:
		return []string{methodPlain}, nil
	case c.opts.Auth == authCRAM:
		return []string{methodCRAM}, nil
	case c.opts.Auth == authLogin:
		methods = login
	default:
		if offers("PLAIN") {
			methods = append(methods, methodPlain)
		}
		methods = append(methods, login...)
		switch {
		case !offers("CRAM-MD5"):
		case c.opts.TLS == TLSNone:
			methods = slices.Insert(methods, 0, methodCRAM)
		default:
			methods = append(methods, methodCRAM)
		}
	}
	if len(methods) > 0 {
		return c.opts.Shared.keptFirst(methods), nil
	}
	reason := "the server takes no password on this connection (LOGINDISABLED)"
	if others := caps.AuthMechanisms(); len(others) > 0 {
		slices.Sort(others)
		reason += fmt.Sprintf("; it offers %q", others)
	}
	if c.opts.TLS == TLSNone {
		reason += "; use --tls starttls or implicit"
	}
	return nil, c.noMethod(reason)
}

func (c *conn) noMethod(reason string) *Error {
	return &Error{
		Op: "sign in as " + c.opts.User, Scope: ScopeSession, Class: ClassFinal,
		Err: fmt.Errorf("%w: %s", ErrSignIn, reason),
	}
}

func (c *conn) try(method string, cred credentials) error {
	op := fmt.Sprintf("sign in as %q by %s", cred.user, method)
	var err error
	switch method {
	case methodPlain:
		err = c.cl.Authenticate(newPlain(cred))
	case methodSASLLogin:
		err = c.cl.Authenticate(newLogin(cred))
	case methodCRAM:
		err = c.cl.Authenticate(newCRAMMD5(cred, c.w.Conceal))
	default:
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

// signInError turns the refusals into the verdict on the session: all that the server said, each
// thing once, and what may be done about it.
func (c *conn) signInError(refusals []refused, cred credentials) error {
	last := refusals[len(refusals)-1]
	var names, words []string
	for _, r := range refusals {
		names = append(names, r.method)
		if text := r.err.Server; text != "" && !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	who, reason := fmt.Sprintf("%q", cred.user), ErrSignIn
	switch {
	case cred.owner != "":
		who += fmt.Sprintf(" with the password of %q", cred.owner)
		reason = fmt.Errorf("%w: check that %q may sign in for others", reason, cred.owner)
	case last.method == methodCRAM:
		reason = fmt.Errorf("%w: a server that keeps no readable passwords refuses every CRAM-MD5 (try --auth plain)", reason)
	}
	if !cred.isASCII() {
		reason = fmt.Errorf("%w: name or password go beyond ASCII and were sent in UTF-8, which an old server may "+
			"not expect; a password of ASCII characters alone would tell", reason)
	}
	return &Error{
		Op: "sign in as " + who + " by " + strings.Join(names, ", "), Scope: ScopeSession, Class: ClassFinal,
		Code: last.err.Code, Server: strings.Join(words, "; "), Err: reason,
	}
}
