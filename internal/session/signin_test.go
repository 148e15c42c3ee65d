package session_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// Pieces of dialogues. The challenge is that of RFC 2195; the password is "pw".
const (
	signedIn  = "S: $T OK [CAPABILITY IMAP4rev1] in\nC: LIST\nS: * LIST (\\Noselect) \"/\" \"\"\nS: $T OK\nC: LOGOUT\nS: * BYE\nS: $T OK\n"
	plainLine = "C: AUTHENTICATE PLAIN AHVzZXIAcHc=\n"
	loginLine = "C: LOGIN \"user\" \"pw\"\n"
	cramLines = "C: AUTHENTICATE CRAM-MD5\nS: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\n" +
		"L: dXNlciBiMDM3YTBhOGZkOGNkMjYxZGU2YTkzODdhMWU4MjY0OA==\n"
)

func offers(caps string) string {
	return "S: * OK [CAPABILITY " + strings.TrimSpace("IMAP4rev1 "+caps) + "] ready\n"
}

// TestMechanisms plays what each way to sign in says, to the octet, and in which order the ways are
// tried. The script refuses a second attempt.
func TestMechanisms(t *testing.T) {
	const all = "AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 SASL-IR"
	const failed = "S: $T NO what a pity\n"
	const prompts = "C: AUTHENTICATE LOGIN\nS: + VXNlcm5hbWU6\nL: dXNlcg==\nS: + UGFzc3dvcmQ6\nL: cHc=\n"
	for _, c := range []struct {
		name, auth, owner, dialogue string
		words                       []string // of the refusal; nil: signed in
	}{
		{"CRAM-MD5 comes first in the clear", "", "", offers(all) + cramLines + signedIn, nil},
		{"CRAM-MD5 by name", "cram-md5", "", offers("AUTH=PLAIN SASL-IR") + cramLines + signedIn, nil},
		{"then PLAIN, then LOGIN", "", "", offers(all) + cramLines + failed + plainLine + failed + loginLine + signedIn, nil},
		{"AUTH-115 a mechanism that always fails", "", "",
			offers(all) + "C: AUTHENTICATE CRAM-MD5\nS: $T NO AUTHENTICATE command unknown or arguments invalid\n" + plainLine + signedIn, nil},
		{"CRAM-MD5 without a password to compare with", "", "", offers(all) + cramLines + "S: $T NO Login failed.\n" + plainLine + signedIn, nil},
		{"none after a clear refusal", "", "", offers(all) + cramLines + "S: $T NO [AUTHENTICATIONFAILED] wrong\n", []string{"wrong", "--auth plain"}},
		{"none after clear words", "", "", offers(all) + cramLines + failed + plainLine + "S: $T NO Login failed.\n", []string{"pity", "Login failed"}},
		{"AUTH-122 app password", "", "", offers("AUTH=PLAIN SASL-IR") + plainLine +
			"S: $T NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)\n",
			[]string{"[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)"}},
		{"AUTH-122 web login", "", "", offers("AUTH=PLAIN SASL-IR") + plainLine +
			"S: $T NO [WEBALERT https://accounts.google.com/ContinueSignIn?x=1] Web login required.\n", []string{"Web login required."}},
		{"each word once", "", "", offers(all) + cramLines + failed + plainLine + failed + loginLine + failed,
			[]string{"by CRAM-MD5, PLAIN, LOGIN:", "(the server says: what a pity)"}},
		{"LOGIN by prompts", "", "", offers("AUTH=LOGIN LOGINDISABLED") + prompts + signedIn, nil},
		{"LOGIN by prompts, by name", "login", "", offers("AUTH=PLAIN AUTH=LOGIN LOGINDISABLED") + prompts + signedIn, nil},
		{"LOGIN by empty prompts", "", "", offers("AUTH=LOGIN LOGINDISABLED") +
			"C: AUTHENTICATE LOGIN\nR: +\\r\\n\nL: dXNlcg==\nR: + \\r\\n\nL: cHc=\n" + signedIn, nil},
		{"LOGIN by prompts in the clear", "", "", offers("AUTH=LOGIN LOGINDISABLED") +
			"C: AUTHENTICATE LOGIN\nS: + Username:\nL: dXNlcg==\nS: + Password:\nL: cHc=\n" + signedIn, nil},
		{"the command is preferred to prompts", "login", "", offers("AUTH=LOGIN") + loginLine + signedIn, nil},
		{"AUTH-114 no SASL-IR", "plain", "", offers("AUTH=PLAIN") + "C: AUTHENTICATE PLAIN\nR: +\\r\\n\nL: AHVzZXIAcHc=\n" + signedIn, nil},
		{"AUTH-114 a prompt in words", "plain", "", offers("AUTH=PLAIN") + "C: AUTHENTICATE PLAIN\nS: + go ahead\nL: AHVzZXIAcHc=\n" + signedIn, nil},
		{"SASL-IR, and asked all the same", "plain", "", offers("AUTH=PLAIN SASL-IR") + plainLine + "S: + \nL: AHVzZXIAcHc=\n" + signedIn, nil},
		{"asked without end", "plain", "", offers("AUTH=PLAIN SASL-IR") + plainLine + "S: +\nL: AHVzZXIAcHc=\n" + strings.Repeat("S: +\nL: =\n", 7) + "S: +\nW:\n", []string{}},
		{"AUTH-113 nothing left", "", "", offers("AUTH=GSSAPI AUTH=XOAUTH2 LOGINDISABLED") + "W:\n", []string{"LOGINDISABLED", "GSSAPI", "XOAUTH2", "--tls"}},
		{"an administrator", "", "admin", offers(all) + "C: AUTHENTICATE PLAIN dXNlcgBhZG1pbgBwdw==\n" + signedIn, nil},
		{"an administrator by name", "plain", "admin", offers("") + "C: AUTHENTICATE PLAIN\nS: +\nL: dXNlcgBhZG1pbgBwdw==\n" + signedIn, nil},
		{"an administrator who may not", "", "admin", offers(all) + "C: AUTHENTICATE PLAIN dXNlcgBhZG1pbgBwdw==\nS: $T NO no\n",
			[]string{`"user" with the password of "admin"`, `check that "admin" may sign in for others`}},
		{"an administrator without PLAIN", "", "admin", offers("AUTH=CRAM-MD5") + "W:\n", []string{"only PLAIN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script(t, c.dialogue)
			o.RootCAs, o.Auth, o.AuthUser = "", c.auth, c.owner
			if c.words == nil {
				_ = source(t, o)
				return
			}
			e := dialError(t, o)
			if len(c.words) > 0 && (!errors.Is(e, session.ErrSignIn) || e.Class != session.ClassFinal) {
				t.Errorf("class %v: %v", e.Class, e)
			}
			for _, w := range append(c.words, "user") {
				if !strings.Contains(e.Error(), w) {
					t.Errorf("%q is not in %q", w, e)
				}
			}
		})
	}
}

// TestOrderInTLS: inside TLS the password itself is what every server understands.
func TestOrderInTLS(t *testing.T) {
	s := start(t, imaptest.ServerOptions{Mechanisms: []string{"CRAM-MD5"}})
	s.SetFaults(imaptest.Faults{Refuse: map[string]int{"AUTHENTICATE": 1, "LOGIN": 1}})
	o := options(t, session.TLSImplicit, s.TLSAddr, s.CAPEM)
	_ = dialError(t, o) // CRAM-MD5 is what imapserver does not know
	var said []string
	for _, cmd := range s.Commands() {
		if cmd.Name == "LOGIN" || cmd.Name == "AUTHENTICATE" {
			said = append(said, cmd.Line)
		}
	}
	if want := []string{"AUTHENTICATE PLAIN", "LOGIN …", "AUTHENTICATE CRAM-MD5"}; !slices.Equal(said, want) {
		t.Errorf("tried %q, want %q", said, want)
	}
}

// TestMethodIsKept: a mechanism that fails is not tried with each connection of a run again.
func TestMethodIsKept(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Refuse: map[string]int{"AUTHENTICATE": imaptest.Always}})
	o := plain(t, s)
	o.Shared = session.NewShared()
	for range 3 {
		_ = source(t, o).Close()
	}
	tried := 0
	for _, cmd := range s.Commands() {
		if cmd.Name == "AUTHENTICATE" {
			tried++
		}
	}
	if tried != 1 {
		t.Errorf("what fails was tried %d times", tried)
	}
}

// TestChallengeWithPassword: a challenge that happens to hold the password is no echo of it.
func TestChallengeWithPassword(t *testing.T) {
	const challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
	raw, err := base64.StdEncoding.DecodeString(challenge)
	if err != nil {
		t.Fatal(err)
	}
	word := challenge[5:9]
	mac := hmac.New(md5.New, []byte(word))
	mac.Write(raw)
	answer := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "user %x", mac.Sum(nil)))
	o := script(t, offers("AUTH=CRAM-MD5")+"C: AUTHENTICATE CRAM-MD5\nS: + "+challenge+"\nL: "+answer+"\n"+signedIn)
	o.RootCAs, o.Password = "", password(word)
	_ = source(t, o)
}

// TestNonASCIIPassword (AUTH-117): PLAIN and LOGIN carry it in UTF-8, and a refusal names the charset.
func TestNonASCIIPassword(t *testing.T) {
	const in = "Hü\"{5}\\ x"
	s := start(t, imaptest.ServerOptions{Users: map[string]string{"user": in}})
	for _, auth := range []string{"plain", "login"} {
		o := plain(t, s)
		o.Auth, o.Password = auth, password(in)
		_ = source(t, o).Close()
		o.Password = password("Hü")
		if e := dialError(t, o); !strings.Contains(e.Error(), "ASCII") || strings.Contains(e.Error(), "Hü") {
			t.Error(e)
		}
		o.Password = password("Hu")
		if e := dialError(t, o); strings.Contains(e.Error(), "ASCII") {
			t.Error(e)
		}
	}
	o := script(t, offers("LOGIN")+"C: LOGIN \"user\" {3}\nS: + go\nL: Hü\n"+signedIn)
	o.RootCAs, o.Password = "", password("Hü")
	_ = source(t, o)
	o = script(t, offers("LOGIN")+"C: LOGIN \"user\" {3}\nS: $T NO literals are not for us\n")
	o.RootCAs, o.Password = "", password("Hü")
	if e := dialError(t, o); !errors.Is(e, session.ErrSignIn) || !strings.Contains(e.Error(), "literals") {
		t.Error(e)
	}
}

// TestGreetings (AUTH-119, AUTH-121): words in 8-bit and an alert come through; a busy server is asked
// again later.
func TestGreetings(t *testing.T) {
	for dialogue, want := range map[string]struct {
		class session.Class
		words string
	}{
		"S: * BYE [ALERT] Too many connections from your IP\n":                             {session.ClassWait, "[ALERT] Too many connections"},
		"R: * BYE Verbindung abgelehnt \xfcberlastet\\r\\n\n":                              {session.ClassWait, "abgelehnt \uFFFDberlastet"},
		offers("") + "C: LOGIN\nS: $T NO [UNAVAILABLE] Temporary authentication failure\n": {session.ClassWait, "Temporary authentication failure"},
	} {
		o := script(t, dialogue)
		o.RootCAs = ""
		if e := dialError(t, o); e.Class != want.class || !strings.Contains(e.Server, want.words) {
			t.Errorf("class %v: %v", e.Class, e)
		}
	}
}

// TestWordsOnce: what the server says to its users is shown once a run, and is in the log each time.
func TestWordsOnce(t *testing.T) {
	o := script(t, `S: * OK [CAPABILITY IMAP4rev1] hi
		C: LOGIN
		S: * OK [ALERT] the server closes in May
		S: * NO the disk is nearly full
		S: $T OK [CAPABILITY IMAP4rev1] in
		C: LIST
		S: $T OK
		C: NOOP
		S: * BAD you are slow
		S: $T OK
		C: LOGOUT
		S: * BYE so long
		S: $T OK`)
	o.RootCAs, o.Shared = "", session.NewShared()
	counts := map[slog.Level]int{}
	o.Log = slog.New(counting{slog.NewTextHandler(&bytes.Buffer{}, nil), counts})
	for range 3 {
		src := source(t, o)
		if err := src.Noop(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = src.Close()
	}
	if counts[slog.LevelWarn] != 3 || counts[slog.LevelInfo] != 6 {
		t.Errorf("shown %d times, logged %d times more", counts[slog.LevelWarn], counts[slog.LevelInfo])
	}
}

type counting struct {
	slog.Handler
	counts map[slog.Level]int
}

func (c counting) Handle(_ context.Context, r slog.Record) error {
	c.counts[r.Level]++
	return nil
}
