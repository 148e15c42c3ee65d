package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// start runs an in-memory server for one test.
func start(t *testing.T, o imaptest.ServerOptions) *imaptest.Server {
	t.Helper()
	s, err := imaptest.NewServer(o)
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

// options reach the given server in the given way.
func options(t *testing.T, mode session.TLSMode, addr string, ca []byte) session.Options {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return session.Options{
		Host: host, Port: n, TLS: mode, RootCAs: file, User: "user", Password: password("pw"),
		Program: "mailark test",
	}
}

func password(word string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return word, nil }
}

func plain(t *testing.T, s *imaptest.Server) session.Options {
	return options(t, session.TLSNone, s.Addr, s.CAPEM)
}

func source(t *testing.T, o session.Options) *session.Source {
	t.Helper()
	src, err := session.DialSource(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func target(t *testing.T, o session.Options) *session.Target {
	t.Helper()
	dst, err := session.DialTarget(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dst.Close() })
	return dst
}

// oddOctets is a message that any careless hand would change.
func oddOctets(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Subject: message %d\r\n\r\nT1 OK not an answer\r\n* 1 EXPUNGE\r\nbare\nand\rand \x00 \xff {3}\r\n", n)
	for range n % 40 {
		b.WriteString("* ID (\"name\" \"trap\")\r\n* BYE trap {99}\r\nM1 OK trap\r\n")
	}
	if n%2 == 0 {
		b.WriteString("no line end")
	}
	return b.Bytes()
}

// fill puts n odd messages into a mailbox.
func fill(a *imaptest.Account, name string, n int) {
	zone := time.FixedZone("", 9*3600)
	for i := range n {
		a.AddMessage(name, imaptest.Message{
			Octets: oddOctets(i), InternalDate: time.Date(2001, 2, 1+i%28, 3, 4, 5, 0, zone),
			Flags: [][]string{nil, {`\Seen`}, {"Projekt", `\Flagged`, "todo"}}[i%3],
		})
	}
}

// bodies fetches everything that FetchMeta names and checks that nothing comes twice.
func bodies(t *testing.T, src *session.Source) (map[uint32][]byte, error) {
	t.Helper()
	uids, sizes := metas(t, src)
	got := map[uint32][]byte{}
	err := src.FetchBodies(t.Context(), uids, sizes, collect(t, got))
	return got, err
}

func metas(t *testing.T, src *session.Source) (uids []uint32, sizes []int64) {
	t.Helper()
	err := src.FetchMeta(t.Context(), 1, func(m session.Meta) error {
		uids, sizes = append(uids, m.UID), append(sizes, m.Size)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return uids, sizes
}

func collect(t *testing.T, into map[uint32][]byte) func(uint32, int64, io.Reader) error {
	return func(uid uint32, size int64, r io.Reader) error {
		octets, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if int64(len(octets)) != size {
			t.Errorf("UID %d: %d octets announced, %d came with no error", uid, size, len(octets))
		}
		if _, twice := into[uid]; twice {
			t.Errorf("UID %d came twice", uid)
		}
		into[uid] = octets
		return nil
	}
}

func TestCopyAccount(t *testing.T) {
	servers := map[string]struct {
		options imaptest.ServerOptions
		mode    session.TLSMode
	}{
		"plain":                  {imaptest.ServerOptions{}, session.TLSNone},
		"implicit TLS":           {imaptest.ServerOptions{}, session.TLSImplicit},
		"STARTTLS":               {imaptest.ServerOptions{RequireTLS: true}, session.TLSStartTLS},
		"no extensions":          {imaptest.ServerOptions{NoUIDPlus: true, NoLiteralPlus: true, NoListExtended: true, NoSpecialUse: true, NoNamespace: true, NoID: true}, session.TLSNone},
		"INBOX. and dot":         {imaptest.ServerOptions{Prefix: "INBOX.", Delim: "."}, session.TLSNone},
		"backslash as delimiter": {imaptest.ServerOptions{Delim: `\`}, session.TLSNone},
		"no hierarchy":           {imaptest.ServerOptions{NIL: true}, session.TLSNone},
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			from, to := start(t, server.options), start(t, server.options)
			account := from.Account("user")
			p := server.options.Prefix
			fill(account, "INBOX", 60)
			account.AddMailbox(imaptest.Mailbox{Name: p + "Gesendet & so", Role: `\Sent`, Subscribed: true})
			fill(account, p+"Gesendet & so", 7)
			account.AddMailbox(imaptest.Mailbox{Name: p + "お知らせ", Subscribed: true})
			fill(account, p+"お知らせ", 3)
			account.AddMailbox(imaptest.Mailbox{Name: p + `a "quoted" [name] 100% *`})
			copyAccount(t, source(t, modeOptions(t, server.mode, from)), target(t, modeOptions(t, server.mode, to)))
			want, got := account.Snapshot(), to.Account("user").Snapshot()
			if server.options.NoSpecialUse {
				for i := range want.Mailboxes {
					want.Mailboxes[i].Role = ""
				}
			}
			for _, d := range imaptest.Diff(want, got) {
				t.Error(d)
			}
		})
	}
}

func modeOptions(t *testing.T, mode session.TLSMode, s *imaptest.Server) session.Options {
	if mode == session.TLSImplicit {
		return options(t, mode, s.TLSAddr, s.CAPEM)
	}
	return options(t, mode, s.Addr, s.CAPEM)
}

// copyAccount is an exporter and an importer in their simplest form.
func copyAccount(t *testing.T, src *session.Source, dst *session.Target) {
	t.Helper()
	mailboxes, err := src.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mailboxes {
		if !m.Selectable() {
			continue
		}
		to := renamed(m.Name, src, dst)
		if err := dst.Create(t.Context(), to, role(m)); err != nil {
			t.Fatal(err)
		}
		if m.Subscribed {
			if err := dst.Subscribe(t.Context(), to); err != nil {
				t.Fatal(err)
			}
		}
		copyMailbox(t, src, dst, m.Name, to)
	}
}

// renamed gives a mailbox the target's prefix and delimiter.
func renamed(name string, src *session.Source, dst *session.Target) string {
	if name == "INBOX" {
		return name
	}
	name = strings.TrimPrefix(name, src.Prefix())
	if src.Delim() != "" {
		name = strings.ReplaceAll(name, src.Delim(), dst.Delim())
	}
	return dst.Prefix() + name
}

func role(m session.Mailbox) string {
	for _, a := range m.Attrs {
		if slices.Contains([]string{`\Sent`, `\Drafts`, `\Trash`, `\Archive`}, a) {
			return a
		}
	}
	return ""
}

func copyMailbox(t *testing.T, src *session.Source, dst *session.Target, name, to string) {
	t.Helper()
	if _, err := src.Examine(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	meta := map[uint32]session.Meta{}
	err := src.FetchMeta(t.Context(), 1, func(m session.Meta) error {
		meta[m.UID] = m
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bodies(t, src)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(meta) {
		t.Errorf("%s: %d listed, %d came", name, len(meta), len(got))
	}
	var pending []*session.Pending
	for uid, octets := range got {
		m := meta[uid]
		p, err := dst.Append(t.Context(), to, m.Flags, m.InternalDate, int64(len(octets)), bytes.NewReader(octets))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	slices.Reverse(pending) // Waits in any order
	for _, p := range pending {
		res, err := p.Wait(t.Context())
		if err != nil {
			t.Error(err)
		}
		if dst.UIDPlus() && res.UID == 0 {
			t.Errorf("UIDPLUS %v, yet the answer is %v", dst.UIDPlus(), res)
		}
	}
}

// canceled is a context that has ended.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }
