package session_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"mailark/internal/imaptest"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/internal/session"
)

// TestEchoedPassword plays servers that repeat the sign-in in their words, at once and later: neither
// the log, in all its detail, nor an error, nor the identity may carry the password in any form.
func TestEchoedPassword(t *testing.T) {
	const word = `s3c"r\et`
	const quoted = `s3c\"r\\et`
	for name, c := range map[string]struct{ dialogue, want string }{
		"tagged BAD":             {"S: $T BAD do not know: LOGIN user \"" + quoted + "\"\n", "LOGIN"},
		"untagged, then the end": {"S: * NO [ALERT] seen: " + word + "\nS: * BAD LOGIN " + quoted + "\nX:\n", "seen"},
		"goodbye":                {"S: * BYE go away, LOGIN " + word + "\nX:\n", "go away"},
		"cut by the server":      {"S: $T NO do not know: LOGIN user s3c\\\"r\n", "LOGIN"},
		"cut by us":              {"S: $T NO " + strings.Repeat("x", 594) + word + "\n", "xxx"},
		"as a code":              {"S: $T NO [" + strings.ToUpper(`pass-word`) + "] no\n", "no"},
		"in base64":              {"S: $T NO AHVzZXIAczNjInJcZXQ= is wrong\n", "is wrong"},
		"not to be parsed":       {"S: * LIST \"" + quoted + "\" x\nW:\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			o := script(t, "S: * OK [CAPABILITY IMAP4rev1] hi\nC: LOGIN\n"+c.dialogue)
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			o.Password = password(word)
			if name == "as a code" {
				o.Password = password("pass-word")
			}
			e := dialError(t, o)
			if !strings.Contains(e.Error(), c.want) {
				t.Errorf("%q is not in %q", c.want, e)
			}
			for _, part := range []string{"s3c", "PASS-WORD", "AHVzZXIAczNj"} {
				if strings.Contains(log.String()+e.Error()+e.Code, part) {
					t.Errorf("%q is in %q, %q", part, e, log.String())
				}
			}
		})
	}
}

// TestEchoAfterSignIn: what the server said while we signed in is no reason for a later loss, and the
// password stays hidden for the life of the connection.
func TestEchoAfterSignIn(t *testing.T) {
	o := script(t, `S: * OK [CAPABILITY IMAP4rev1] hi
		C: LOGIN
		S: * NO [ALERT] cleartext sign-in
		S: * BAD odd sign-in
		S: $T OK [CAPABILITY IMAP4rev1 ID] in
		C: ID
		S: * ID ("pass" "s3cret")
		S: $T OK
		C: LIST
		S: $T OK
		C: EXAMINE
		S: $T NO nothing for s3cret here
		C: EXAMINE
		X:`)
	o.RootCAs, o.Password = "", password("s3cret")
	src := source(t, o)
	if id := src.Identity(); !strings.Contains(id, "pass") || strings.Contains(id, "s3cret") {
		t.Errorf("identity %q", id)
	}
	_, err := src.Examine(t.Context(), "INBOX")
	if err == nil || !strings.Contains(err.Error(), "nothing for … here") {
		t.Errorf("got %v", err)
	}
	_, err = src.Examine(t.Context(), "INBOX")
	var e *session.Error
	if !errors.As(err, &e) || e.Server != "" {
		t.Errorf("got %v, want no words of the server", err)
	}
}

// TestStartTLSGreeting: a greeting that looks like capabilities, once its own code is off, comes from
// before TLS. What the server offers must be asked for inside.
func TestStartTLSGreeting(t *testing.T) {
	cert, err := imaptest.NewCertificate("", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan []string, 1)
	go func() { said <- startTLSWithCaps(ln, &tls.Config{Certificates: []tls.Certificate{cert.TLS}}) }()
	o := options(t, session.TLSStartTLS, ln.Addr().String(), nil)
	o.RootCAs, o.Insecure, o.Password = "", true, password("s3cret")
	src, err := session.DialSource(t.Context(), o)
	if err == nil {
		_ = src.Close()
	}
	_ = ln.Close()
	if !errors.Is(err, session.ErrSignIn) {
		t.Errorf("got %v", err)
	}
	lines := <-said
	asked := len(lines) // go-imap may ask a second time by itself
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "CAPABILITY" })
	if asked == 0 || len(lines) > 0 {
		t.Errorf("inside TLS we said %q, in spite of LOGINDISABLED", lines)
	}
}

// startTLSWithCaps serves one connection: it lies before TLS, and takes no password inside.
func startTLSWithCaps(ln net.Listener, cfg *tls.Config) (said []string) {
	raw, err := ln.Accept()
	if err != nil {
		return nil
	}
	defer func() { _ = raw.Close() }()
	_, _ = fmt.Fprint(raw, "* OK [X] [CAPABILITY IMAP4rev1] in the clear\r\n")
	if _, err := bufio.NewReader(raw).ReadString('\n'); err != nil {
		return nil
	}
	_, _ = fmt.Fprint(raw, "S1 OK go\r\n")
	conn := tls.Server(raw, cfg)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		tag, cmd, _ := strings.Cut(lines.Text(), " ")
		said = append(said, strings.Fields(cmd)[0])
		if cmd == "CAPABILITY" {
			_, _ = fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n%s OK\r\n", tag)
			continue
		}
		_, _ = fmt.Fprintf(conn, "%s NO no\r\n", tag)
	}
	return said
}
