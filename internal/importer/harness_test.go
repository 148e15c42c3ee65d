package importer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/session"
	"mailark/internal/spool"
)

// boxSpec is a mailbox of an archive to be made for a test.
type boxSpec struct {
	path       []string
	attrs      []string
	subscribed bool
	validity   uint32
	msgs       []msgSpec
}

type msgSpec struct {
	octets string
	date   time.Time
	flags  []string
}

// day is a date n days after a fixed one, in a zone that is not UTC.
func day(n int) time.Time {
	return time.Date(2016, 3, 1, 9, 30, 0, 0, time.FixedZone("", 9*3600)).AddDate(0, 0, n)
}

// mail is an ordinary message.
func mail(subject, text string) string {
	return fmt.Sprintf("From: a@example.org\r\nMessage-ID: <%s@example.org>\r\nSubject: %s\r\n\r\n%s\r\n",
		subject, subject, strings.ReplaceAll(text, "\n", "\r\n"))
}

// mails is n different messages.
func mails(prefix string, n int) []msgSpec {
	list := make([]msgSpec, n)
	for i := range list {
		name := fmt.Sprintf("%s-%d", prefix, i)
		list[i] = msgSpec{
			octets: mail(name, strings.Repeat(name+"\n", 1+i%7)),
			date:   day(i), flags: [][]string{nil, {`\Seen`}, {`\Seen`, "$Forwarded"}}[i%3],
		}
	}
	return list
}

// newArchive makes an archive and returns its directory.
func newArchive(t *testing.T, boxes ...boxSpec) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "old-mail")
	w, err := archive.Create(dir, archive.Source{Host: "old.example.org", User: "u"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	export(t, w, boxes)
	return dir
}

// exportAgain adds another run to an archive.
func exportAgain(t *testing.T, dir string, boxes ...boxSpec) {
	t.Helper()
	w, err := archive.OpenWriter(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	export(t, w, boxes)
}

func export(t *testing.T, w *archive.Writer, boxes []boxSpec) {
	t.Helper()
	must(t, w.BeginRun(archive.Source{Host: "old.example.org", User: "u"}))
	for _, spec := range boxes {
		mbox, err := w.SetMailbox(archive.MailboxInfo{
			Path: spec.path, Raw: strings.Join(spec.path, "/"), Delim: "/",
			Attrs: spec.attrs, Subscribed: spec.subscribed,
		})
		must(t, err)
		if spec.validity == 0 {
			spec.validity = 7
		}
		ep, err := w.OpenEpoch(mbox.ID, spec.validity)
		must(t, err)
		for i, m := range spec.msgs {
			sp := spool.New(t.TempDir())
			_, err := sp.Write([]byte(m.octets))
			must(t, err)
			key := archive.Key{Mailbox: mbox.ID, Epoch: ep.N, UID: uint32(i + 1)}
			if w.Message(key) == nil {
				_, err = w.Add(t.Context(), key, m.date, m.flags, sp)
				must(t, err)
			}
		}
		must(t, w.SetState(archive.Key{Mailbox: mbox.ID, Epoch: ep.N}, archive.State{Exists: uint32(len(spec.msgs))}))
	}
	must(t, w.EndRun(0, "complete"))
	must(t, w.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newServer starts a server to import to.
func newServer(t *testing.T, o imaptest.ServerOptions) *imaptest.Server {
	t.Helper()
	s, err := imaptest.NewServer(o)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// options are the options of an import that never sleeps.
func options(t *testing.T, dir string, s *imaptest.Server) Options {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	must(t, err)
	n, err := strconv.Atoi(port)
	must(t, err)
	out := io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	return Options{
		Archive: dir,
		Target: session.Options{
			Host: host, Port: n, TLS: session.TLSNone, User: "user", Timeout: 5 * time.Second,
			Password: func(context.Context) (string, error) { return "pw", nil },
		},
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Log:   slog.New(slog.NewTextHandler(out, nil)),
	}
}

// numbers is one mailbox's result in short: before+uploaded+adopted+refused+damaged+left.
func numbers(r MailboxResult) string {
	return fmt.Sprintf("%d=%d+%d+%d+%d+%d+%d",
		r.Wanted, r.Before, r.Uploaded, r.Adopted, r.Refused, r.Damaged, r.Left)
}

// runWant imports and compares total numbers and exit code.
func runWant(t *testing.T, opts Options, want string, exit int) *Summary {
	t.Helper()
	sum, err := Run(t.Context(), opts)
	if got := numbers(sum.Total()); got != want || sum.ExitCode() != exit {
		var b strings.Builder
		_ = sum.Print(&b)
		t.Fatalf("import: %s exit %d (%v), want %s exit %d\n%s", got, sum.ExitCode(), err, want, exit, &b)
	}
	return sum
}

// wantMail compares what the server has in a mailbox with what was to be uploaded: octets, dates and
// flags, in this order.
func wantMail(t *testing.T, s *imaptest.Server, mailbox string, want []msgSpec) {
	t.Helper()
	got := s.Account("user").Messages(mailbox)
	if len(got) != len(want) {
		t.Errorf("%q has %d messages, want %d", mailbox, len(got), len(want))
		return
	}
	for i, w := range want {
		g := got[i]
		if string(g.Octets) != w.octets || !g.InternalDate.Equal(w.date) ||
			strings.Join(g.Flags, " ") != strings.Join(w.flags, " ") {
			t.Errorf("%q message %d: got %q %v %q, want %q %v %q", mailbox, i,
				g.Octets, g.InternalDate, g.Flags, w.octets, w.date, w.flags)
		}
	}
}

// sameMail compares octets and dates without order: nothing lost, nothing twice.
func sameMail(t *testing.T, s *imaptest.Server, mailbox string, want []msgSpec) {
	t.Helper()
	count := make(map[string]int)
	for _, w := range want {
		count[w.date.UTC().Format(time.RFC3339)+" "+w.octets]++
	}
	for _, g := range s.Account("user").Messages(mailbox) {
		count[g.InternalDate.UTC().Format(time.RFC3339)+" "+string(g.Octets)]--
	}
	for key, n := range count {
		if n != 0 {
			t.Errorf("%q: %d too few of %q", mailbox, n, key)
		}
	}
}

// appends counts the APPEND commands the server has seen.
func appends(s *imaptest.Server) (n int) {
	for _, c := range s.Commands() {
		if c.Name == "APPEND" {
			n++
		}
	}
	return n
}

// fetches counts the bodies asked for, in commands.
func fetches(s *imaptest.Server) (n int) {
	for _, c := range s.Commands() {
		if c.Name == "UID FETCH" && strings.Contains(c.Line, "BODY") {
			n++
		}
	}
	return n
}

// ledgerFile is the default ledger.
func ledgerFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "imports", "*.jsonl"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%d ledgers", len(files))
	}
	return files[0]
}
