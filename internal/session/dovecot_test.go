package session_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// dovecot starts a Dovecot for one test, or skips it.
func dovecot(t *testing.T, o imaptest.DovecotOptions) *imaptest.Dovecot {
	t.Helper()
	d, err := imaptest.StartDovecot(t.Context(), t.TempDir(), o)
	if errors.Is(err, imaptest.ErrNoDovecot) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func dovecotOptions(t *testing.T, mode session.TLSMode, d *imaptest.Dovecot, user string) session.Options {
	t.Helper()
	addr := d.Addr
	if mode == session.TLSImplicit {
		addr = d.TLSAddr
	}
	o := options(t, mode, addr, d.CAPEM)
	o.User = user
	return o
}

// neatMail is an account of which a real server alters nothing.
func neatMail(t *testing.T) (*imaptest.Server, *imaptest.Account) {
	t.Helper()
	s := start(t, imaptest.ServerOptions{})
	a := s.Account("user")
	names := []string{"INBOX", "Sent", "お知らせ/会議 & 資料", `a "quoted" name`}
	a.AddMailbox(imaptest.Mailbox{Name: "Sent", Role: `\Sent`, Subscribed: true})
	a.AddMailbox(imaptest.Mailbox{Name: "Empty", Subscribed: true})
	for i := range 300 {
		a.AddMessage(names[i%len(names)], imaptest.Message{
			Octets:       fmt.Appendf(nil, "Subject: %d\r\n\r\n%0*d\r\n", i, 1+i*i%90_000, i),
			InternalDate: time.Date(2001+i%20, 2, 1+i%28, 3, 4, i%60, 0, time.FixedZone("", 9*3600)),
			Flags:        [][]string{nil, {`\Seen`}, {"todo", `\Flagged`}, {"$Forwarded", `\Answered`, `\Draft`}}[i/4%4],
		})
	}
	return s, a
}

func TestDovecotRoundTrip(t *testing.T) {
	for name, c := range map[string]struct {
		mode   session.TLSMode
		server imaptest.DovecotOptions
	}{
		"plain":           {session.TLSNone, imaptest.DovecotOptions{}},
		"STARTTLS":        {session.TLSStartTLS, imaptest.DovecotOptions{}},
		"implicit TLS":    {session.TLSImplicit, imaptest.DovecotOptions{}},
		"bare capability": {session.TLSNone, imaptest.DovecotOptions{Extra: "imap_capability = IMAP4rev1 NAMESPACE"}},
		"synchronising":   {session.TLSImplicit, imaptest.DovecotOptions{Extra: "imap_capability = IMAP4rev1 NAMESPACE UIDPLUS LIST-EXTENDED"}},
		"LOGIN alone":     {session.TLSNone, imaptest.DovecotOptions{Extra: "auth_mechanisms = plain\nimap_capability = IMAP4rev1"}},
		"secure only":     {session.TLSStartTLS, imaptest.DovecotOptions{Extra: "disable_plaintext_auth = yes\nssl = required"}},
		"INBOX. and dot":  {session.TLSNone, imaptest.DovecotOptions{Separator: ".", Prefix: "INBOX."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := dovecot(t, c.server)
			server, account := neatMail(t)
			old, new := dovecotOptions(t, c.mode, d, "old"), dovecotOptions(t, c.mode, d, "new")
			copyAccount(t, source(t, plain(t, server)), target(t, old))
			copyAccount(t, source(t, old), target(t, new))
			left, right := snapshot(t, d, "old"), snapshot(t, d, "new")
			for _, diff := range imaptest.Diff(account.Snapshot(), left) {
				t.Errorf("first copy: %s", diff)
			}
			for _, diff := range imaptest.Diff(left, right) {
				t.Errorf("second copy: %s", diff)
			}
		})
	}
}

func snapshot(t *testing.T, d *imaptest.Dovecot, user string) imaptest.Snapshot {
	t.Helper()
	cfg, err := imaptest.Trust(d.CAPEM)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := imaptest.SnapshotIMAP(t.Context(), imaptest.Login{Addr: d.TLSAddr, TLS: cfg, User: user, Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	return snap
}
