package session_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// script starts a scripted server and returns options that reach it in the clear.
func script(t *testing.T, dialogue string) session.Options {
	t.Helper()
	s, err := imaptest.StartScript(dialogue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return options(t, session.TLSNone, s.Addr, nil)
}

// dialError dials and returns the *Error that must come.
func dialError(t *testing.T, o session.Options) *session.Error {
	t.Helper()
	o.RootCAs = clearEmpty(o.RootCAs, o.TLS)
	src, err := session.DialSource(t.Context(), o)
	if err == nil {
		_ = src.Close()
		t.Fatal("the dial succeeded")
	}
	var e *session.Error
	if !errors.As(err, &e) {
		t.Fatalf("no *Error: %v", err)
	}
	if e.Scope != session.ScopeSession {
		t.Errorf("scope %v: %v", e.Scope, e)
	}
	return e
}

func clearEmpty(file string, mode session.TLSMode) string {
	if mode == session.TLSNone {
		return ""
	}
	return file
}

func TestDialErrors(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	expired := start(t, imaptest.ServerOptions{NotAfter: time.Now().AddDate(0, 0, -3)})
	other := start(t, imaptest.ServerOptions{CertHost: "mail.example.org"})
	guarded := start(t, imaptest.ServerOptions{RequireTLS: true})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	implicit := func(s *imaptest.Server) session.Options { return options(t, session.TLSImplicit, s.TLSAddr, s.CAPEM) }
	with := func(o session.Options, change func(*session.Options)) session.Options {
		change(&o)
		return o
	}
	for _, c := range []struct {
		name  string
		o     session.Options
		is    error
		class session.Class
		words []string
	}{
		{"nobody listens", options(t, session.TLSNone, nobody, nil), session.ErrConnect, session.ClassRetry, nil},
		{"no such host", session.Options{Host: "no-such-host.invalid"}, session.ErrConnect, session.ClassFinal, []string{"--host"}},
		{"no host", session.Options{}, session.ErrConnect, session.ClassFinal, nil},
		{"cleartext to the world", session.Options{Host: "192.0.2.1", TLS: session.TLSNone}, session.ErrTLS, session.ClassFinal, []string{"loopback"}},
		{"unknown authority", with(implicit(s), func(o *session.Options) { o.RootCAs = "" }), session.ErrTLS, session.ClassFinal, []string{"--tls-pin sha256:", "CN=localhost", "signed by itself"}},
		{"expired", implicit(expired), session.ErrTLS, session.ClassFinal, []string{"valid from", "only"}},
		{"other name", implicit(other), session.ErrTLS, session.ClassFinal, []string{"another name", "--host"}},
		{"no such file", with(implicit(s), func(o *session.Options) { o.RootCAs = "/nonexistent/ca.pem" }), session.ErrTLS, session.ClassFinal, []string{"/nonexistent/ca.pem"}},
		{"not TLS", options(t, session.TLSImplicit, s.Addr, s.CAPEM), session.ErrTLS, session.ClassFinal, []string{"--tls starttls"}},
		{"wrong password", with(plain(t, s), func(o *session.Options) { o.Password = password("guess") }), session.ErrSignIn, session.ClassFinal, []string{"Authentication failed"}},
		{"LOGINDISABLED", plain(t, guarded), session.ErrSignIn, session.ClassFinal, []string{"--tls"}},
		{"unknown method", with(plain(t, s), func(o *session.Options) { o.Auth = "magic" }), session.ErrSignIn, session.ClassFinal, []string{"magic"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := dialError(t, c.o)
			if !errors.Is(e, c.is) || e.Class != c.class {
				t.Errorf("class %v: %v", e.Class, e)
			}
			for _, w := range c.words {
				if !strings.Contains(e.Error(), w) {
					t.Errorf("%q is not in %q", w, e)
				}
			}
			if strings.Contains(e.Error(), "guess") {
				t.Errorf("the password is in %q", e)
			}
		})
	}
	for _, cmd := range guarded.Commands() {
		if cmd.Name == "LOGIN" || cmd.Name == "AUTHENTICATE" {
			t.Errorf("a password went out in spite of LOGINDISABLED: %v", cmd)
		}
	}
}

func TestTLSVersions(t *testing.T) {
	s := start(t, imaptest.ServerOptions{MaxTLS: tls.VersionTLS12})
	source(t, options(t, session.TLSImplicit, s.TLSAddr, s.CAPEM))
	old := start(t, imaptest.ServerOptions{MaxTLS: tls.VersionTLS11})
	e := dialError(t, options(t, session.TLSImplicit, old.TLSAddr, old.CAPEM))
	if !errors.Is(e, session.ErrTLS) || e.Class != session.ClassFinal {
		t.Errorf("class %v: %v", e.Class, e)
	}
}

func TestInsecure(t *testing.T) {
	s := start(t, imaptest.ServerOptions{NotAfter: time.Now().AddDate(0, 0, -3)})
	o := options(t, session.TLSImplicit, s.TLSAddr, s.CAPEM)
	o.RootCAs, o.Insecure = "", true
	source(t, o)
}

func TestBusyServer(t *testing.T) {
	for name, faults := range map[string]imaptest.Faults{
		"greeting": {Greeting: 1},
		"unavailable": {SignIn: &imap.Error{
			Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeUnavailable, Text: "Temporary authentication failure",
		}},
		"in use":   {SignIn: &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeInUse, Text: "locked"}},
		"too many": {SignIn: &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Too many simultaneous connections"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, imaptest.ServerOptions{})
			s.SetFaults(faults)
			e := dialError(t, plain(t, s))
			if e.Class != session.ClassWait || errors.Is(e, session.ErrSignIn) || e.Server == "" {
				t.Errorf("class %v, server %q: %v", e.Class, e.Server, e)
			}
			if n := len(s.Commands()); n > 4 {
				t.Errorf("a busy server was asked again: %v", s.Commands())
			}
		})
	}
}

// TestBusyServerIsNotAskedTwice: one method is offered and busy; the other would only add to the load.
func TestBusyServerIsNotAskedTwice(t *testing.T) {
	o := script(t, "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\nC: AUTHENTICATE\nS: $T NO [UNAVAILABLE] later\nW:\n")
	o.RootCAs = ""
	if e := dialError(t, o); e.Class != session.ClassWait || errors.Is(e, session.ErrSignIn) {
		t.Errorf("class %v: %v", e.Class, e)
	}
}

func TestSignInMethods(t *testing.T) {
	const caps = "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN%s] ready\n"
	const in = "S: $T OK [CAPABILITY IMAP4rev1] in\nC: LIST\nS: * LIST (\\Noselect) \"/\" \"\"\nS: $T OK\nC: LOGOUT\nS: * BYE\nS: $T OK\n"
	for _, c := range []struct {
		name, auth, dialogue string
		ok                   bool
	}{
		{"PLAIN with initial response", "", strings.ReplaceAll(caps, "%s", " SASL-IR") + "C: AUTHENTICATE PLAIN AHVzZXIAcHc=\n" + in, true},
		{"PLAIN without", "", strings.ReplaceAll(caps, "%s", "") + "C: AUTHENTICATE PLAIN\nR: +\\r\\n\nD: 14\n" + in, true},
		{"PLAIN refused, LOGIN good", "", strings.ReplaceAll(caps, "%s", " SASL-IR") + "C: AUTHENTICATE PLAIN\nS: $T NO unknown\nC: LOGIN \"user\" \"pw\"\n" + in, true},
		{"PLAIN refused for good", "", strings.ReplaceAll(caps, "%s", " SASL-IR") + "C: AUTHENTICATE PLAIN\nS: $T NO [AUTHENTICATIONFAILED] pw AHVzZXIAcHc= wrong\n", false},
		{"both refused", "", strings.ReplaceAll(caps, "%s", " SASL-IR") + "C: AUTHENTICATE\nS: $T BAD what\nC: LOGIN\nS: $T NO wrong\n", false},
		{"LOGIN wanted", "login", strings.ReplaceAll(caps, "%s", " SASL-IR") + "C: LOGIN\n" + in, true},
		{"LOGIN wanted, disabled", "login", strings.ReplaceAll(caps, "%s", " LOGINDISABLED") + "W:\n", false},
		{"PLAIN wanted, refused", "plain", strings.ReplaceAll(caps, "%s", " SASL-IR") + "C: AUTHENTICATE\nS: $T NO wrong\n", false},
		{"LOGIN only", "", "S: * OK [CAPABILITY IMAP4rev1] ready\nC: LOGIN\n" + in, true},
		{"PREAUTH", "", "S: * PREAUTH [CAPABILITY IMAP4rev1] ready\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: $T OK\nC: LIST\nS: $T OK\nC: LOGOUT\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script(t, c.dialogue)
			o.RootCAs, o.Auth = "", c.auth
			if c.ok {
				src, err := session.DialSource(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				_ = src.Close()
				return
			}
			e := dialError(t, o)
			if !errors.Is(e, session.ErrSignIn) || e.Class != session.ClassFinal {
				t.Errorf("class %v: %v", e.Class, e)
			}
			if strings.Contains(e.Error(), "pw") || strings.Contains(e.Error(), "AHVzZXIAcHc") {
				t.Errorf("the password is in %q", e)
			}
		})
	}
}

// TestNoMailbox: Exchange takes the password of an account that has no mailbox, and then says so to every command.
func TestNoMailbox(t *testing.T) {
	const bad = " BAD User is authenticated but not connected.\n"
	o := script(t, "S: * OK [CAPABILITY IMAP4rev1 NAMESPACE] ready\nC: LOGIN\nS: $T OK [CAPABILITY IMAP4rev1 NAMESPACE] in\n"+
		"C: NAMESPACE\nC: LIST\nS: T2"+bad+"S: T3"+bad+"C: LOGOUT\n")
	o.RootCAs = ""
	_, err := source(t, o).List(t.Context())
	var e *session.Error
	if !errors.As(err, &e) || !errors.Is(e, session.ErrSignIn) || e.Class != session.ClassFinal || e.Scope != session.ScopeSession {
		t.Errorf("got %v", err)
	}
}

// TestTurns counts how often the client waits for the server: greeting, sign-in, and one flight for all the rest.
func TestTurns(t *testing.T) {
	const caps = "IMAP4rev1 SASL-IR AUTH=PLAIN ID NAMESPACE LIST-EXTENDED LIST-STATUS"
	o := script(t, "S: * OK [CAPABILITY "+caps+"] hi\nC: AUTHENTICATE PLAIN AHVzZXIAcHc=\nS: $T OK [CAPABILITY "+caps+"] in\n"+
		"C: ID\nC: NAMESPACE\nC: LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS\n"+
		"S: * ID (\"name\" \"x\")\nS: T2 OK\nS: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\nS: T3 OK\n"+
		"S: * LIST () \".\" INBOX\nS: * STATUS INBOX (MESSAGES 1)\nS: T4 OK\nC: LOGOUT\n")
	o.RootCAs = ""
	src := source(t, o)
	list, err := src.List(t.Context())
	if err != nil || len(list.Mailboxes) != 1 || list.Mailboxes[0].Status == nil || src.Prefix() != "INBOX." || src.Identity() == "" {
		t.Errorf("%+v, %v, prefix %q, identity %q", list, err, src.Prefix(), src.Identity())
	}
}

func TestStartTLSRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		dialogue string
		is       error
	}{
		"not offered":    {"S: * OK hi\nC: STARTTLS\nS: $T BAD unknown\n", session.ErrTLS},
		"PREAUTH":        {"S: * PREAUTH hi\n", session.ErrTLS},
		"octets ahead":   {"S: * OK hi\nC: STARTTLS\nR: S1 OK go\\r\\nT1 OK [CAPABILITY IMAP4rev1] in\\r\\n\n", session.ErrTLS},
		"BYE":            {"S: * BYE busy\n", session.ErrConnect},
		"ends":           {"S: * OK hi\nC: STARTTLS\nX:\n", session.ErrConnect},
		"untagged first": {"S: * OK hi\nC: STARTTLS\nS: * OK wait\nS: * CAPABILITY X\nS: $T NO no\n", session.ErrTLS},
	} {
		t.Run(name, func(t *testing.T) {
			o := script(t, c.dialogue)
			o.TLS, o.RootCAs = session.TLSStartTLS, ""
			if e := dialError(t, o); !errors.Is(e, c.is) {
				t.Error(e)
			}
		})
	}
}

// TestIDDoesNotSpoilErrors sends the ID list that leaves an error in go-imap's decoder, and then ends
// the connection: the error must tell what happened.
func TestIDDoesNotSpoilErrors(t *testing.T) {
	o := script(t, `S: * OK [CAPABILITY IMAP4rev1] hi
		C: LOGIN
		S: $T OK [CAPABILITY IMAP4rev1 ID NAMESPACE] in
		C: ID ("name" "mailark" "version" "test")
		S: * ID ("name" "Dovecot" "version" NIL)
		S: $T OK
		C: NAMESPACE
		S: * NAMESPACE (("" "/")) NIL NIL
		S: $T OK
		C: EXAMINE
		S: * BYE Session expired, please login again.
		X:`)
	o.RootCAs = ""
	src := source(t, o)
	if id := src.Identity(); id != `("name" "Dovecot" "version" NIL)` {
		t.Errorf("identity %q", id)
	}
	_, err := src.Examine(t.Context(), "INBOX")
	var e *session.Error
	if !errors.As(err, &e) || e.Scope != session.ScopeSession || e.Server != "Session expired, please login again." {
		t.Errorf("got %v", err)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	var log bytes.Buffer
	s := start(t, imaptest.ServerOptions{Users: map[string]string{"user": "Hü\"{5}\\ x"}})
	o := plain(t, s)
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, word := range []string{"Hü\"{5}\\ x", "s3cret-wrong"} {
		for _, auth := range []string{"login", "plain"} {
			o.Password, o.Auth = password(word), auth
			src, err := session.DialSource(t.Context(), o)
			if err != nil {
				log.WriteString(err.Error())
			} else {
				_ = src.Close()
			}
			if (err == nil) != (word[0] == 'H') {
				t.Errorf("%s with %q: %v", auth, word, err)
			}
		}
	}
	for _, cmd := range s.Commands() {
		log.WriteString(cmd.Line)
	}
	for _, secret := range []string{"s3cret", "{5}", "czNjcmV0"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in %s", secret, log.String())
		}
	}
}

func TestPasswordError(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	o := plain(t, s)
	broken := errors.New("no terminal")
	o.Password = func(context.Context) (string, error) { return "", broken }
	if _, err := session.DialSource(t.Context(), o); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestDialCancelled(t *testing.T) {
	o := script(t, "W:\n")
	o.RootCAs = ""
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := session.DialSource(ctx, o)
	var e *session.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Class != session.ClassFinal {
		t.Errorf("got %v", err)
	}
}
