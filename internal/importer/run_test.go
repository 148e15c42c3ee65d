package importer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/session"
	"mailark/internal/spool"
)

func TestImport(t *testing.T) {
	inbox := mails("in", 70)
	work := mails("work", 3)
	sent := mails("sent", 5)
	dir := newArchive(t,
		boxSpec{path: []string{"INBOX"}, subscribed: true, msgs: inbox},
		boxSpec{path: []string{"Work"}, attrs: []string{`\Noselect`}},
		boxSpec{path: []string{"Work", "仕事.2016"}, subscribed: true, msgs: work},
		boxSpec{path: []string{"Sent Items"}, attrs: []string{`\Sent`}, msgs: sent},
		boxSpec{path: []string{"Sent Items", "Old"}, msgs: work},
		boxSpec{path: []string{"Drafts"}, attrs: []string{`\Drafts`}},
	)
	s := newServer(t, imaptest.ServerOptions{Delim: "."})
	s.Account("user").AddMailbox(imaptest.Mailbox{Name: "Gesendet", Role: `\Sent`})
	opts := options(t, dir, s)

	sum := runWant(t, opts, "81=0+81+0+0+0+0", 0)
	wantMail(t, s, "INBOX", inbox)
	wantMail(t, s, "Work.仕事_2016", work)
	wantMail(t, s, "Gesendet", sent)
	wantMail(t, s, "Gesendet.Old", work)
	snap := s.Account("user").Snapshot()
	for _, m := range snap.Mailboxes {
		if m.Subscribed != (m.Name == "INBOX" || m.Name == "Work.仕事_2016") {
			t.Errorf("%q subscribed: %v", m.Name, m.Subscribed)
		}
	}
	if m := snap.Mailbox("Drafts"); m == nil || m.Role != `\Drafts` {
		t.Errorf("Drafts: %+v", m)
	}
	if len(sum.Notes) != 1 || !strings.Contains(sum.Notes[0], "仕事_2016") {
		t.Errorf("notes: %q", sum.Notes)
	}

	s.ForgetCommands()
	runWant(t, opts, "81=81+0+0+0+0+0", 0)
	if appends(s) != 0 || fetches(s) != 0 {
		t.Errorf("second import: %d APPENDs, %d FETCHes", appends(s), fetches(s))
	}
	for _, c := range s.Commands() {
		if c.Name == "CREATE" || c.Name == "SUBSCRIBE" {
			t.Errorf("second import: %s", c.Line)
		}
	}
}

// TestLedgerLost: everything is recognised by its octets, nothing uploaded.
func TestLedgerLost(t *testing.T) {
	msgs := mails("m", 60)
	same := msgSpec{octets: mail("same", "text"), date: day(100)}
	msgs = append(msgs, same, same, msgSpec{octets: same.octets, date: day(101)})
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	runWant(t, opts, "63=0+63+0+0+0+0", 0)
	must(t, os.Remove(ledgerFile(t, dir)))
	s.ForgetCommands()
	runWant(t, opts, "63=0+0+63+0+0+0", 0)
	if appends(s) != 0 {
		t.Errorf("%d APPENDs", appends(s))
	}
	s.ForgetCommands()
	runWant(t, opts, "63=63+0+0+0+0+0", 0)
	if fetches(s) != 0 {
		t.Errorf("%d FETCHes", fetches(s))
	}
	wantMail(t, s, "INBOX", msgs)
}

// TestAdoptPart: an earlier tool has put some of the mail there, beside other mail that looks alike.
func TestAdoptPart(t *testing.T) {
	msgs := mails("m", 20)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	acc := s.Account("user")
	for i := 0; i < len(msgs); i += 2 {
		acc.AddMessage("INBOX", imaptest.Message{Octets: []byte(msgs[i].octets), InternalDate: msgs[i].date})
	}
	// Same Message-ID, date and size as the second message, other octets.
	alike := strings.Replace(msgs[1].octets, "Subject: m", "Subject: M", 1)
	acc.AddMessage("INBOX", imaptest.Message{Octets: []byte(alike), InternalDate: msgs[1].date})
	acc.AddMessage("INBOX", imaptest.Message{Octets: []byte(strings.Repeat("x", 5000))})
	runWant(t, options(t, dir, s), "20=0+10+10+0+0+0", 0)
	want := append([]msgSpec{{octets: alike, date: msgs[1].date}}, msgs...)
	got := acc.Messages("INBOX")
	want = append(want, msgSpec{octets: strings.Repeat("x", 5000), date: got[11].InternalDate})
	sameMail(t, s, "INBOX", want)
}

// TestAdoptAltered: the target has made CRLF of LF and 0x80 of NUL, and has added a newline.
func TestAdoptAltered(t *testing.T) {
	msgs := []msgSpec{
		{octets: "Subject: lf\n\nbare\nnewlines\n", date: day(1)},
		{octets: "Subject: nul\r\n\r\na\x00b\r\n", date: day(2)},
		{octets: "Subject: end\r\n\r\nno newline", date: day(3)},
		{octets: "Subject: cr\r\n\r\na\rb\r\n", date: day(4)},
		{octets: "Subject: fine\r\n\r\nlf\r\n", date: day(5)},
	}
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	for _, octets := range []string{
		"Subject: lf\r\n\r\nbare\r\nnewlines\r\n", "Subject: nul\r\n\r\na\x80b\r\n",
		"Subject: end\r\n\r\nno newline\r\n", "Subject: cr\r\n\r\nab\r\n",
		"Subject: fine\r\n\r\nLF\r\n",
	} {
		s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: []byte(octets)})
	}
	if sum := runWant(t, options(t, dir, s), "5=0+1+4+0+0+0", 0); sum.Total().Altered != 4 {
		t.Errorf("%d altered", sum.Total().Altered)
	}
}

func TestCopies(t *testing.T) {
	a := msgSpec{octets: mail("a", "one"), date: day(1)}
	b := msgSpec{octets: mail("a", "two"), date: day(1)} // same Message-ID
	c := msgSpec{octets: a.octets, date: day(2)}
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: []msgSpec{a, b, a, c, b}})
	for _, o := range []imaptest.ServerOptions{{}, {NoUIDPlus: true}} {
		s := newServer(t, o)
		s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: []byte(a.octets), InternalDate: c.date})
		runWant(t, options(t, dir, s), "5=0+4+1+0+0+0", 0)
		sameMail(t, s, "INBOX", []msgSpec{a, b, a, c, b})
		runWant(t, options(t, dir, s), "5=5+0+0+0+0+0", 0)
	}
}

// TestEpoch: a new UIDVALIDITY at the source gives the same mail new UIDs and uploads nothing but
// what is new.
func TestEpoch(t *testing.T) {
	msgs := mails("m", 10)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, validity: 1, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	runWant(t, options(t, dir, s), "10=0+10+0+0+0+0", 0)
	moved := append([]msgSpec{{octets: mail("new", "x"), date: day(50)}}, msgs[3:]...)
	exportAgain(t, dir, boxSpec{path: []string{"INBOX"}, validity: 2, msgs: moved})
	sum := runWant(t, options(t, dir, s), "8=7+1+0+0+0+0", 0)
	if !strings.Contains(strings.Join(sum.Notes, "\n"), "3 messages had left the old server") {
		t.Errorf("notes %q", sum.Notes)
	}
	sameMail(t, s, "INBOX", append(moved[:1:1], msgs...))
	// With what is gone there are eleven, all of them there.
	opts := options(t, dir, s)
	opts.IncludeGone = true
	runWant(t, opts, "11=11+0+0+0+0+0", 0)
}

// TestTargetRenumbered: the target lost its index; UIDs in the ledger mean nothing any more.
func TestTargetRenumbered(t *testing.T) {
	msgs := mails("m", 10)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs[:6]})
	s := newServer(t, imaptest.ServerOptions{})
	runWant(t, options(t, dir, s), "6=0+6+0+0+0+0", 0)
	s.Account("user").SetUIDValidity("INBOX", 99, 100)
	exportAgain(t, dir, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	// One of the new ones is there already; the old ones must not be taken for it.
	s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: []byte(msgs[7].octets), InternalDate: msgs[7].date})
	runWant(t, options(t, dir, s), "10=6+3+1+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}

func TestReadOnlyArchive(t *testing.T) {
	msgs := mails("m", 3)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	opts.Ledger = filepath.Join(t.TempDir(), "deep", "ledger.jsonl")
	before := tree(t, dir)
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
		if d.IsDir() {
			return os.Chmod(path, 0o500)
		}
		return os.Chmod(path, 0o400)
	}))
	runWant(t, opts, "3=0+3+0+0+0+0", 0)
	runWant(t, opts, "3=3+0+0+0+0+0", 0)
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	}))
	if after := tree(t, dir); after != before {
		t.Errorf("archive was:\n%s\nis:\n%s", before, after)
	}
}

func tree(t *testing.T, dir string) string {
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		if !d.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return nil
	}))
	return b.String()
}

func TestGlobs(t *testing.T) {
	dir := newArchive(t,
		boxSpec{path: []string{"INBOX"}, msgs: mails("a", 1)},
		boxSpec{path: []string{"Work", "2016"}, msgs: mails("b", 2)},
		boxSpec{path: []string{"Junk"}, msgs: mails("c", 4)},
	)
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	opts.Include = []string{"Nope*"}
	if _, err := Run(t.Context(), opts); !errors.Is(err, ErrUsage) || ExitCode(err) != 64 {
		t.Errorf("unused glob: %v", err)
	}
	if s.Connections() != 0 {
		t.Errorf("%d connections", s.Connections())
	}
	opts.Include, opts.Exclude = []string{"inbox", "W*"}, []string{"Junk"}
	runWant(t, opts, "3=0+3+0+0+0+0", 0)
	if s.Account("user").Snapshot().Mailbox("Junk") != nil {
		t.Error("Junk was created")
	}
}

func TestDryRun(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"Work"}, subscribed: true, msgs: mails("b", 2)})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	opts.DryRun = true
	sum := runWant(t, opts, "2=0+0+0+0+0+2", 0)
	var b strings.Builder
	must(t, sum.Print(&b))
	if !strings.Contains(b.String(), "Work (new)") || !strings.Contains(b.String(), "2 messages would be uploaded") {
		t.Errorf("printed:\n%s", &b)
	}
	for _, c := range s.Commands() {
		if c.Name == "CREATE" || c.Name == "APPEND" || c.Name == "SUBSCRIBE" || c.Name == "SELECT" {
			t.Errorf("dry run: %s", c.Line)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "imports")); err == nil {
		t.Error("dry run made imports/")
	}
}

func TestCreateRefused(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("a", 1)}, boxSpec{path: []string{"Bad"}, msgs: mails("b", 2)})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Refuse: map[string]int{"CREATE": imaptest.Always}})
	sum := runWant(t, options(t, dir, s), "3=0+1+0+0+0+2", 3)
	if sum.Mailboxes[1].Reason == "" || sum.Mailboxes[1].Left != 2 {
		t.Errorf("%+v", sum.Mailboxes[1])
	}
	wantMail(t, s, "INBOX", mails("a", 1))
	s.SetFaults(imaptest.Faults{})
	runWant(t, options(t, dir, s), "3=1+2+0+0+0+0", 0)
	wantMail(t, s, "Bad", mails("b", 2))
}

func TestPrefix(t *testing.T) {
	dir := newArchive(t,
		boxSpec{path: []string{"INBOX"}, msgs: mails("a", 1)},
		boxSpec{path: []string{"INBOX", "Sub"}, msgs: mails("b", 1)},
		boxSpec{path: []string{"Work"}, msgs: mails("c", 1)},
		boxSpec{path: []string{"Sub"}, msgs: mails("d", 1)},
	)
	s := newServer(t, imaptest.ServerOptions{Delim: ".", Prefix: "INBOX."})
	runWant(t, options(t, dir, s), "4=0+4+0+0+0+0", 0)
	wantMail(t, s, "INBOX.Sub", mails("d", 1))
	wantMail(t, s, "INBOX.Sub (2)", mails("b", 1))
	wantMail(t, s, "INBOX.Work", mails("c", 1))
	// The names stay, whatever else comes to the archive.
	exportAgain(t, dir, boxSpec{path: []string{"Sub"}, msgs: mails("d", 2)})
	runWant(t, options(t, dir, s), "5=4+1+0+0+0+0", 0)
	wantMail(t, s, "INBOX.Sub", mails("d", 2))
}

func TestKeywords(t *testing.T) {
	msgs := []msgSpec{
		{octets: mail("a", "x"), date: day(1), flags: []string{`\Seen`, "$Junk", `\Odd`, "b{ad"}},
		{octets: mail("b", "x"), flags: []string{"$Junk"}},
	}
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	refusals := 0
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if strings.Contains(a.Line, "$Junk") {
			refusals++
			return imaptest.AppendRefuse
		}
		return imaptest.AppendOK
	}})
	sum := runWant(t, options(t, dir, s), "2=0+2+0+0+0+0", 0)
	r := sum.Mailboxes[0]
	if r.KeywordsDropped["$Junk"] != 2 || r.FlagsDropped[`\Odd`] != 1 || r.FlagsDropped["b{ad"] != 1 || refusals != 2 {
		t.Errorf("dropped %v %v after %d refusals", r.KeywordsDropped, r.FlagsDropped, refusals)
	}
	for _, m := range s.Account("user").Messages("INBOX") {
		if len(m.Flags) > 1 || len(m.Flags) == 1 && m.Flags[0] != `\Seen` {
			t.Errorf("flags %q", m.Flags)
		}
	}
}

// TestDamagedMessage: what the archive cannot give is named, everything else is uploaded.
func TestDamagedMessage(t *testing.T) {
	msgs := mails("m", 5)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range msgs {
		noise := make([]byte, 20_000) // does not compress, so that the damage below is in the mail
		for j := range noise {
			noise[j] = byte(rnd.Uint32())
		}
		msgs[i].octets = mail("m", hex.EncodeToString(noise))
	}
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs[:3]})
	exportAgain(t, dir, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	r, err := archive.Open(dir, nil)
	must(t, err)
	defer func() { _ = r.Close() }()
	place := r.Current(1)[2].Place
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	must(t, err)
	must(t, os.Chmod(segments[0], 0o600))
	data, err := os.ReadFile(segments[0])
	must(t, err)
	for i := range 40 {
		data[place.Frame+5000+int64(i)] ^= 0xff
	}
	must(t, os.WriteFile(segments[0], data, 0o600))
	var good []msgSpec
	for i, msg := range r.Current(1) {
		if r.Load(t.Context(), msg, spool.New(t.TempDir())) == nil {
			good = append(good, msgs[i])
		}
	}
	if len(good) == 0 || len(good) == len(msgs) {
		t.Fatalf("%d of %d messages are hurt", len(msgs)-len(good), len(msgs))
	}

	s := newServer(t, imaptest.ServerOptions{})
	bad := len(msgs) - len(good)
	sum := runWant(t, options(t, dir, s), fmt.Sprintf("5=0+%d+0+0+%d+0", len(good), bad), 3)
	if len(sum.Problems) != bad || sum.Problems[0].Kind != "damaged" || sum.Problems[0].Text == "" {
		t.Errorf("problems %v", sum.Problems)
	}
	wantMail(t, s, "INBOX", good)
}

func TestSourceState(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("m", 1)})
	w, err := archive.OpenWriter(dir, nil)
	must(t, err)
	must(t, w.BeginRun(archive.Source{}))
	must(t, w.Commit())
	must(t, w.Close())
	s := newServer(t, imaptest.ServerOptions{})
	sum := runWant(t, options(t, dir, s), "1=0+1+0+0+0+0", 0)
	if !strings.Contains(sum.Source, "never ended") || !strings.HasPrefix(sum.verdict(), "Complete as far as the archive goes") {
		t.Errorf("source: %q", sum.Source)
	}
}

func TestErrors(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("m", 1)})
	s := newServer(t, imaptest.ServerOptions{})
	tests := []struct {
		name   string
		change func(*Options)
		exit   int
	}{
		{"no archive", func(o *Options) { o.Archive = t.TempDir() }, 10},
		{"password", func(o *Options) {
			o.Target.Password = func(context.Context) (string, error) { return "no", nil }
		}, 16},
		{"TLS", func(o *Options) { o.Target.TLS, o.Target.Host = session.TLSNone, "192.0.2.1" }, 15},
		{"connect", func(o *Options) { o.Target.Port = 1 }, 14},
	}
	for _, tt := range tests {
		opts := options(t, dir, s)
		tt.change(&opts)
		sum, err := Run(t.Context(), opts)
		if err == nil || sum == nil || sum.ExitCode() != tt.exit {
			t.Errorf("%s: %v, exit %d, want %d", tt.name, err, sum.ExitCode(), tt.exit)
		}
	}
}

func TestCancel(t *testing.T) {
	msgs := mails("m", 200)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Delay: time.Millisecond})
	opts := options(t, dir, s)
	ctx, cancel := context.WithCancel(t.Context())
	opts.Progress = func(p Progress) {
		if p.Messages == 50 {
			cancel()
		}
	}
	sum, err := Run(ctx, opts)
	if !errors.Is(err, context.Canceled) || sum.ExitCode() != 130 {
		t.Fatalf("%v, exit %d", err, sum.ExitCode())
	}
	total := sum.Total()
	if total.Uploaded < 50 || total.Left == 0 || total.InDoubt != 0 {
		t.Errorf("after cancel: %s, %d in doubt", numbers(total), total.InDoubt)
	}
	if got := len(s.Account("user").Messages("INBOX")); got != total.Uploaded {
		t.Errorf("server has %d, summary says %d", got, total.Uploaded)
	}
	runWant(t, options(t, dir, s), numbers(MailboxResult{Wanted: 200, Before: total.Uploaded, Uploaded: total.Left}), 0)
	wantMail(t, s, "INBOX", msgs)
}
