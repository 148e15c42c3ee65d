package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

var day = time.Date(2016, 11, 7, 18, 49, 23, 0, time.FixedZone("", 9*3600))

// appendAll sends the messages one after the other without waiting, and returns what became of each:
// "stored", "refused CODE", "in doubt", or "unsent".
func appendAll(t *testing.T, dst *session.Target, messages ...[]byte) []string {
	t.Helper()
	var pending []*session.Pending
	fates := make([]string, len(messages))
	for i, m := range messages {
		p, err := dst.Append(t.Context(), "INBOX", nil, day, int64(len(m)), bytes.NewReader(m))
		if err != nil {
			fates[i] = "unsent"
		}
		pending = append(pending, p)
	}
	for i, p := range pending {
		if p == nil {
			continue
		}
		_, err := p.Wait(t.Context())
		var e *session.Error
		switch {
		case err == nil:
			fates[i] = "stored"
		case !errors.As(err, &e):
			t.Errorf("no *Error: %v", err)
		case e.Scope == session.ScopeMessage:
			fates[i] = "refused " + e.Code
		case p.Sent():
			fates[i] = "in doubt"
		default:
			fates[i] = "unsent"
		}
	}
	return fates
}

func sized(sizes ...int) (messages [][]byte) {
	for i, n := range sizes {
		messages = append(messages, bytes.Repeat([]byte{byte('a' + i)}, n))
	}
	return messages
}

// nth makes a fault for the n-th APPEND alone.
func nth(n int, fault imaptest.AppendFault) func(imaptest.AppendCall) imaptest.AppendFault {
	return func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N == n {
			return fault
		}
		return imaptest.AppendOK
	}
}

// TestAppendFaults looks at every way an APPEND can fail, with literals that are pushed and literals
// that are announced, and compares what is said with what is stored.
func TestAppendFaults(t *testing.T) {
	const doubt = "in doubt"
	for _, c := range []struct {
		name   string
		fault  imaptest.AppendFault
		fates  []string // of three messages, the second of which goes wrong
		stored int      // at least
	}{
		{"nothing", imaptest.AppendOK, []string{"stored", "stored", "stored"}, 3},
		{"refused in place of +", imaptest.AppendRefuseEarly, []string{"stored", "refused LIMIT", "stored"}, 2},
		{"refused after the literal", imaptest.AppendRefuse, []string{"stored", "refused LIMIT", "stored"}, 2},
		{"no APPENDUID", imaptest.AppendNoUID, []string{"stored", "stored", "stored"}, 3},
		{"malformed APPENDUID", imaptest.AppendBadUID, []string{"stored", "stored", "stored"}, 3},
		{"stored, then dropped", imaptest.AppendStoreDrop, []string{"stored", doubt, ""}, 2},
		{"stored, then silent", imaptest.AppendStoreSilent, []string{"stored", doubt, ""}, 2},
		{"dropped", imaptest.AppendDrop, []string{"stored", doubt, ""}, 1},
		{"cut", imaptest.AppendCut, []string{"stored", "", ""}, 1},
	} {
		for _, way := range []struct {
			name  string
			plain bool // without LITERAL+
			sizes []int
		}{
			{"pushed", false, []int{10, 100_000, 0}},
			{"announced", true, []int{5000, 100_000, 5000}},
			{"announced because big", false, []int{10, 3 << 20, 10}},
		} {
			t.Run(c.name+"/"+way.name, func(t *testing.T) {
				s := start(t, imaptest.ServerOptions{NoLiteralPlus: way.plain})
				s.SetFaults(imaptest.Faults{Append: nth(2, c.fault)})
				o := plain(t, s)
				o.Timeout = 500 * time.Millisecond
				dst := target(t, o)
				messages := sized(way.sizes...)
				fates := appendAll(t, dst, messages...)
				checkFates(t, s, messages, fates)
				for i, want := range c.fates {
					if want != "" && fates[i] != want {
						t.Errorf("message %d: %s, want %s", i+1, fates[i], want)
					}
				}
				if n := len(s.Account("user").Messages("INBOX")); n < c.stored {
					t.Errorf("%d stored", n)
				}
			})
		}
	}
}

// checkFates holds what was said of each message against the mailbox.
func checkFates(t *testing.T, s *imaptest.Server, messages [][]byte, fates []string) {
	t.Helper()
	for i, m := range messages {
		stored := slices.ContainsFunc(s.Account("user").Messages("INBOX"), func(x imaptest.Message) bool {
			return bytes.Equal(x.Octets, m)
		})
		switch {
		case fates[i] == "stored" && !stored:
			t.Errorf("message %d is lost, but was called stored", i+1)
		case stored && fates[i] != "stored" && fates[i] != "in doubt":
			t.Errorf("message %d is stored, but was called %s", i+1, fates[i])
		}
	}
}

func TestAppendAnswers(t *testing.T) {
	for _, c := range []struct {
		answer *imap.Error
		code   string
		class  session.Class
	}{
		{&imap.Error{Type: "NO", Code: "OVERQUOTA", Text: "Quota exceeded"}, "OVERQUOTA", session.ClassFinal},
		{&imap.Error{Type: "NO", Code: "OVERQUOTA", Text: "Account exceeded command or bandwidth limits."}, "OVERQUOTA", session.ClassWait},
		{&imap.Error{Type: "BAD", Code: "TOOBIG", Text: "too big"}, "TOOBIG", session.ClassFinal},
		{&imap.Error{Type: "NO", Text: "Message contains bare newlines"}, "", session.ClassFinal},
		{&imap.Error{Type: "NO", Text: "Request is throttled. Suggested Backoff Time: 300000 milliseconds"}, "", session.ClassWait},
		{&imap.Error{Type: "NO", Code: "SERVERBUG", Text: "Internal error"}, "SERVERBUG", session.ClassRetry},
	} {
		for _, fault := range []imaptest.AppendFault{imaptest.AppendRefuse, imaptest.AppendRefuseEarly} {
			s := start(t, imaptest.ServerOptions{})
			s.SetFaults(imaptest.Faults{Append: nth(1, fault), AppendAnswer: c.answer})
			dst := target(t, plain(t, s))
			p, err := dst.Append(t.Context(), "INBOX", nil, day, 3, strings.NewReader("abc"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Wait(t.Context())
			var e *session.Error
			if !errors.As(err, &e) || e.Scope != session.ScopeMessage || e.Code != c.code || e.Class != c.class ||
				e.Server != c.answer.Text {
				t.Errorf("%v: got %+v", c.answer, e)
			}
		}
	}
}

func TestAppendToNowhere(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	dst := target(t, plain(t, s))
	p, err := dst.Append(t.Context(), "お知らせ & \"more\"", nil, day, 3, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	var e *session.Error
	if _, err = p.Wait(t.Context()); !errors.As(err, &e) || e.Code != "TRYCREATE" || e.Scope != session.ScopeMessage {
		t.Errorf("got %v", err)
	}
	if err := dst.Create(t.Context(), "お知らせ & \"more\"", ""); err != nil {
		t.Fatal(err)
	}
	p, err = dst.Append(t.Context(), "お知らせ & \"more\"", []string{`\Seen`, `\recent`, "$Forwarded"}, time.Time{}, 3, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Wait(t.Context())
	if err != nil || res.UID != 1 || res.UIDValidity == 0 {
		t.Errorf("got %v, %v", res, err)
	}
	got := s.Account("user").Messages("お知らせ & \"more\"")
	if len(got) != 1 || !slices.Equal(got[0].Flags, []string{`\Seen`, "$Forwarded"}) {
		t.Errorf("stored %v", got)
	}
}

func TestAppendBadFlags(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	dst := target(t, plain(t, s))
	for _, flag := range []string{"", `\`, "a b", "a(b", `a"b`, "a]b", "ä", "a\r\nT9 DELETE INBOX", `a\b`, "a%"} {
		_, err := dst.Append(t.Context(), "INBOX", []string{flag}, day, 3, strings.NewReader("abc"))
		var e *session.Error
		if !errors.As(err, &e) || e.Scope != session.ScopeMessage || e.Class != session.ClassFinal {
			t.Errorf("%q: %v", flag, err)
		}
	}
	if err := dst.Noop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAppendShortReader: the server was promised octets that do not exist.
func TestAppendShortReader(t *testing.T) {
	broken := errors.New("bad sector")
	for name, r := range map[string]io.Reader{
		"ends early": strings.NewReader("abc"),
		"fails":      io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, imaptest.ServerOptions{})
			dst := target(t, plain(t, s))
			_, err := dst.Append(t.Context(), "INBOX", nil, day, 100_000, r)
			var e *session.Error
			if !errors.As(err, &e) || e.Scope != session.ScopeSession || !strings.Contains(err.Error(), "3 of 100000 octets") {
				t.Errorf("got %v", err)
			}
			if name == "fails" && !errors.Is(err, broken) {
				t.Errorf("the reason is lost: %v", err)
			}
			if n := len(s.Account("user").Messages("INBOX")); n != 0 {
				t.Errorf("%d messages stored", n)
			}
		})
	}
}

func TestAppendWaitInterrupted(t *testing.T) {
	o := script(t, preauth("IMAP4rev1 LITERAL+ UIDPLUS")+askDelim+`C: APPEND INBOX " 7-Nov-2016 18:49:23 +0900" {3+}
		D: 5
		C: NOOP
		S: $T OK
		S: M1 OK [APPENDUID 4 5] done
		C: LOGOUT`)
	o.RootCAs = ""
	dst := target(t, o)
	p, err := dst.Append(t.Context(), "INBOX", nil, day, 3, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	ended := canceled(t)
	if _, err := p.Wait(ended); !isCanceled(err) {
		t.Errorf("got %v", err)
	}
	if err := dst.Noop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, err := p.Wait(t.Context()); err != nil || res != (session.AppendResult{UIDValidity: 4, UID: 5}) {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestAppendLimit(t *testing.T) {
	s := start(t, imaptest.ServerOptions{AppendLimit: 1000})
	dst := target(t, plain(t, s))
	if limit, ok := dst.AppendLimit(); limit != 1000 || !ok {
		t.Errorf("limit %d, %v", limit, ok)
	}
	fates := appendAll(t, dst, sized(900, 2<<20, 10)...)
	if want := []string{"stored", "refused TOOBIG", "stored"}; !slices.Equal(fates, want) {
		t.Errorf("got %v", fates)
	}
	none := start(t, imaptest.ServerOptions{})
	if limit, ok := target(t, plain(t, none)).AppendLimit(); ok {
		t.Errorf("a limit of %d out of nowhere", limit)
	}
}

// TestAppendPushes checks that nothing waits for a round trip where LITERAL+ is offered.
func TestAppendPushes(t *testing.T) {
	var b strings.Builder
	b.WriteString(preauth("IMAP4rev1 LITERAL+") + askDelim)
	for i := range 50 {
		fmt.Fprintf(&b, "C: APPEND INBOX {%d+}\nD: %d\n", 6000+i, 6002+i)
	}
	for i := range 50 { // every answer after the last command
		fmt.Fprintf(&b, "S: M%d OK done\n", 50-i)
	}
	o := script(t, b.String()+"C: LOGOUT\n")
	o.RootCAs = ""
	dst := target(t, o)
	var pending []*session.Pending
	for i := range 50 {
		p, err := dst.Append(t.Context(), "INBOX", nil, time.Time{}, int64(6000+i), bytes.NewReader(make([]byte, 6000+i)))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for _, p := range pending {
		if _, err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestCreate(t *testing.T) {
	const status = "C: STATUS \"Sent\"\n"
	const caps = "IMAP4rev1 CREATE-SPECIAL-USE"
	for _, c := range []struct {
		name, caps, use, dialogue string
		ok                        bool
	}{
		{"made", caps, "", "C: CREATE \"Sent\"\nS: $T OK\n", true},
		{"with a role", caps, `\Sent`, "C: CREATE \"Sent\" (USE (\\Sent))\nS: $T OK\n", true},
		{"role not offered", "IMAP4rev1", `\Sent`, "C: CREATE \"Sent\"\nS: $T OK\n", true},
		{"role refused", caps, `\Sent`, "C: CREATE \"Sent\" (USE\nS: $T NO [USEATTR] no\nC: CREATE \"Sent\"\nS: $T OK\n", true},
		{"exists, by code", caps, `\Sent`, "C: CREATE \"Sent\" (USE\nS: $T NO [ALREADYEXISTS] is there\n", true},
		{"exists, by STATUS", caps, "", "C: CREATE \"Sent\"\nS: $T NO never\n" + status + "S: * STATUS Sent (MESSAGES 1)\nS: $T OK\n", true},
		{"refused", caps, "", "C: CREATE \"Sent\"\nS: $T NO [CANNOT] reserved\n" + status + "S: $T NO none\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script(t, preauth(c.caps)+askDelim+c.dialogue+"C: LOGOUT\n")
			o.RootCAs = ""
			err := target(t, o).Create(t.Context(), "Sent", c.use)
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			var e *session.Error
			if err != nil && (!errors.As(err, &e) || e.Scope != session.ScopeMailbox || e.Code != "CANNOT") {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestSelectReadOnly(t *testing.T) {
	for _, code := range []string{"READ-ONLY", "READ-WRITE"} {
		o := script(t, preauth("IMAP4rev1")+askDelim+"C: SELECT INBOX\nS: * 3 EXISTS\nS: $T OK ["+code+"] in\nC: LOGOUT\n")
		o.RootCAs = ""
		sel, err := target(t, o).Select(t.Context(), "inbox")
		if err != nil || sel.ReadOnly != (code == "READ-ONLY") || sel.Exists != 3 {
			t.Errorf("%s: %+v, %v", code, sel, err)
		}
	}
}
