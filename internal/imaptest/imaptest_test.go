package imaptest

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

func newServer(t *testing.T, o ServerOptions) *Server {
	t.Helper()
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sample is an account with everything that Diff compares.
func sample(t *testing.T, o ServerOptions) *Account {
	t.Helper()
	a := newServer(t, o).Account("user")
	east := time.FixedZone("", 9*3600)
	a.AddMailbox(Mailbox{Name: o.Prefix + "Sent", Role: `\Sent`, Subscribed: true})
	a.AddMailbox(Mailbox{Name: o.Prefix + strings.Join([]string{"a", "b"}, cmpDelim(o)), NoSelect: true})
	a.AddMailbox(Mailbox{Name: o.Prefix + "仕事"})
	for i := range 3 {
		a.AddMessage("INBOX", Message{
			Octets: []byte(fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i)), InternalDate: time.Date(2001, 2, 3, 4, 5, i, 0, east),
			Flags: []string{`\Seen`, "todo"},
		})
	}
	a.AddMessage(o.Prefix+"Sent", Message{Octets: []byte("x\n\x00\r"), InternalDate: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)})
	return a
}

func cmpDelim(o ServerOptions) string {
	if o.Delim == "" {
		return "/"
	}
	return o.Delim
}

func login(a *Account) Login {
	return Login{Addr: a.server.Addr, User: "user", Password: "pw"}
}

func TestSnapshotIMAP(t *testing.T) {
	for name, o := range map[string]ServerOptions{
		"slash":   {},
		"INBOX..": {Prefix: "INBOX.", Delim: "."},
	} {
		t.Run(name, func(t *testing.T) {
			a := sample(t, o)
			got, err := SnapshotIMAP(t.Context(), login(a))
			if err != nil {
				t.Fatal(err)
			}
			want := a.Snapshot()
			if got.Prefix != want.Prefix || got.Delim != want.Delim || got.Count() != 4 || want.Count() != 4 {
				t.Errorf("got %q %q, %d messages", got.Prefix, got.Delim, got.Count())
			}
			for _, d := range Diff(want, got) {
				t.Error(d)
			}
			for _, m := range want.Mailboxes {
				if g := got.Mailbox(m.Name); g == nil || !m.NoSelect && (g.UIDValidity != m.UIDValidity || g.UIDNext != m.UIDNext) {
					t.Errorf("%s: %+v", m.Name, g)
				}
			}
		})
	}
}

func TestSnapshotIMAPSecure(t *testing.T) {
	a := sample(t, ServerOptions{})
	l := login(a)
	l.Addr, l.TLS = a.server.TLSAddr, trust(t, a.server.CAPEM)
	got, err := SnapshotIMAP(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if diffs := Diff(got, a.Snapshot()); diffs != nil {
		t.Error(diffs)
	}
}

// TestSnapshotIMAPNoticesLoss: a snapshot that misses something must not pass for the whole.
func TestSnapshotIMAPNoticesLoss(t *testing.T) {
	for name, f := range map[string]Faults{
		"cut":      {Cut: map[Key]int{{"INBOX", 2}: 1}},
		"bodiless": {Bodiless: map[Key]int{{"INBOX", 2}: 1}},
		"vanished": {Vanish: map[Key]int{{"INBOX", 2}: 1}},
		"EXISTS":   {ExistsLie: 1},
		"refused":  {NoBody: map[Key]int{{"INBOX", 2}: 1}},
		"ends":     {CloseAfter: 900, CloseTimes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := sample(t, ServerOptions{})
			a.server.SetFaults(f)
			if snap, err := SnapshotIMAP(t.Context(), login(a)); err == nil {
				t.Errorf("%d messages and no error", snap.Count())
			}
			a.server.SetFaults(Faults{})
			if _, err := SnapshotIMAP(t.Context(), login(a)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Account)
		want   []string // beginnings
	}{
		{"nothing", func(*Account) {}, nil},
		{"flag", func(a *Account) { a.SetFlags("INBOX", 1, `\Seen`) }, []string{"INBOX: 1 more on the left", "INBOX: 1 more on the right"}},
		{"case of a keyword", func(a *Account) { a.SetFlags("INBOX", 1, `\Seen`, "Todo") }, []string{"INBOX: 1 more", "INBOX: 1 more"}},
		{"order of flags and \\Recent", func(a *Account) { a.SetFlags("INBOX", 1, `\Recent`, "todo", `\Seen`) }, nil},
		{"lost", func(a *Account) { a.Expunge("INBOX", 1) }, []string{"INBOX: 1 more on the left"}},
		{"doubled", func(a *Account) { a.AddMessage("INBOX", a.Messages("INBOX")[1]); copyFirst(a) }, []string{"INBOX: 1 more on the right"}},
		{"date by a second", func(a *Account) { redate(a, time.Second) }, []string{"INBOX: 1 more", "INBOX: 1 more"}},
		{"zone", func(a *Account) { rezone(a) }, nil},
		{"octets", func(a *Account) {
			m := a.Messages("INBOX")[0]
			m.Octets = append(m.Octets, 'x')
			a.AddMessage("INBOX", m)
		}, []string{"INBOX: 1 more", "INBOX: 1 more"}},
		{"UIDs and UIDVALIDITY", func(a *Account) { a.SetUIDValidity("INBOX", 5, 100) }, nil},
		{"role", func(a *Account) { a.AddMailbox(Mailbox{Name: "Sent", Subscribed: true}) }, []string{`Sent: role "\\Sent", right ""`}},
		{"subscription", func(a *Account) { a.AddMailbox(Mailbox{Name: "Sent", Role: `\Sent`}) }, []string{"Sent: subscribed true, right false"}},
		{"mailbox gone", func(a *Account) { a.RemoveMailbox("Sent") }, []string{"Sent: only on the left, with 1 messages"}},
		{"empty mailbox gone", func(a *Account) { a.RemoveMailbox("仕事") }, []string{"仕事: only on the left"}},
		{"empty mailbox more", func(a *Account) { a.AddMailbox(Mailbox{Name: "x/y"}) }, []string{"x / y: only on the right"}},
		{"level gone", func(a *Account) { a.RemoveMailbox("a/b") }, nil},
		{"level opened", func(a *Account) { a.AddMailbox(Mailbox{Name: "a/b"}) }, nil},
		{"level filled", func(a *Account) { a.AddMailbox(Mailbox{Name: "a/b"}); a.AddMessage("a/b", Message{}) }, []string{"a / b: only on the right"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			left, right := sample(t, ServerOptions{}), sample(t, ServerOptions{})
			c.change(right)
			got := Diff(left.Snapshot(), right.Snapshot())
			ok := len(got) == len(c.want)
			for i := range min(len(got), len(c.want)) {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if back := Diff(right.Snapshot(), left.Snapshot()); len(back) != len(got) {
				t.Errorf("the other way round: %q", back)
			}
		})
	}
	slash, dot := sample(t, ServerOptions{}), sample(t, ServerOptions{Prefix: "INBOX.", Delim: "."})
	if diffs := Diff(slash.Snapshot(), dot.Snapshot()); diffs != nil {
		t.Errorf("delimiter and prefix: %q", diffs)
	}
}

func copyFirst(a *Account) {
	m := a.Messages("INBOX")[0]
	m.UID = 0
	a.AddMessage("INBOX", m)
}

func redate(a *Account, by time.Duration) {
	m := a.Messages("INBOX")[0]
	m.InternalDate = m.InternalDate.Add(by)
	a.AddMessage("INBOX", m)
}

func rezone(a *Account) {
	m := a.Messages("INBOX")[0]
	m.InternalDate = m.InternalDate.UTC()
	a.AddMessage("INBOX", m)
}

// TestServerAgainstPlainClient checks with go-imap alone what the faults and the record promise.
func TestServerAgainstPlainClient(t *testing.T) {
	a := sample(t, ServerOptions{Users: map[string]string{"user": "pw", "other": "pw2"}})
	s := a.server
	cl, err := imapclient.DialInsecure(s.Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cl.Close() }()
	if err := cl.Login("user", "wrong").Wait(); err == nil {
		t.Error("a wrong password was taken")
	}
	if err := cl.Login("user", "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	s.SetFaults(Faults{Refuse: map[string]int{"STATUS": 1}})
	for i, want := range []bool{false, true} {
		if _, err := cl.Status("Sent", &imap.StatusOptions{NumMessages: true}).Wait(); (err == nil) != want {
			t.Errorf("STATUS %d: %v", i, err)
		}
	}
	if _, err := cl.Select("a/b", nil).Wait(); err == nil {
		t.Error("a level without mail was selected")
	}
	if err := cl.Create("x/y/z", nil).Wait(); err != nil {
		t.Error(err)
	}
	if m := a.Snapshot().Mailbox("x/y"); m == nil || !m.NoSelect {
		t.Errorf("the parent is %+v", m)
	}
	if s.Account("other").Snapshot().Count() != 0 {
		t.Error("accounts are mixed up")
	}
	var names []string
	for _, c := range s.Commands() {
		names = append(names, c.Name)
		if strings.Contains(c.Line, "pw") || strings.Contains(c.Line, "wrong") {
			t.Errorf("a password is in the record: %q", c.Line)
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "CAPABILITY" })
	if want := []string{"LOGIN", "LOGIN", "STATUS", "STATUS", "SELECT", "CREATE"}; !slices.Equal(names, want) {
		t.Errorf("record %v", names)
	}
}

func trust(t *testing.T, pem []byte) *tls.Config {
	t.Helper()
	cfg, err := Trust(pem)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
