package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/durable"
)

// TestRebuildFromTarMembers loses the catalog and one copy of records after the other, in several ways. Every message is
// there afterwards without being stored again, the next run makes everything equal, and nothing is refused.
func TestRebuildFromTarMembers(t *testing.T) {
	base, list := threeRuns(t)
	segments, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	tried, derived, copies := 0, 0, 0
	for _, path := range segments {
		copies += len(recordFrames(t, path))
	}
	for _, path := range segments {
		for _, at := range recordFrames(t, path) {
			for _, hurt := range []int64{0, 5, 20} { // its magic, its length, its payload
				what := fmt.Sprintf("%s record frame at %d, octet %d", filepath.Base(path), at, hurt)
				dir := copyDir(t, base)
				if err := os.Remove(filepath.Join(dir, catalogName)); err != nil {
					t.Fatal(err)
				}
				flip(t, filepath.Join(dir, "segments", filepath.Base(path)), at+hurt)
				res, err := archive.Rebuild(t.Context(), dir, options(nil), archive.RebuildOptions{})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if res.Damage != nil {
					t.Errorf("%s: %v", what, res.Damage)
				}
				tried++
				derived += res.Unknown.Messages
				if res.FromSegments < copies-2 {
					t.Errorf("%s: only %d commits of %d copies kept: %+v", what, res.FromSegments, copies, res)
				}
				sums(t, what, dir, list)
				before := stored(t, dir)
				if _, err := export(dir, nil, list, 8); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				compare(t, what, loose(t, contents(t, dir)), loose(t, expected(list)))
				if now := stored(t, dir); now != before {
					t.Errorf("%s: %d messages with octets of their own, %d before the run", what, now, before)
				}
			}
		}
	}
	if derived == 0 {
		t.Error("no message was ever made from a tar member")
	}
	t.Logf("%d copies of records lost, %d messages made from tar members", tried, derived)
}

// sums makes sure that the octets of every message are there.
func sums(t *testing.T, what, dir string, list []mail) {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() { _ = r.Close() }()
	for _, m := range list {
		if r.BySum(sumOf(m.body)) == nil {
			t.Errorf("%s: the octets of %q uid %d are not known", what, m.mailbox, m.uid)
		}
	}
}

// loose takes the zone out of lines of contents, and the order of flags: what names of files do not tell.
func loose(t *testing.T, lines []string) []string {
	t.Helper()
	var list []string
	for _, l := range lines {
		fields := strings.Split(l, " ")
		date, err := time.Parse(time.RFC3339, fields[2])
		if err != nil {
			t.Fatal(err)
		}
		flags := strings.Split(fields[3], ",")
		slices.Sort(flags)
		fields[2], fields[3] = date.UTC().Format(time.RFC3339), strings.Join(flags, ",")
		list = append(list, strings.Join(fields, " "))
	}
	slices.Sort(list)
	return list
}

// stored is how many messages have octets of their own.
func stored(t *testing.T, dir string) int {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, n := r.Len()
	return n
}

// TestRebuildLosesEverythingButTheMail destroys the catalog and every copy of records: the tar members alone make a catalog.
func TestRebuildLosesEverythingButTheMail(t *testing.T) {
	base, list := threeRuns(t)
	dir := copyDir(t, base)
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	lines := catalogLines(t, dir)
	for _, path := range segments {
		for _, at := range recordFrames(t, path) {
			flip(t, path, at+20)
		}
	}
	if err := os.Remove(filepath.Join(dir, catalogName)); err != nil {
		t.Fatal(err)
	}
	res := rebuild(t, dir)
	t.Logf("%+v of %d records", res, len(lines))
	if res.Unknown.Messages < 90 || res.Damage != nil {
		t.Errorf("%+v", res)
	}
	sums(t, "all copies lost", dir, list)
	before := stored(t, dir)
	if _, err := export(dir, nil, list, 8); err != nil {
		t.Fatal(err)
	}
	compare(t, "all copies lost", loose(t, contents(t, dir)), loose(t, expected(list)))
	if now := stored(t, dir); now != before {
		t.Errorf("%d messages with octets of their own, %d before the run", now, before)
	}
}

// TestRebuildMixesNoEpochs: a mailbox whose first run was interrupted has no uidlist but that of its second UIDVALIDITY, under
// which the UIDs stand for other messages. It must not be taken for that of the first one, or messages would be missing.
func TestRebuildMixesNoEpochs(t *testing.T) {
	list := sample(60, 44)
	count := durable.New(func(durable.Step, bool) error { return nil })
	if _, err := export(filepath.Join(t.TempDir(), "a"), count, list, 7); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a")
	if _, err := export(dir, durable.New(killAt(count.Steps()-16, false)), list, 7); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	moved := slices.Clone(list)
	for i := range moved {
		moved[i].uid = list[(i+3)%len(list)].uid // of the same mailbox
	}
	if _, err := export(dir, nil, moved, 8); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range segments {
		for _, at := range recordFrames(t, path) {
			flip(t, path, at+20)
		}
	}
	flip(t, filepath.Join(dir, catalogName), 20)
	if res := rebuild(t, dir); res.Unknown.Messages == 0 || res.Unknown.UIDValidity == 0 {
		t.Errorf("%+v", res)
	}
	if _, err := export(dir, nil, moved, 8); err != nil {
		t.Fatal(err)
	}
	compare(t, "moved", loose(t, contents(t, dir)), loose(t, expected(moved)))
}

// TestRebuildKnowsMailboxes destroys the catalog and every copy of records of an archive whose UIDVALIDITY never changed: the
// uidlists tell it, and the directories tell the mailboxes.
func TestRebuildKnowsMailboxes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(90, 41)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range segments {
		for _, at := range recordFrames(t, path) {
			flip(t, path, at+20)
		}
	}
	flip(t, filepath.Join(dir, catalogName), 20)
	res := rebuild(t, dir)
	if res.Messages != len(list) || res.Unknown.Messages == 0 || res.Unknown.Letters > 0 || res.Unknown.UIDValidity > 0 {
		t.Errorf("%+v", res)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	byName := make(map[string]*archive.Mailbox)
	for _, m := range r.Mailboxes() {
		byName[m.Name()] = m
	}
	for _, want := range list {
		mbox := byName[want.mailbox]
		if mbox == nil || mbox.Epochs[0].UIDValidity != 7 || !mbox.Subscribed || !mbox.Listed {
			t.Fatalf("%q: %+v", want.mailbox, mbox)
		}
		m := r.Message(archive.Key{Mailbox: mbox.ID, Epoch: 1, UID: want.uid})
		slices.Sort(want.flags)
		if m == nil || !slices.Equal(slices.Sorted(slices.Values(m.Flags)), want.flags) || m.Sum != sumOf(want.body) ||
			!m.InternalDate.Equal(want.date) {
			t.Errorf("%q uid %d: %+v, want %v %v", want.mailbox, want.uid, m, want.flags, want.date)
		}
	}
}

// TestRebuildKeepsLaterCommits loses the first commit, records and mail: those after it stay what they are, because what they
// take for granted is said in its place.
func TestRebuildKeepsLaterCommits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	var list []mail
	for i := range 60 {
		list = append(list, mail{
			mailbox: "Work", uid: uint32(i + 1), date: time.Unix(int64(i+1)*1e6, 0).UTC(), flags: []string{"$Label1", `\Seen`},
			body: bytes.Repeat(fmt.Appendf(nil, "%d\r\n", i), 500),
		})
	}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "segments", "000001.tar.zst")
	frames := recordFrames(t, path)
	zeros(t, path, 0, int(frames[0])+20)
	if err := os.Remove(filepath.Join(dir, catalogName)); err != nil {
		t.Fatal(err)
	}
	res := rebuild(t, dir)
	if len(frames) < 3 || res.FromSegments != len(frames)-1 || res.Unknown.Records > 0 || res.Unknown.UIDValidity > 0 || res.Unknown.Mailboxes != 1 {
		t.Errorf("%d commits: %+v", len(frames), res)
	}
	repair(t, "first commit lost", dir)
	verifyClean(t, dir)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	compare(t, "first commit lost", contents(t, dir), expected(list))
	inTree(t, "first commit lost", dir)
}
