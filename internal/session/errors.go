package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/session/wire"
)

// Sentinels for the reasons why no session came about. Every one is wrapped in an *Error.
var (
	ErrConnect = errors.New("cannot connect")
	ErrTLS     = errors.New("no secure connection")
	ErrSignIn  = errors.New("sign-in refused")
)

// errParse stands for an answer that go-imap does not understand, errQuoted for go-imap's reason where
// that quotes a secret.
var (
	errParse  = errors.New("answer not understood")
	errQuoted = errors.New("it repeats the password")
)

// Scope says what an error condemns.
type Scope int

// The scopes, from the widest to the narrowest.
const (
	ScopeSession Scope = iota // the connection is gone or useless
	ScopeMailbox              // this mailbox; the connection is good
	ScopeMessage              // this command's messages; mailbox and connection are good
)

// Class says what to do about an error.
type Class int

// The classes.
const (
	ClassRetry Class = iota // connect again, go on
	ClassWait               // the server asks for patience
	ClassFinal              // the same would happen again
)

// Error is every error of this package that comes from the server or the connection.
type Error struct {
	Op     string // EXAMINE "Work"
	Scope  Scope
	Class  Class
	Code   string // response code, upper case, "" if none: TRYCREATE, OVERQUOTA …
	Server string // the server's own words, "" if it said nothing
	Err    error
}

// Error gives operation, reason and the server's words.
func (e *Error) Error() string {
	msg := e.Op
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	if e.Server != "" {
		msg += fmt.Sprintf(" (the server says: %s)", e.Server)
	}
	return msg
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// errRefused is the reason of a NO, errBad of a BAD.
var (
	errRefused = errors.New("refused")
	errBad     = errors.New("refused as wrong")
)

// refusal makes an error of a NO, BAD or BYE.
func refusal(op string, scope Scope, st wire.Status) *Error {
	reason := errRefused
	if st.Kind == "BAD" {
		reason = errBad
	}
	return &Error{
		Op: op, Scope: scope, Class: classify(st.Code, st.Text),
		Code: strings.ToUpper(st.Code), Server: st.String(), Err: reason,
	}
}

// classify tells a server that is busy from one that means it. Codes come first (RFC 5530); words are
// looked at here and nowhere else, because many servers give no code.
func classify(code, text string) Class {
	switch strings.ToUpper(code) {
	case "UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED":
		return ClassWait
	case "SERVERBUG", "EXPUNGEISSUED":
		return ClassRetry
	}
	text = strings.ToLower(text)
	for _, busy := range []string{
		"too many", "throttl", "try again", "temporar", "bandwidth", "rate limit", "backoff", "busy",
		"simultaneous connections", "maximum number of connections",
	} {
		if strings.Contains(text, busy) {
			return ClassWait
		}
	}
	return ClassFinal
}

// isAccount reports whether a refusal says clearly that it is the account, or wants its owner to do
// something (RFC 5530, section 3; Gmail's ALERT and WEBALERT). Many servers give words alone; those are
// believed where the server was sent the password itself: one that keeps only hashes says the same to
// every CRAM-MD5.
func isAccount(method string, e *Error) bool {
	switch e.Code {
	case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "CONTACTADMIN", "ALERT", "WEBALERT":
		return true
	}
	if method == methodCRAM {
		return false
	}
	text := strings.ToLower(e.Server)
	for _, clear := range []string{
		"invalid credentials", "invalid password", "wrong password", "bad password", "incorrect", "invalid user",
		"authentication failed", "authentication failure", "login failed", "password required", "locked", "expired",
	} {
		if strings.Contains(text, clear) {
			return true
		}
	}
	return false
}

// wrap makes an *Error of what go-imap or the wire returned. go-imap formats its causes away, so only
// a refusal is taken from its error; the cause of a lost connection is the wire's.
func (c *conn) wrap(op string, scope Scope, err error) error {
	var own *Error
	var answer *imap.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case errors.As(err, &answer):
		if answer.Type == imap.StatusResponseTypeBye {
			scope = ScopeSession
		}
		return refusal(op, scope, wire.Status{
			Kind: string(answer.Type), Code: strings.ToUpper(string(answer.Code)), Text: answer.Text,
		})
	}
	if cause := c.w.Cause(); cause != nil {
		return c.lost(op, cause)
	}
	if errors.Is(err, net.ErrClosed) {
		return &Error{Op: op, Scope: ScopeSession, Err: net.ErrClosed}
	}
	if c.w.Redact(err.Error()) != err.Error() {
		err = errQuoted
	}
	return &Error{Op: op, Scope: ScopeSession, Server: c.lastWords(), Err: fmt.Errorf("%w: %w", errParse, err)}
}

// lost makes the error of a connection that ended.
func (c *conn) lost(op string, cause error) *Error {
	e := &Error{Op: op, Scope: ScopeSession, Server: c.lastWords(), Err: cause}
	switch {
	case errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		e.Class = ClassFinal
	case e.Server != "" && classify("", e.Server) == ClassWait:
		e.Class = ClassWait
	}
	return e
}

// lastWords is what the server said in plain words before the end.
func (c *conn) lastWords() string {
	seen := c.w.Seen()
	for _, words := range []string{seen.Bye, seen.Alert, seen.Complaint} {
		if words != "" {
			return words
		}
	}
	return ""
}
