package maildirx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/internal/durable"
)

var testDate = time.Date(2016, 11, 7, 18, 49, 23, 0, time.FixedZone("", 9*60*60))

func testName(uid uint32, size int, flags string) Name {
	return Name{Unique: Unique(testDate, 1, 1, uid, testArchive), Size: int64(size), VSize: -1, Flags: flags}
}

func testDelivery(dir string, uid uint32, text string) Delivery {
	return Delivery{
		Dir: dir, Name: testName(uid, len(text), "S"), Mtime: testDate,
		Write: func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		},
	}
}

func newMaildir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), Root)
	if err := Init(durable.New(nil), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func readString(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestInit(t *testing.T) {
	top := filepath.Join(t.TempDir(), "a", Root)
	sub := filepath.Join(top, ".Work")
	var steps []string
	fs := durable.New(func(s durable.Step, done bool) error {
		if path, inside := strings.CutPrefix(s.Path, top); done && inside {
			steps = append(steps, fmt.Sprint(s.Op, path))
		}
		return nil
	})
	for _, init := range []struct {
		dir  string
		want []string // steps
	}{
		{top, nil}, // its parents are another room's business
		{sub, []string{
			"mkdir/.Work", "syncdir", "mkdir/.Work/tmp", "syncdir/.Work", "mkdir/.Work/new", "syncdir/.Work",
			"mkdir/.Work/cur", "syncdir/.Work", "create/.Work/maildirfolder", "syncdir/.Work", "syncdir",
		}},
		{sub, []string{"syncdir/.Work", "syncdir"}},
	} {
		steps = nil
		if err := Init(fs, init.dir); err != nil {
			t.Fatal(err)
		}
		if init.dir == sub && !slices.Equal(steps, init.want) {
			t.Errorf("steps %q, want %q", steps, init.want)
		}
	}
	for _, dir := range []string{top, sub} {
		for _, name := range []string{"", "cur", "new", "tmp"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode() != os.ModeDir|0o700 {
				t.Errorf("%s/%s: %v, %v", dir, name, info, err)
			}
		}
	}
	if info, err := os.Stat(filepath.Join(sub, "maildirfolder")); err != nil || info.Mode() != 0o600 || info.Size() != 0 {
		t.Errorf("maildirfolder below the root: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(top, "maildirfolder")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("maildirfolder in the root: %v", err)
	}
}

func TestInitFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Init(durable.New(nil), filepath.Join(file, Root)); err == nil {
		t.Error("Init below a file is no error")
	}
}

func TestDeliver(t *testing.T) {
	dir := newMaildir(t)
	var steps []string
	fs := durable.New(func(s durable.Step, done bool) error {
		if done {
			steps = append(steps, fmt.Sprint(s.Op, strings.TrimPrefix(s.Path, dir)))
		}
		return nil
	})
	const text = "Subject: x\r\n\r\n\x00\xff bare\rCR\n"
	d := testDelivery(dir, 7, text)
	if err := Deliver(fs, d); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cur", d.Name.String())
	if got := readString(t, path); got != text {
		t.Errorf("octets %q, want %q", got, text)
	}
	info, err := os.Stat(path)
	if err != nil || !info.ModTime().Equal(testDate) || info.Mode() != 0o600 {
		t.Errorf("%v, %v, want mode 0600 and time %v", info, err, testDate)
	}
	tmp, cur := "/tmp/"+d.Name.Unique, "/cur"
	want := []string{"create" + tmp, "write" + tmp, "sync" + tmp, "rename" + cur + "/" + d.Name.String(), "syncdir" + cur}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

func TestDeliverTimes(t *testing.T) {
	dir := newMaildir(t)
	for uid, date := range []time.Time{
		time.Unix(0, 0), time.Unix(-1, 0), time.Date(1960, 2, 29, 1, 2, 3, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		d := testDelivery(dir, uint32(uid), "x")
		d.Mtime = date
		if err := Deliver(nil, d); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(d.target()); err != nil || !info.ModTime().Equal(date) {
			t.Errorf("%v, %v, want time %v", info.ModTime(), err, date)
		}
	}
	for uid, date := range []time.Time{time.Date(1500, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		d := testDelivery(dir, uint32(100+uid), "x")
		d.Mtime = date
		if err := Deliver(nil, d); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(d.target()) // as far as the file system goes
		if err != nil || (info.ModTime().Year() < 1970) != (date.Year() < 1970) || (info.ModTime().Year() > 2030) != (date.Year() > 2030) {
			t.Errorf("%v, %v, want a time near %v", info.ModTime(), err, date)
		}
	}
	before := time.Now().Add(-time.Hour)
	d := testDelivery(dir, 99, "x")
	d.Mtime = time.Time{}
	if err := Deliver(nil, d); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.target()); err != nil || info.ModTime().Before(before) {
		t.Errorf("without a date: %v, %v", info.ModTime(), err)
	}
}

func TestDeliverAgain(t *testing.T) {
	dir := newMaildir(t)
	d := testDelivery(dir, 7, "whole")
	left := filepath.Join(dir, "tmp", d.Name.Unique)
	if err := os.WriteFile(left, []byte("left by a crash, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Deliver(nil, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := readString(t, d.target()); got != "whole" {
		t.Errorf("octets %q", got)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left in tmp: %v", err)
	}
}

func TestDeliverRefuses(t *testing.T) {
	dir := newMaildir(t)
	for _, n := range []Name{
		{Unique: "", Size: 1, VSize: -1},
		{Unique: "../x", Size: 1, VSize: -1},
		{Unique: ".x", Size: 1, VSize: -1},
		{Unique: "a:2,S", Size: 1, VSize: -1},
		{Unique: "a,S=1", Size: 1, VSize: -1},
		{Unique: "a", Size: 1, VSize: -1, Flags: "SF"},
		{Unique: "a", Size: 1, VSize: -1, Flags: "/../x"},
		{Unique: strings.Repeat("a", 250), Size: 1, VSize: -1},
	} {
		d := testDelivery(dir, 1, "x")
		d.Name = n
		if err := Deliver(nil, d); !errors.Is(err, ErrName) {
			t.Errorf("%+v: %v, want ErrName", n, err)
		}
	}
	if files, err := Messages(dir); err != nil || len(files) > 0 {
		t.Errorf("delivered all the same: %v, %v", files, err)
	}
}

func TestDeliverWriteError(t *testing.T) {
	dir := newMaildir(t)
	d := testDelivery(dir, 1, "x")
	d.Write = func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return errFull
	}
	if err := Deliver(nil, d); !errors.Is(err, errFull) {
		t.Errorf("Deliver: %v, want the writer's error", err)
	}
	for _, sub := range []string{"tmp", "cur"} {
		if left, err := os.ReadDir(filepath.Join(dir, sub)); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", sub, left, err)
		}
	}
}

func TestBatch(t *testing.T) {
	one, two := newMaildir(t), newMaildir(t)
	synced := map[string]int{}
	fs := durable.New(func(s durable.Step, done bool) error {
		if done && (s.Op == durable.OpSyncDir || s.Op == durable.OpSync) {
			synced[filepath.Dir(s.Path)]++
		}
		return nil
	})
	b := Batch{FS: fs}
	for uid := range uint32(6) {
		if err := b.Deliver(testDelivery([]string{one, two}[uid%2], uid, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if synced[one] != 0 {
		t.Error("directory synced before Commit")
	}
	for range 2 {
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if synced[one] != 1 || synced[two] != 1 || synced[filepath.Join(one, "tmp")] != 3 {
		t.Errorf("syncs %v, want one of each directory and one of each file", synced)
	}

	clear(synced)
	b = Batch{FS: fs, NoSync: true}
	if err := errors.Join(b.Deliver(testDelivery(one, 9, "x")), b.Commit()); err != nil || len(synced) > 0 {
		t.Errorf("NoSync: %v, syncs %v", err, synced)
	}
}

func TestCommitAgain(t *testing.T) {
	fail := true
	b := Batch{FS: durable.New(func(s durable.Step, _ bool) error {
		if s.Op == durable.OpSyncDir && fail {
			return errFull
		}
		return nil
	})}
	dir := newMaildir(t)
	if err := b.Deliver(testDelivery(dir, 1, "x")); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); !errors.Is(err, errFull) {
		t.Errorf("Commit: %v", err)
	}
	fail = false
	before := b.FS.Steps()
	if err := b.Commit(); err != nil || b.FS.Steps() != before+1 {
		t.Errorf("second Commit: %v after %d steps, want 1", err, b.FS.Steps()-before)
	}
}

func TestLinkInto(t *testing.T) {
	one, two := newMaildir(t), newMaildir(t)
	first := testDelivery(one, 1, "octets")
	if err := Deliver(nil, first); err != nil {
		t.Fatal(err)
	}
	noLinks := durable.New(func(s durable.Step, _ bool) error {
		if s.Op == durable.OpLink {
			return errors.ErrUnsupported
		}
		return nil
	})
	for i, tc := range []struct {
		name   string
		mtime  time.Time
		fs     *durable.FS
		linked bool
	}{
		{"equal dates", testDate, nil, true},
		{"equal dates, another zone", testDate.UTC(), nil, true},
		{"other dates", testDate.Add(time.Second), nil, false},
		{"no date", time.Time{}, nil, false},
		{"no links here", testDate, noLinks, false},
	} {
		d := testDelivery(two, uint32(10+i), "octets")
		d.Mtime, d.Write = tc.mtime, nil
		for range 2 {
			if err := LinkInto(tc.fs, first.target(), d); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
		}
		a, errA := os.Stat(first.target())
		b, errB := os.Stat(d.target())
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if os.SameFile(a, b) != tc.linked || readString(t, d.target()) != "octets" {
			t.Errorf("%s: linked %v, want %v", tc.name, !tc.linked, tc.linked)
		}
		if !tc.mtime.IsZero() && !b.ModTime().Equal(tc.mtime) || !a.ModTime().Equal(testDate) {
			t.Errorf("%s: times %v and %v", tc.name, a.ModTime(), b.ModTime())
		}
	}
	again := testDelivery(two, 10, "octets") // a link by now
	again.Mtime = testDate.Add(time.Hour)
	if err := LinkInto(nil, first.target(), again); err != nil {
		t.Fatal(err)
	}
	a, errA := os.Stat(first.target())
	b, errB := os.Stat(again.target())
	if err := errors.Join(errA, errB); err != nil || !a.ModTime().Equal(testDate) || !b.ModTime().Equal(again.Mtime) {
		t.Errorf("link with another date than before: %v, times %v and %v", err, a.ModTime(), b.ModTime())
	}
	other := testDelivery(two, 20, "replaced")
	if err := Deliver(nil, other); err != nil {
		t.Fatal(err)
	}
	if err := LinkInto(nil, first.target(), other); err != nil || readString(t, other.target()) != "octets" {
		t.Errorf("link over another file: %v, %q", err, readString(t, other.target()))
	}
}

func TestLinkIntoRefuses(t *testing.T) {
	dir := newMaildir(t)
	first, d := testDelivery(dir, 1, "x"), testDelivery(dir, 2, "x")
	if err := Deliver(nil, first); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(first.target(), link); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{link, dir, filepath.Join(dir, "missing")} {
		if err := LinkInto(nil, from, d); err == nil {
			t.Errorf("LinkInto from %s is no error", from)
		}
	}
	d.Name.Unique = "../x"
	if err := LinkInto(nil, first.target(), d); !errors.Is(err, ErrName) {
		t.Errorf("LinkInto a bad name: %v", err)
	}
}

// TestDeliverDiesAtEveryStep stops at each step, before and after it, as a killed process does: no
// step follows. What is in cur must be whole, and the same work done again must complete it.
func TestDeliverDiesAtEveryStep(t *testing.T) {
	texts := map[uint32]string{1: "one", 2: "two two", 3: strings.Repeat("three", 1000)}
	deliver := func(fs *durable.FS, dir string) error {
		if err := Init(fs, dir); err != nil {
			return err
		}
		b := Batch{FS: fs}
		for uid := uint32(1); uid <= 3; uid++ {
			if err := b.Deliver(testDelivery(dir, uid, texts[uid])); err != nil {
				return err
			}
		}
		link := testDelivery(dir, 4, texts[1])
		if err := b.LinkInto(testDelivery(dir, 1, texts[1]).target(), link); err != nil {
			return err
		}
		return b.Commit()
	}
	check := func(dir string) int {
		files, err := Messages(dir)
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			_, _, uid, err := ParseUnique(f.Name.Unique)
			if err != nil || readString(t, f.Path) != texts[(uid-1)%3+1] {
				t.Errorf("%s is not whole: %v", f.Path, err)
			}
		}
		return len(files)
	}
	errDead := errors.New("dead")
	counting := durable.New(func(durable.Step, bool) error { return nil })
	if err := deliver(counting, filepath.Join(t.TempDir(), ".Work")); err != nil {
		t.Fatal(err)
	}
	for death := range 2 * counting.Steps() {
		dir := filepath.Join(t.TempDir(), ".Work")
		calls := 0
		err := deliver(durable.New(func(durable.Step, bool) error {
			if calls++; calls > death {
				return errDead
			}
			return nil
		}), dir)
		if !errors.Is(err, errDead) {
			t.Fatalf("died at call %d of the hook: %v", death, err)
		}
		check(dir)
		if err := deliver(durable.New(nil), dir); err != nil {
			t.Fatalf("after dying at call %d: %v", death, err)
		}
		if n := check(dir); n != 4 {
			t.Errorf("after dying at call %d: %d messages, want 4", death, n)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("after dying at call %d: left in tmp: %v, %v", death, left, err)
		}
	}
}
