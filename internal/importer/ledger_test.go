package importer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/internal/session"
)

func testWho() identity {
	return identity{archive: "0123", host: "imap.example.org", user: "u", program: "mailark test"}
}

func testOptions() *Options {
	opts := Options{Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC) }}.withDefaults()
	return &opts
}

func testEntry(n byte) *entry {
	return &entry{
		to: "INBOX", from: source{mailbox: "INBOX", epoch: 1, uid: uint32(n)}, sum: archive.Sum{n},
		size: int64(n), date: day(int(n)), before: mark{UIDValidity: 9, UIDNext: 100},
	}
}

// fillLedger writes one entry of each kind and returns what must be read back, as text.
func fillLedger(t *testing.T, l *ledger) {
	t.Helper()
	must(t, l.mapMailboxes([]mapping{{dir: "Maildir/.A", from: "A", to: "B"}}))
	list := []*entry{testEntry(1), testEntry(2), testEntry(3), testEntry(4), testEntry(5)}
	must(t, l.intend(list))
	list[0].status, list[0].at = stored, receipt{9, 100}
	list[1].status = stored
	list[2].status, list[2].text = refused, "NO \xff\x00 never"
	list[3].status = void
	must(t, l.settle(list[:4]...))
	found := testEntry(6)
	found.status, found.at = adopted, receipt{9, 7}
	must(t, l.settle(found))
}

func dump(l *ledger) string {
	var b strings.Builder
	for _, e := range l.list("INBOX", open, stored, adopted, refused) {
		fmt.Fprintf(&b, "%d %d %v %v %q %s %v %v\n", e.id, e.status, e.at, e.before, e.text, e.sum, e.size, e.date.Unix())
	}
	fmt.Fprintf(&b, "%v %d", l.mapped, l.lastID)
	return b.String()
}

func TestLedgerReplay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b.jsonl")
	l, err := openLedger(path, testWho(), testOptions())
	must(t, err)
	fillLedger(t, l)
	want := strings.Replace(dump(l), `\xff`, "?", 1)
	if _, err := openLedger(path, testWho(), testOptions()); !errors.Is(err, ErrLedgerLocked) ||
		!errors.Is(err, archive.ErrLocked) || ExitCode(err) != 11 {
		t.Errorf("second open: %v", err)
	}
	must(t, l.Close())
	l, err = openLedger(path, testWho(), testOptions())
	must(t, err)
	defer func() { _ = l.Close() }()
	// before of an adopted entry is not kept.
	want = strings.Replace(want, "6 2 {9 7} {9 100}", "6 2 {9 7} {0 0}", 1)
	if got := dump(l); got != want {
		t.Errorf("read back:\n%s\nwant:\n%s", got, want)
	}
	if to := l.targets()["Maildir/.A"]; to != "B" {
		t.Errorf("mapped to %q", to)
	}
	if !l.isClaimed("INBOX", receipt{9, 100}) || l.isClaimed("INBOX", receipt{8, 100}) || l.isClaimed("X", receipt{9, 7}) {
		t.Error("claims are wrong")
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestLedgerTorn cuts the file at every octet: what is whole is read, the rest is cut off, and the
// ledger can be written again.
func TestLedgerTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.jsonl")
	l, err := openLedger(path, testWho(), testOptions())
	must(t, err)
	fillLedger(t, l)
	must(t, l.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := range len(whole) + 1 {
		keep := bytes.LastIndexByte(whole[:n], '\n') + 1
		if end, err := newLedger(path, time.Now).replay(bytes.NewReader(whole[:n]), testWho()); err != nil || end != int64(keep) {
			t.Fatalf("cut at %d: whole up to %d, want %d: %v", n, end, keep, err)
		}
		if n%10 > 0 && len(whole)-n > 20 && n-keep > 1 {
			continue // the disk is slow
		}
		must(t, os.WriteFile(path, whole[:n], 0o600))
		l, err := openLedger(path, testWho(), testOptions())
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		e := testEntry(50)
		must(t, l.intend([]*entry{e}))
		must(t, l.Close())
		data, err := os.ReadFile(path)
		must(t, err)
		if keep > 0 && !bytes.HasPrefix(data, whole[:keep]) || bytes.Count(data, []byte("\n")) !=
			max(bytes.Count(whole[:n], []byte("\n")), 1)+1 {
			t.Fatalf("cut at %d: got %q", n, data)
		}
	}
}

func TestLedgerErrors(t *testing.T) {
	head := `{"t":"ledger","version":1,"archive":"0123","host":"imap.example.org","user":"u"}` + "\n"
	intent := `{"t":"intent","id":1,"to":"INBOX","sha256":"` + strings.Repeat("ab", 32) + `","size":3}` + "\n"
	tests := []struct {
		name, text string
		is         error
		words      string
	}{
		{"other archive", strings.Replace(head, "0123", "9999", 1), ErrLedgerOther, "9999"},
		{"other user", strings.Replace(head, `"u"`, `"v"`, 1), ErrLedgerOther, "v at"},
		{"other host", strings.Replace(head, "imap.", "imap2.", 1), ErrLedgerOther, "imap2"},
		{"version", strings.Replace(head, `"version":1`, `"version":2`, 1), ErrLedgerDamaged, "version 2"},
		{"no header", intent, ErrLedgerDamaged, "line 1"},
		{"two headers", head + head, ErrLedgerDamaged, "line 2"},
		{"no JSON", head + intent + "x\n" + intent, ErrLedgerDamaged, "line 3"},
		{"empty line", head + "\n" + intent, ErrLedgerDamaged, "line 2"},
		{"two values", head + "{} {}\n", ErrLedgerDamaged, "line 2"},
		{"id twice", head + intent + intent, ErrLedgerDamaged, "line 3"},
		{"no id", head + strings.Replace(intent, `"id":1,`, "", 1), ErrLedgerDamaged, "line 2"},
		{"no size", head + strings.Replace(intent, `,"size":3`, "", 1), ErrLedgerDamaged, "line 2"},
		{"bad sum", head + strings.Replace(intent, "abab", "zz", 1), ErrLedgerDamaged, "line 2"},
		{"bad date", head + strings.Replace(intent, `,"size"`, `,"date":"x","size"`, 1), ErrLedgerDamaged, "line 2"},
		{"stored without intent", head + `{"t":"stored","id":1}` + "\n", ErrLedgerDamaged, "line 2"},
		{"two results", head + intent + `{"t":"void","id":1}` + "\n" + `{"t":"stored","id":1}` + "\n", ErrLedgerDamaged, "line 4"},
		{"unknown kind", head + `{"t":"later"}` + "\n", ErrLedgerDamaged, "newer version"},
		{"mailbox without to", head + `{"t":"mailbox","dir":"x"}` + "\n", ErrLedgerDamaged, "line 2"},
		{"UID twice", head + intent + `{"t":"stored","id":1,"to_uidvalidity":1,"to_uid":5}` + "\n" +
			strings.NewReplacer("intent", "adopted", `"id":1`, `"id":2`, `"size"`, `"to_uidvalidity":1,"to_uid":5,"size"`).
				Replace(intent), ErrLedgerDamaged, "line 4"},
		{"long line", head + `{"t":"` + strings.Repeat("x", 1<<17) + "\"}\n", ErrLedgerDamaged, "longer"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "l.jsonl")
		must(t, os.WriteFile(path, []byte(tt.text), 0o600))
		for _, open := range []func(string, identity, *Options) (*ledger, error){openLedger, peekLedger} {
			_, err := open(path, testWho(), testOptions())
			if !errors.Is(err, tt.is) || !strings.Contains(fmt.Sprint(err), tt.words) || !strings.Contains(fmt.Sprint(err), path) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if data, _ := os.ReadFile(path); string(data) != tt.text {
			t.Errorf("%s: the file was changed", tt.name)
		}
	}
}

// TestLedgerOrder: intents are on the disk before intend returns, results before the next intents.
func TestLedgerOrder(t *testing.T) {
	var steps []string
	opts := testOptions()
	opts.FS = durable.New(func(s durable.Step, done bool) error {
		if done {
			steps = append(steps, string(s.Op))
		}
		return nil
	})
	l, err := openLedger(filepath.Join(t.TempDir(), "l.jsonl"), testWho(), opts)
	must(t, err)
	a, b := testEntry(1), testEntry(2)
	must(t, l.intend([]*entry{a, b}))
	a.status, b.status = stored, stored
	must(t, l.settle(a))
	must(t, l.settle(b))
	must(t, l.intend([]*entry{testEntry(3)}))
	must(t, l.Close())
	want := []string{"create", "write", "sync", "syncdir", "write", "sync", "write", "write", "write", "sync"}
	if !reflect.DeepEqual(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

// TestLedgerBroken: after a write that failed nothing more is written, for the end of the file is unknown.
func TestLedgerBroken(t *testing.T) {
	fail := false
	opts := testOptions()
	opts.FS = durable.New(func(s durable.Step, done bool) error {
		if fail && s.Op == durable.OpWrite {
			return errKilled
		}
		return nil
	})
	l, err := openLedger(filepath.Join(t.TempDir(), "l.jsonl"), testWho(), opts)
	must(t, err)
	fail = true
	if err := l.intend([]*entry{testEntry(1)}); !errors.Is(err, errKilled) {
		t.Errorf("intend: %v", err)
	}
	fail = false
	e := testEntry(2)
	e.status = adopted
	for name, err := range map[string]error{
		"intend": l.intend([]*entry{testEntry(1)}), "settle": l.settle(e), "Sync": l.Sync(),
		"map": l.mapMailboxes([]mapping{{"d", "f", "t"}}), "Close": l.Close(),
	} {
		if !errors.Is(err, errKilled) {
			t.Errorf("%s after a failed write: %v", name, err)
		}
	}
}

// TestLedgerUIDTwice: a server that names one UID for two messages (Gmail merges equal ones).
func TestLedgerUIDTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.jsonl")
	l, err := openLedger(path, testWho(), testOptions())
	must(t, err)
	a, b := testEntry(1), testEntry(1)
	must(t, l.intend([]*entry{a, b}))
	a.status, a.at = stored, receipt{9, 100}
	b.status, b.at = stored, receipt{9, 100}
	must(t, l.settle(a, b))
	if b.at.UID != 0 {
		t.Errorf("second claim of UID %d", b.at.UID)
	}
	must(t, l.Close())
	l, err = openLedger(path, testWho(), testOptions())
	must(t, err)
	must(t, l.Close())
}

func TestLedgerName(t *testing.T) {
	tests := []struct{ user, host, want string }{
		{"taro@g.example.ac.jp", "imap.gmail.com", "taro@g.example.ac.jp@imap.gmail.com.jsonl"},
		{"Taro", "h", "=54aro@h.jsonl"},
		{"a/b\\c:d*e\x00", "::1", "a=2fb=5cc=3ad=2ae=00@=3a=3a1.jsonl"},
		{"a", "b@c", "a@b=40c.jsonl"},
		{"a@b", "c", "a@b@c.jsonl"},
		{"仕", "h", "=e4=bb=95@h.jsonl"},
	}
	for _, tt := range tests {
		if got := ledgerName(tt.user, tt.host); got != tt.want {
			t.Errorf("ledgerName(%q, %q) = %q, want %q", tt.user, tt.host, got, tt.want)
		}
	}
	long := strings.Repeat("x", 300)
	a, b := ledgerName(long+"a", "h"), ledgerName(long+"b", "h")
	if a == b || len(a) > 240 {
		t.Errorf("long names %q, %q", a, b)
	}
	for port, want := range map[int]string{0: "h.example", 143: "h.example", 993: "h.example", 1143: "h.example:1143"} {
		if got := targetHost(&session.Options{Host: "H.example.", Port: port}); got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
}

func FuzzLedger(f *testing.F) {
	path := filepath.Join(f.TempDir(), "l.jsonl")
	l, err := openLedger(path, testWho(), testOptions())
	if err != nil {
		f.Fatal(err)
	}
	e := testEntry(1)
	e.status = adopted
	if err := errors.Join(l.intend([]*entry{testEntry(1)}), l.settle(e), l.Close()); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(append(bytes.Clone(data), "{\"t\":\"void\"\x00\x00\n\x00\x00"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLedger("x", time.Now)
		end, err := l.replay(bytes.NewReader(data), testWho())
		if err != nil {
			return
		}
		// What was accepted is whole lines, and reads the same again. What comes after is one torn line, or
		// what a power cut left: it holds NULs, and no line that was synced.
		if end > int64(len(data)) || end > 0 && data[end-1] != '\n' {
			t.Fatalf("ends at %d", end)
		}
		bad, after, more := bytes.Cut(data[end:], []byte("\n"))
		if more && (bytes.IndexByte(data[end:], 0) < 0 || bytes.Contains(after, []byte(`{"t":"intent"`))) {
			t.Fatalf("ends at %d, before %q, %q", end, bad, after)
		}
		again := newLedger("x", time.Now)
		if n, err := again.replay(bytes.NewReader(data[:end]), testWho()); err != nil || n != end || dump(l) != dump(again) {
			t.Fatalf("again: %d %v", n, err)
		}
	})
}
