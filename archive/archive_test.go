package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
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

func raw(name string) string { return "raw:" + name }

func options(fs *durable.FS) *archive.Options {
	return &archive.Options{
		FS: fs, Program: "mailark test", Lanes: 1, Window: 64 << 10, FrameSize: 16 << 10, SegmentSize: 24 << 10,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
}

func open(dir string, fs *durable.FS) (*archive.Writer, error) {
	w, err := archive.OpenWriter(dir, options(fs))
	if errors.Is(err, archive.ErrNotArchive) {
		return archive.Create(dir, archive.Source{Host: "h", User: "u"}, options(fs))
	}
	return w, err
}

// export is a run of a minimal exporter: whatever of the mail is missing is added, every fact is set.
func export(dir string, fs *durable.FS, list []mail, uidValidity uint32) (added int, err error) {
	w, err := open(dir, fs)
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
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var lines []string
	sp := spool.New(t.TempDir())
	for _, mbox := range r.Mailboxes() {
		for _, m := range r.Current(mbox.ID) {
			if err := r.Load(t.Context(), m, sp); err != nil {
				t.Fatalf("load %q UID %d: %v", mbox.Name(), m.UID, err)
			}
			lines = append(lines, line(mbox.Name(), m.UID, m.InternalDate, m.Flags, sp.Sum()))
		}
	}
	slices.Sort(lines)
	return lines
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

// errKilled stands for the end of the process: after it nothing reaches the disk.
var errKilled = errors.New("killed")

// killAt is a hook that lets the process die before (or after) step n.
func killAt(n int, after bool) durable.Hook {
	dead := false
	return func(s durable.Step, done bool) error {
		if dead || s.N > n || s.N == n && done == after {
			dead = true
			return errKilled
		}
		return nil
	}
}

// failAt is a hook that lets one step fail, as a full disk does, and no other.
func failAt(n int, after bool) durable.Hook {
	return func(s durable.Step, done bool) error {
		if s.N == n && done == after {
			return errKilled
		}
		return nil
	}
}

// TestCrashAtEveryStep dies before and after every durable step of a first run, of an incremental one and of one with a new
// UIDVALIDITY, or lets that step alone fail; then it runs again and compares everything.
func TestCrashAtEveryStep(t *testing.T) {
	first := sample(60, 3)
	second := append(slices.Clone(first), sample(90, 4)[60:]...)
	second[5].flags = []string{`\Deleted`, "k"}
	for _, scenario := range []struct {
		name     string
		base     []mail
		run      []mail
		validity uint32
	}{
		{"first", nil, first, 7},
		{"incremental", first, second, 7},
		{"uidvalidity", first, second, 8},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "base")
			if scenario.base != nil {
				if _, err := export(base, nil, scenario.base, 7); err != nil {
					t.Fatal(err)
				}
			}
			count := durable.New(func(durable.Step, bool) error { return nil })
			clean := copyDir(t, base)
			if _, err := export(clean, count, scenario.run, scenario.validity); err != nil {
				t.Fatal(err)
			}
			want := contents(t, clean)
			compare(t, "clean run", want, expected(scenario.run))
			for n := 1; n <= count.Steps(); n++ {
				for _, crash := range []struct {
					name string
					hook durable.Hook
				}{
					{"die before", killAt(n, false)}, {"die after", killAt(n, true)},
					{"fail before", failAt(n, false)}, {"fail after", failAt(n, true)},
				} {
					what := fmt.Sprintf("%s step %d", crash.name, n)
					dir := copyDir(t, base)
					if _, err := export(dir, durable.New(crash.hook), scenario.run, scenario.validity); !errors.Is(err, errKilled) {
						t.Fatalf("%s: %v, want to be killed", what, err)
					}
					if _, err := export(dir, nil, scenario.run, scenario.validity); err != nil {
						t.Fatalf("%s: resume: %v", what, err)
					}
					compare(t, what, contents(t, dir), want)
					verifyClean(t, dir)
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d steps, died and failed before and after each", count.Steps())
		})
	}
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return to
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestTornTail cuts the catalog and then the open segment at every length within the last commit: what was
// committed before stays, and opening for writing finishes the commit from its copy in the segment.
func TestTornTail(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	first := sample(60, 5)
	if _, err := export(base, nil, first, 7); err != nil {
		t.Fatal(err)
	}
	whole := copyDir(t, base)
	second := append(slices.Clone(first), sample(66, 6)[60:]...)
	if _, err := export(whole, nil, second, 7); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.jsonl.zst", lastSegment(t, whole)} {
		from, to := int64(0), fileSize(t, filepath.Join(whole, name))
		if _, err := os.Stat(filepath.Join(base, name)); err == nil {
			from = fileSize(t, filepath.Join(base, name))
		}
		for size := from; size < to; size += 1 + (to-from)/200 {
			dir := copyDir(t, whole)
			truncate(t, filepath.Join(dir, name), size)
			if name != "catalog.jsonl.zst" { // then the catalog cannot have known of it either
				truncate(t, filepath.Join(dir, "catalog.jsonl.zst"), fileSize(t, filepath.Join(base, "catalog.jsonl.zst")))
			} else {
				w, err := archive.OpenWriter(dir, options(nil))
				if err != nil {
					t.Fatalf("%s cut to %d: %v", name, size, err)
				}
				if records, _ := w.Len(); records != len(second) {
					t.Errorf("%s cut to %d: %d messages after recovery, want %d", name, size, records, len(second))
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := export(dir, nil, second, 7); err != nil {
				t.Fatalf("%s cut to %d: %v", name, size, err)
			}
			compare(t, fmt.Sprintf("%s cut to %d", name, size), contents(t, dir), expected(second))
			verifyClean(t, dir)
		}
	}
}

func lastSegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	return filepath.Join("segments", filepath.Base(names[len(names)-1]))
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
}

// TestDamageIsNoTornTail flips octets in the middle of catalog and segments: opening for writing must refuse,
// and change nothing, rather than take what follows for a torn tail and cut it off.
func TestDamageIsNoTornTail(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(200, 7)
	if _, err := export(base, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	harmless := 0
	size := fileSize(t, filepath.Join(base, "catalog.jsonl.zst"))
	for at := int64(0); at < size/2; at += 1 + size/100 {
		dir := copyDir(t, base)
		flip(t, filepath.Join(dir, "catalog.jsonl.zst"), at)
		before := tree(t, dir)
		var damage *archive.DamageError
		w, err := archive.OpenWriter(dir, options(nil))
		if err == nil {
			// A bit of a frame header that no reader minds, such as the unused one (RFC 8878, section 3.1.1.1.1).
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			compare(t, fmt.Sprintf("octet %d flipped", at), contents(t, dir), expected(list))
			harmless++
			continue
		}
		if !errors.As(err, &damage) {
			t.Errorf("octet %d flipped: OpenWriter gave %v, want *DamageError", at, err)
		}
		if after := tree(t, dir); !maps.Equal(before, after) {
			t.Errorf("octet %d flipped: OpenWriter changed the archive", at)
		}
		if res, err := archive.Verify(t.Context(), dir, nil, nil); err != nil || len(res.Problems) == 0 {
			t.Errorf("octet %d flipped: Verify found nothing (%v)", at, err)
		}
	}
	if harmless > 5 {
		t.Errorf("%d flips were harmless", harmless)
	}
}

// TestOldCatalog puts an older catalog beside newer segments: what the segments hold is not lost.
func TestOldCatalog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(200, 8)
	if _, err := export(dir, nil, list[:40], 7); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	for _, catalog := range [][]byte{old, nil} {
		if err := os.WriteFile(filepath.Join(dir, "catalog.jsonl.zst"), catalog, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := archive.OpenWriter(dir, options(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		compare(t, "recovered", contents(t, dir), expected(list))
		verifyClean(t, dir)
	}
}

// TestForeignCatalog puts another archive's catalog in place: nothing may be cut off.
func TestForeignCatalog(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if _, err := export(a, nil, sample(100, 9), 7); err != nil {
		t.Fatal(err)
	}
	if _, err := export(b, nil, sample(20, 10), 7); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(b, "catalog.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a, "catalog.jsonl.zst"), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, a)
	var damage *archive.DamageError
	if _, err := archive.OpenWriter(a, options(nil)); !errors.As(err, &damage) {
		t.Errorf("OpenWriter: %v, want *DamageError", err)
	}
	if !maps.Equal(before, tree(t, a)) {
		t.Error("OpenWriter changed the archive")
	}
}

// TestVerifyNamesDamage flips an octet in each frame of mail: verify names messages, and the others can be read.
func TestVerifyNamesDamage(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	list := sample(120, 11)
	if _, err := export(base, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	hurt := 0
	for _, name := range names {
		size := fileSize(t, name)
		for at := int64(0); at < size; at += 1 + size/60 {
			dir := copyDir(t, base)
			flip(t, filepath.Join(dir, "segments", filepath.Base(name)), at)
			res, err := archive.Verify(t.Context(), dir, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Problems) == 0 {
				t.Errorf("%s octet %d: not noticed", filepath.Base(name), at)
			}
			damaged := make(map[archive.Key]bool)
			for _, d := range res.Damaged {
				damaged[d.Key] = true
				hurt++
			}
			readOthers(t, dir, damaged)
		}
	}
	if hurt == 0 {
		t.Error("no message was ever hurt")
	}
}

// readOthers loads every message: those named as damaged must fail, all others must be right.
func readOthers(t *testing.T, dir string, damaged map[archive.Key]bool) {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	sp := spool.New(t.TempDir())
	for _, mbox := range r.Mailboxes() {
		for m := range r.Messages(mbox.ID) {
			err := r.Load(t.Context(), m, sp)
			if (err != nil) != damaged[m.Key] {
				t.Errorf("%q UID %d: load %v, verify says damaged=%v", mbox.Name(), m.UID, err, damaged[m.Key])
			}
		}
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x10
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// tree is every file of a directory but the lock, with its octets.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, pattern := range []string{"*", "segments/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if data, err := os.ReadFile(name); err == nil && filepath.Base(name) != "lock" {
				files[name] = string(data)
			}
		}
	}
	return files
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
