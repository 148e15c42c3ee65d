package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/internal/spool"
	"mailark/maildirx"
)

// mail is one message of a made-up account.
type mail struct {
	mailbox string
	uid     uint32
	date    time.Time
	flags   []string
	body    []byte
}

func zone(hours int) *time.Location { return time.FixedZone("", hours*3600) }

// sample makes n messages in three mailboxes, with copies, odd octets and an empty one.
func sample(n int, seed uint64) []mail {
	rng := rand.New(rand.NewPCG(seed, 1))
	boxes := []string{"INBOX", "Work/2016", "日本語/仕事.メモ"}
	keywords := []string{"$Forwarded", "$Label1", "Junk", "NonJunk"}
	var list []mail
	for i := range n {
		m := mail{
			mailbox: boxes[i%len(boxes)], uid: uint32(i + 1),
			date: time.Date(2001+i%20, time.Month(1+i%12), 1+i%28, i%24, i%60, 0, 0, zone(i%14-5)),
		}
		if i%2 == 0 {
			m.flags = append(m.flags, `\Seen`)
		}
		if i%5 == 0 {
			m.flags = append(m.flags, `\Flagged`, keywords[i%len(keywords)])
		}
		switch {
		case i%7 == 3 && i > 10:
			m.body = list[i-9].body
		case i%31 == 30:
			m.body = nil
		default:
			m.body = fmt.Appendf(nil, "Message-ID: <%d@x>\r\nSubject: %d\r\n\r\n\x00\xff bare\nLF \rCR\r\n", i, i)
			for range rng.IntN(40) {
				m.body = fmt.Appendf(m.body, "%x line of text that repeats itself\r\n", rng.Uint64())
			}
		}
		list = append(list, m)
	}
	return list
}

// raw is the mailbox's name as a server of IMAP4rev1 sends it.
func raw(name string) string { return maildirx.EncodeUTF7(name) }

func options(fs *durable.FS) *archive.Options {
	return &archive.Options{
		FS: fs, Program: "mailark test", Lanes: 1, Window: 64 << 10, FrameSize: 16 << 10, SegmentSize: 24 << 10,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
}

func open(dir string, fs *durable.FS) (*archive.Writer, error) { return openWith(dir, options(fs)) }

func openWith(dir string, opts *archive.Options) (*archive.Writer, error) {
	w, err := archive.OpenWriter(dir, opts)
	if errors.Is(err, archive.ErrNotArchive) {
		return archive.Create(dir, archive.Source{Host: "h", User: "u"}, opts)
	}
	return w, err
}

// export is a run of a minimal exporter: whatever of the mail is missing is added, every fact is set.
func export(dir string, fs *durable.FS, list []mail, uidValidity uint32) (added int, err error) {
	return exportWith(dir, options(fs), list, uidValidity)
}

func exportWith(dir string, opts *archive.Options, list []mail, uidValidity uint32) (added int, err error) {
	w, err := openWith(dir, opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.BeginRun(archive.Source{Host: "h", User: "u"}); err != nil {
		return 0, err
	}
	epochs := map[string]archive.Key{}
	sp := spool.New(w.SpoolDir())
	for _, m := range list {
		k, ok := epochs[m.mailbox]
		if !ok {
			mbox, err := w.SetMailbox(archive.MailboxInfo{
				Path: strings.Split(m.mailbox, "/"), Raw: raw(m.mailbox), Delim: "/", Subscribed: true,
				Attrs: []string{`\HasNoChildren`},
			})
			if err != nil {
				return added, err
			}
			e, err := w.OpenEpoch(mbox.ID, uidValidity)
			if err != nil {
				return added, err
			}
			k = archive.Key{Mailbox: mbox.ID, Epoch: e.N}
			epochs[m.mailbox] = k
		}
		k.UID = m.uid
		if w.Message(k) != nil {
			if _, err := w.SetFlags(k, m.flags); err != nil {
				return added, err
			}
			continue
		}
		if err := sp.Reset(); err != nil {
			return added, err
		}
		if _, err := sp.Write(m.body); err != nil {
			return added, err
		}
		if _, err := w.Add(context.Background(), k, m.date, m.flags, sp); err != nil {
			return added, err
		}
		added++
	}
	for _, k := range epochs {
		if err := w.SetState(k, archive.State{Exists: 1, UIDNext: 1 << 20}); err != nil {
			return added, err
		}
	}
	return added, w.EndRun(0, "done")
}

// contents is everything the archive gives back, one line a message, sorted.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	lines, err := gather(dir)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// gather is contents for whoever has no use for a failed test.
func gather(dir string) ([]string, error) {
	r, err := archive.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var lines []string
	sp := spool.New("")
	for _, mbox := range r.Mailboxes() {
		for _, m := range r.Current(mbox.ID) {
			if err := r.Load(context.Background(), m, sp); err != nil {
				return nil, fmt.Errorf("load %q UID %d: %w", mbox.Name(), m.UID, err)
			}
			lines = append(lines, line(mbox.Name(), m.UID, m.InternalDate, m.Flags, sp.Sum()))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

func line(mailbox string, uid uint32, date time.Time, flags []string, sum [32]byte) string {
	return fmt.Sprintf("%s %d %s %s %x", mailbox, uid, date.Format(time.RFC3339), strings.Join(flags, ","), sum)
}

func expected(list []mail) []string {
	var lines []string
	for _, m := range list {
		lines = append(lines, line(m.mailbox, m.uid, m.date, m.flags, sha256.Sum256(m.body)))
	}
	slices.Sort(lines)
	return lines
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Errorf("%s: missing %s", what, l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			t.Errorf("%s: unexpected %s", what, l)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d messages, want %d", what, len(got), len(want))
	}
}

func verifyClean(t *testing.T, dir string) *archive.VerifyResult {
	t.Helper()
	res, err := archive.Verify(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Problems) > 0 || len(res.Damaged) > 0 {
		t.Fatalf("verify: %v, damaged %v", res.Problems, res.Damaged)
	}
	return res
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(300, 1)
	if added, err := export(dir, nil, list, 7); err != nil || added != len(list) {
		t.Fatalf("export: %d added, %v", added, err)
	}
	compare(t, "first run", contents(t, dir), expected(list))
	res := verifyClean(t, dir)
	if res.Messages != len(list) || res.Segments < 2 {
		t.Errorf("verify saw %+v", res)
	}

	list[4].flags = []string{`\Answered`, "newkeyword"}
	list = append(list, mail{mailbox: "Archive", uid: 3, date: list[0].date, body: []byte("new\r\n")})
	if added, err := export(dir, nil, list, 7); err != nil || added != 1 {
		t.Fatalf("second export: %d added, %v", added, err)
	}
	compare(t, "second run", contents(t, dir), expected(list))
	verifyClean(t, dir)
}

func TestNewUIDValidityStoresNothingTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(200, 2)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	before := tarMembers(t, dir)
	for i := range list {
		list[i].uid += 1000
	}
	if _, err := export(dir, nil, list, 8); err != nil {
		t.Fatal(err)
	}
	compare(t, "new epoch", contents(t, dir), expected(list))
	verifyClean(t, dir)
	after := tarMembers(t, dir)
	for name := range after {
		if !before[name] && strings.Contains(name, "/cur/") && !strings.HasSuffix(name, "/cur/") {
			t.Errorf("the tar got another file: %s", name)
		}
	}
}

func TestWriterIsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.OpenWriter(dir, nil); !errors.Is(err, archive.ErrLocked) {
		t.Errorf("second writer: %v, want ErrLocked", err)
	}
	if _, err := archive.Create(dir, archive.Source{}, nil); !errors.Is(err, archive.ErrLocked) {
		t.Errorf("second create: %v, want ErrLocked", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Create(dir, archive.Source{}, nil); !errors.Is(err, archive.ErrExists) {
		t.Errorf("create over an archive: %v, want ErrExists", err)
	}
	if _, err := archive.Open(t.TempDir(), nil); !errors.Is(err, archive.ErrNotArchive) {
		t.Errorf("open an empty directory: %v, want ErrNotArchive", err)
	}
}

func TestBigMessageGoesThroughAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	body := bytes.Repeat([]byte("0123456789abcdef\r\n"), 3*spool.MemoryLimit/18)
	list := []mail{{mailbox: "INBOX", uid: 1, date: time.Unix(-5000, 0).In(zone(9)), body: body}, {mailbox: "INBOX", uid: 2, body: body[1:]}}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	compare(t, "big", contents(t, dir), expected(list))
	left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestLanes compresses side by side and compares with what went in.
func TestLanes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	opts := options(nil)
	opts.Lanes, opts.FrameSize, opts.SegmentSize = 3, 1<<20, 2<<20
	w, err := archive.Create(dir, archive.Source{}, opts)
	if err != nil {
		t.Fatal(err)
	}
	mbox, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.BeginRun(archive.Source{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenEpoch(mbox.ID, 1); err != nil {
		t.Fatal(err)
	}
	var list []mail
	rng := rand.New(rand.NewPCG(1, 2))
	sp := spool.New(w.SpoolDir())
	for i := range 400 {
		m := mail{mailbox: "INBOX", uid: uint32(i + 1), date: time.Unix(int64(i), 0).UTC()}
		m.body = make([]byte, rng.IntN(30000))
		for j := range m.body {
			m.body[j] = byte(rng.Uint32())
		}
		if i%3 == 2 {
			m.body = list[rng.IntN(len(list))].body
		}
		if err := sp.Reset(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(sp, bytes.NewReader(m.body)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(t.Context(), archive.Key{Mailbox: 1, Epoch: 1, UID: m.uid}, m.date, nil, sp); err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	if err := errors.Join(w.EndRun(0, ""), w.Close()); err != nil {
		t.Fatal(err)
	}
	compare(t, "lanes", contents(t, dir), expected(list))
	verifyClean(t, dir)
}

// TestBigMessageInBoundedMemory sends 100 MB through a writer and back: the heap beside the encoder's and
// decoder's windows stays below 64 MiB.
func TestBigMessageInBoundedMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	opts := options(nil)
	opts.Window, opts.FrameSize = 1<<20, 64<<20
	w, err := archive.Create(dir, archive.Source{}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	mbox, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenEpoch(mbox.ID, 1); err != nil {
		t.Fatal(err)
	}
	var peak uint64
	watch := func() {
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		peak = max(peak, ms.HeapInuse)
	}
	sp := spool.New(w.SpoolDir())
	rng := rand.NewChaCha8([32]byte{1})
	chunk := make([]byte, 1<<20)
	for range 100 {
		_, _ = rng.Read(chunk)
		if _, err := sp.Write(chunk); err != nil {
			t.Fatal(err)
		}
		watch()
	}
	sum := sp.Sum()
	k := archive.Key{Mailbox: mbox.ID, Epoch: 1, UID: 1}
	if _, err := w.Add(t.Context(), k, time.Unix(1, 0), nil, sp); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	watch()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.Load(t.Context(), r.Message(k), sp); err != nil || sp.Sum() != sum {
		t.Fatalf("load: %v", err)
	}
	watch()
	if limit := uint64(64 << 20); peak > limit {
		t.Errorf("heap of %d MiB, want at most %d", peak>>20, limit>>20)
	}
}

// TestReadersBesideAWriter reads after every message that a writer adds: always a whole state.
func TestReadersBesideAWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(90, 12)
	for n := 10; n <= len(list); n += 20 {
		hook := func(s durable.Step, done bool) error {
			if _, err := os.Stat(filepath.Join(dir, "archive.json")); err != nil {
				return nil
			}
			r, err := archive.Open(dir, nil)
			if err != nil {
				t.Errorf("step %d (%s %s): %v", s.N, s.Op, filepath.Base(s.Path), err)
				return nil
			}
			sp := spool.New(t.TempDir())
			for _, mbox := range r.Mailboxes() {
				for m := range r.Messages(mbox.ID) {
					if err := r.Load(t.Context(), m, sp); err != nil {
						t.Errorf("step %d (%s %s): UID %d: %v", s.N, s.Op, filepath.Base(s.Path), m.UID, err)
					}
				}
			}
			return r.Close()
		}
		if _, err := export(dir, durable.New(hook), list[:n], 7); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, "in the end", contents(t, dir), expected(list[:90]))
}

func sumOf(body []byte) archive.Sum { return archive.Sum(sha256.Sum256(body)) }
