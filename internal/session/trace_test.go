package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// record is a file of --trace.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func traced(t *testing.T, o session.Options) (session.Options, *record) {
	r := &record{}
	o.Trace = session.NewTrace(r, func(err error) { t.Error(err) })
	return o, r
}

// TestTraceKeepsSecrets signs in in every way, with servers that repeat all they hear in every place
// a server has; no form of the password may be in the trace.
func TestTraceKeepsSecrets(t *testing.T) {
	const word = `s3c"r\et ü`
	const echo = `S: * NO you said s3c"r\et ü and "s3c\"r\\et ü"` + "\n" +
		`S: * OK [X s3c"r\et ü] code` + "\n" +
		`S: * NO AHVzZXIAczNjInJcZXQgw7w= czNjInJcZXQgw7w= dXNlcgBhZG1pbgBzM2MiclxldCDDvA==` + "\n" +
		"S: * NO cut short: s3c\"r\\\n"
	const after = echo + "S: $T OK [CAPABILITY IMAP4rev1] in\nC: LIST\nS: $T OK\nC: NOOP\n" + echo + "S: $T OK\nC: LOGOUT\nS: $T OK\n"
	for name, c := range map[string]struct{ auth, owner, dialogue string }{
		"PLAIN":             {"plain", "", offers("AUTH=PLAIN SASL-IR") + "C: AUTHENTICATE PLAIN\n" + after},
		"PLAIN, asked":      {"plain", "", offers("AUTH=PLAIN") + "C: AUTHENTICATE PLAIN\nS: + czNjInJcZXQgw7w=\nD: 26\n" + after},
		"for another":       {"plain", "admin", offers("AUTH=PLAIN") + "C: AUTHENTICATE PLAIN\nS: +\nD: 34\n" + after},
		"LOGIN":             {"login", "", offers("") + "C: LOGIN \"user\" {11}\nS: + s3c\"r\\et ü\nD: 13\n" + after},
		"LOGIN, unasked":    {"login", "", offers("LITERAL+") + "C: LOGIN \"user\" {11+}\nD: 13\n" + after},
		"LOGIN, by prompts": {"login", "", offers("AUTH=LOGIN LOGINDISABLED") + "C: AUTHENTICATE LOGIN\nS: +\nD: 10\nS: + \nD: 18\n" + after},
		"refused":           {"plain", "", offers("AUTH=PLAIN SASL-IR") + "C: AUTHENTICATE PLAIN\n" + echo + "S: $T NO s3c\"r\\et ü is wrong\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o, r := traced(t, script(t, c.dialogue))
			o.RootCAs, o.Auth, o.AuthUser, o.Password = "", c.auth, c.owner, password(word)
			src, err := session.DialSource(t.Context(), o)
			switch {
			case name == "refused" && !errors.Is(err, session.ErrSignIn), name != "refused" && err != nil:
				t.Fatal(err)
			case err == nil:
				if err := src.Noop(t.Context()); err != nil {
					t.Error(err)
				}
				_ = src.Close()
			}
			text := r.String()
			for _, part := range []string{"s3c", `r\et`, "czNj", "AHVzZXIAc", "M2Mi", "dXNlcg=="} {
				if strings.Contains(text, part) {
					t.Errorf("%q is in\n%s", part, text)
				}
			}
			if !strings.Contains(text, "C: T1 "+strings.Fields(c.dialogue[strings.Index(c.dialogue, "C: ")+3:])[0]) || !strings.Contains(text, "you said") {
				t.Errorf("not a trace:\n%s", text)
			}
		})
	}
	o, r := traced(t, script(t, offers("AUTH=CRAM-MD5")+cramLines+
		"S: * NO dXNlciBiMDM3YTBhOGZkOGNkMjYxZGU2YTkzODdhMWU4MjY0OA== b037a0a8fd8cd261de6a9387a1e82648\n"+signedIn))
	o.RootCAs = ""
	_ = source(t, o).Close()
	if text := r.String(); strings.Contains(text, "dXNlciBi") || strings.Contains(text, "b037a0a8") || strings.Contains(text, "PDE4OTY") {
		t.Error(text)
	}
}

// TestTrace: both directions, in order, each line with time and connection; literals as sizes, also
// over compressed and encrypted connections.
func TestTrace(t *testing.T) {
	s := start(t, imaptest.ServerOptions{Compress: true, NoLiteralPlus: true})
	fill(s.Account("user"), "INBOX", 30)
	o, r := traced(t, options(t, session.TLSStartTLS, s.Addr, s.CAPEM))
	o.Compress = session.CompressOn
	src, dst := source(t, o), target(t, o)
	s.Account("user").AddMailbox(imaptest.Mailbox{Name: "Copy"})
	copyMailbox(t, src, dst, "INBOX", "Copy")
	_, _ = src.Close(), dst.Close()
	text := r.String()
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\S* [12] (C:|S:|--) \S.*$`)
	for line := range strings.Lines(text) {
		if !form.MatchString(strings.TrimSuffix(line, "\n")) && !strings.Contains(line, " S:  ") { // goes on after a literal
			t.Errorf("line %q", line)
		}
	}
	for _, want := range []string{
		"1 -- connected to 127.0.0.1:", "1 C: S1 STARTTLS", "1 -- TLS 1.3", " AUTHENTICATE PLAIN …", "1 S: T2 OK ",
		"1 C: M1 COMPRESS DEFLATE", "1 S: M1 OK ", "C: T", "UID FETCH ", "2 C: M2 APPEND \"Copy\"", "2 S: M2 OK ",
		fmt.Sprintf("S: {%d octets}", len(oddOctets(7))), fmt.Sprintf("2 C: {%d octets}", len(oddOctets(7))),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "trap") || strings.Contains(text, "Subject") {
		t.Error("there is mail in the trace")
	}
	if n := strings.Count(text, "2 C: {"); n != 30 {
		t.Errorf("%d messages sent, by the trace", n)
	}
}

// TestTraceIsBounded: a line without end is cut, and what is no text cannot act on a terminal.
func TestTraceIsBounded(t *testing.T) {
	o, r := traced(t, script(t, "S: * OK [CAPABILITY IMAP4rev1] hi\nC: LOGIN\nS: * OK "+strings.Repeat("long ", 20_000)+"\n"+
		"R: * OK \x1b[2J\xff\u0085 odd\\r\\n\n"+signedIn))
	o.RootCAs = ""
	_ = source(t, o).Close()
	text := r.String()
	if len(text) > 8<<10 || !strings.Contains(text, "(100004 octets in all)") {
		t.Errorf("%d octets of trace", len(text))
	}
	if !strings.Contains(text, `\x1b[2J\xff\xc2\x85 odd`) || strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
}

type broken struct{ n int }

func (b *broken) Write([]byte) (int, error) {
	b.n++
	return 0, errors.New("disk full")
}

// TestTraceEnds: a trace that cannot be written is told once, and the session goes on.
func TestTraceEnds(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	o := plain(t, s)
	var told []error
	w := &broken{}
	o.Trace = session.NewTrace(w, func(err error) { told = append(told, err) })
	_ = source(t, o).Close()
	if len(told) != 1 || w.n != 1 {
		t.Errorf("told %v after %d writes", told, w.n)
	}
}
