package archive_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// fixture is an archive of format version 1, written when that version was published. It is never written again: whatever
// Mailark becomes, it reads these octets and finds in them what expected.txt says. What it holds is in fixtureAccount;
// MAILARK_FIXTURE=DIR makes one like it in DIR.
const fixture = "testdata/v1"

// TestFixture opens, verifies, reads and extracts the archive of version 1.
func TestFixture(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(fixture, "expected.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(fixture, "archive")
	before := tree(t, dir)
	compare(t, "fixture", strings.Split(describe(t, dir), "\n"), strings.Split(string(want), "\n"))
	res := verifyClean(t, dir)
	if res.Messages < 60 || len(res.Awaited) > 0 {
		t.Errorf("%d messages, %d awaited", res.Messages, len(res.Awaited))
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	out := filepath.Join(t.TempDir(), "out")
	extract, err := r.Extract(t.Context(), out, archive.ExtractOptions{IncludeGone: true})
	if err != nil || extract.Messages != res.Messages || len(extract.Damaged) > 0 {
		t.Errorf("extract: %+v, %v, want %d messages", extract, err, res.Messages)
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("reading the fixture has changed it")
	}
}

// TestFixtureGoesOn writes to a copy of the archive of version 1: nothing in it is written again, and all of it stays.
func TestFixtureGoesOn(t *testing.T) {
	dir := copyDir(t, filepath.Join(fixture, "archive"))
	old := tree(t, dir)
	was := strings.Split(describe(t, dir), "\n")
	more := mail{mailbox: "INBOX", uid: 900, date: time.Date(2031, 5, 6, 7, 8, 9, 0, zone(9)), body: []byte("Subject: later\r\n\r\nmail\r\n")}
	w, err := archive.OpenWriter(dir, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	inbox := w.Mailboxes()[0]
	epoch := w.Epoch(inbox.ID).N
	if err := errors.Join(w.BeginRun(archive.Source{Host: "h", User: "u"}), put(w, inbox.ID, epoch, more), w.EndRun(0, "later"), w.Close()); err != nil {
		t.Fatal(err)
	}
	for path, octets := range tree(t, dir) {
		changes := path == "SHA256SUMS" || !strings.HasPrefix(path, "segments/") && path != "catalog.jsonl.zst" && octets != old[path]
		if before, ok := old[path]; ok && !changes && !strings.HasPrefix(octets, before) {
			t.Errorf("%s was written again", path)
		}
	}
	verifyClean(t, dir)
	now := strings.Split(describe(t, dir), "\n")
	lost := 0
	for _, l := range was {
		if !slices.Contains(now, l) {
			lost++
			t.Errorf("lost: %s", l)
		}
	}
	if len(now) != len(was)+2 {
		t.Errorf("%d lines, want a message and a run more than %d", len(now), len(was))
	}
}

// TestFixtureRebuilds loses the catalog of the archive of version 1, and has it made anew.
func TestFixtureRebuilds(t *testing.T) {
	dir := copyDir(t, filepath.Join(fixture, "archive"))
	if err := os.Remove(filepath.Join(dir, "catalog.jsonl.zst")); err != nil {
		t.Fatal(err)
	}
	if res := rebuild(t, dir); res.Unknown != (archive.Unknown{}) || res.Damage != nil {
		t.Errorf("%+v", res)
	}
	verifyClean(t, dir)
	compare(t, "rebuilt", strings.Split(describe(t, dir), "\n"), strings.Split(describe(t, filepath.Join(fixture, "archive")), "\n"))
}

// TestFixtureWithoutUs reads the archive of version 1 with zstd and tar.
func TestFixtureWithoutUs(t *testing.T) {
	for _, program := range []string{"zstd", "tar"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no " + program)
		}
	}
	dir, err := filepath.Abs(filepath.Join(fixture, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	cmd := exec.Command("sh", "-c", `zstd -dc "$0"/segments/*.tar.zst | tar -x --ignore-zeros`, dir)
	cmd.Dir = out
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	have := make(map[string]bool)
	for _, l := range treeFiles(t, out) {
		have[l[strings.LastIndexByte(l, ' ')+1:]] = true
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, m := range r.Mailboxes() {
		for msg := range r.Messages(m.ID) {
			if !have[msg.Sum.String()] {
				t.Errorf("%s uid %d is not in the tree", m.Name(), msg.UID)
			}
		}
	}
}

// TestFixtureAccount makes an archive like the fixture with the present writer: it says the same.
func TestFixtureAccount(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	if keep := os.Getenv("MAILARK_FIXTURE"); keep != "" {
		dir = filepath.Join(keep, "archive")
	}
	fixtureAccount(t, dir)
	got := describe(t, dir)
	if keep := os.Getenv("MAILARK_FIXTURE"); keep != "" {
		if err := os.WriteFile(filepath.Join(keep, "expected.txt"), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(filepath.Join(fixture, "expected.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// The archive's id, which is random, stands in the file names.
	id := func(text string) string { return strings.Split(text, "\n")[0][len("archive "):][:8] }
	compare(t, "made again", strings.Split(strings.ReplaceAll(got, id(got), "ID"), "\n")[1:],
		strings.Split(strings.ReplaceAll(string(want), id(string(want)), "ID"), "\n")[1:])
}

// describe is everything that an archive says, a fact a line. The octets of every message are read.
func describe(t *testing.T, dir string) string {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	lines := []string{fmt.Sprintf("archive %s of %s at %s", r.Info().ID, r.Info().Source.User, r.Info().Source.Host)}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	sp := spool.New(t.TempDir())
	for _, m := range r.Mailboxes() {
		add("mailbox %d %q raw %q delim %q attrs %q role %q subscribed %t listed %t dir %q keywords %q",
			m.ID, m.Path, m.Raw, m.Delim, m.Attrs, m.Role(), m.Subscribed, m.Listed, m.Dir, m.Keywords)
		for _, e := range m.Epochs {
			add("mailbox %d epoch %d uidvalidity %d state %+v", m.ID, e.N, e.UIDValidity, e.State)
		}
		for msg := range r.Messages(m.ID) {
			if err := r.Load(t.Context(), msg, sp); err != nil {
				t.Errorf("load %q epoch %d uid %d: %v", m.Name(), msg.Epoch, msg.UID, err)
			}
			add("message %v sha256 %x size %d date %s flags %q link %t gone %t file %s", msg.Key, sp.Sum(), sp.Size(),
				msg.InternalDate.Format(time.RFC3339), msg.Flags, msg.Link, msg.Gone, r.File(msg))
		}
		var current []uint32
		for _, msg := range r.Current(m.ID) {
			current = append(current, msg.UID)
		}
		if m.ID != 1 {
			add("mailbox %d holds %d", m.ID, current)
		}
	}
	for _, refusal := range r.Refusals() {
		add("refused %+v", refusal)
	}
	for _, run := range r.Runs() {
		add("run %+v", run)
	}
	return strings.Join(lines, "\n")
}

// put adds one message to an epoch.
func put(w *archive.Writer, mailbox, epoch uint32, m mail) error {
	sp := spool.New(w.SpoolDir())
	if _, err := sp.Write(m.body); err != nil {
		return err
	}
	_, err := w.Add(context.Background(), archive.Key{Mailbox: mailbox, Epoch: epoch, UID: m.uid}, m.date, m.flags, sp)
	return err
}

// fixtureAccount archives an account that has everything the format has words for: copies, an epoch that takes files over, dates
// with zones, before 1970 and none, more keywords than letters, names that are no UTF-8, changed flags, mail that left and came
// back, a mailbox that left, a refused message, sealed segments and an open one, records of a later version, damage that
// was repaired, and what was fetched again after that.
func fixtureAccount(t *testing.T, dir string) {
	t.Helper()
	list := sample(60, 77)
	list[3].date = time.Date(1961, 2, 3, 4, 5, 6, 0, zone(-5))
	list[4].date = time.Time{}
	for i := range 30 {
		list[1].flags = append(list[1].flags, fmt.Sprintf("keyword-%02d", i))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := export(dir, nil, list[:40], 7)
	must(err)
	list[0].flags = []string{`\Answered`, "$Forwarded"}
	_, err = export(dir, nil, list[:45], 8) // another UIDVALIDITY: a new epoch takes the files over
	must(err)

	w, err := archive.OpenWriter(dir, options(nil))
	must(err)
	must(w.BeginRun(archive.Source{Host: "h", User: "u"}))
	sent, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"Sent"}, Raw: "Sent", Delim: "/", Attrs: []string{`\Sent`}})
	must(err)
	odd, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"odd\xff"}, Raw: "odd\xff", Delim: "."})
	must(err)
	for _, m := range []*archive.Mailbox{sent, odd} {
		e, err := w.OpenEpoch(m.ID, 99)
		must(err)
		for i, from := range list[10:14] {
			from.uid = uint32(i + 1)
			must(put(w, m.ID, e.N, from))
		}
		must(w.Refuse(archive.Key{Mailbox: m.ID, Epoch: e.N, UID: 9}, "NO [UNAVAILABLE] the message is damaged here"))
		must(w.SetState(archive.Key{Mailbox: m.ID, Epoch: e.N}, archive.State{Exists: 5, UIDNext: 10, HighestModSeq: 1 << 40}))
	}
	must(w.SetGone(true, archive.Key{Mailbox: sent.ID, Epoch: 1, UID: 1}, archive.Key{Mailbox: sent.ID, Epoch: 1, UID: 2}))
	must(w.SetGone(false, archive.Key{Mailbox: sent.ID, Epoch: 1, UID: 2}))
	must(w.SetUnlisted(odd.ID))
	must(errors.Join(w.EndRun(3, "one refused"), w.Close()))

	later(t, dir)
	damageFrame(t, dir)
	_, err = archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{})
	must(err)
	_, err = export(dir, nil, list, 8)
	must(err)
}

// later adds a commit with what a later version of the format may write, and its copy in the second segment, which is open.
func later(t *testing.T, dir string) {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	commits := 0
	for _, l := range records(t, dir) {
		if strings.HasPrefix(l, `{"t":"commit"`) {
			commits++
		}
	}
	segment := filepath.Join(dir, "segments", "000002.tar.zst")
	frame := packed(t, fmt.Sprintf("{\"t\":\"commit\",\"n\":%d,\"archive\":%q,\"time\":\"2040-01-02T03:04:05Z\",\"segment\":2,\"offset\":%d,"+
		"\"signed\":{\"by\":[1]}}\n"+
		"{\"t\":\"colour\",\"mailbox\":1,\"uid\":9,\"flags\":7}\n"+
		"{\"t\":\"flags\",\"mailbox\":1,\"epoch\":2,\"uid\":4,\"flags\":[\"\\\\Draft\"],\"why\":\"because\"}\n", commits+1, r.Info().ID, fileSize(t, segment)))
	header := binary.LittleEndian.AppendUint32([]byte{0x5A, 0x2A, 0x4D, 0x18}, uint32(len(frame)))
	appendTo(t, segment, append(header, frame...))
	appendTo(t, filepath.Join(dir, "catalog.jsonl.zst"), frame)
}

func appendTo(t *testing.T, path string, octets []byte) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(old, octets...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// damageFrame breaks the first mail frame of the first segment, which is sealed.
func damageFrame(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "segments", "000001.tar.zst")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	flip(t, path, 1) // of its magic number: nothing of it can be read
}
