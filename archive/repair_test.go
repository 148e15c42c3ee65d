package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mailark/archive"
	"mailark/internal/durable"
)

func repair(t *testing.T, what, dir string) *archive.RepairResult {
	t.Helper()
	res, err := archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{GiveUpMissing: true})
	if err != nil {
		t.Fatalf("%s: repair: %v", what, err)
	}
	return res
}

// TestRepair hurts an archive in every place there is, repairs it, and compares everything after the next run.
func TestRepair(t *testing.T) {
	base, list := runs(t, 40, 60, 90)
	segments, err := filepath.Glob(filepath.Join(base, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	type hurt struct {
		name string
		do   func(path string, at int64)
	}
	cases, awaited, rescued, frames := 0, 0, 0, 0
	for _, name := range segments {
		size := fileSize(t, name)
		for at := int64(0); at < size; at += 1 + size/12 {
			for _, h := range []hurt{
				{"flip", func(path string, at int64) { flip(t, path, at) }},
				{"zeros", func(path string, at int64) { zeros(t, path, at, 300) }},
				{"cut", func(path string, at int64) { truncate(t, path, at) }},
			} {
				what := fmt.Sprintf("%s %s at %d", h.name, filepath.Base(name), at)
				dir := copyDir(t, base)
				h.do(filepath.Join(dir, "segments", filepath.Base(name)), at)
				res := repair(t, what, dir)
				if len(res.Problems) == 0 {
					t.Errorf("%s: nothing to repair", what)
				}
				cases++
				awaited += len(res.Awaited)
				rescued += res.Rescued
				frames += res.Frames
				wholeAfter(t, what, dir, list)
				_ = os.RemoveAll(dir)
			}
		}
		what := "removed " + filepath.Base(name)
		dir := copyDir(t, base)
		if err := os.Remove(filepath.Join(dir, "segments", filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
		repair(t, what, dir)
		wholeAfter(t, what, dir, list)
		cases++
	}
	if awaited == 0 || rescued == 0 || frames == 0 {
		t.Errorf("%d frames put aside, %d messages rescued, %d awaited: one of the ways was never gone", frames, rescued, awaited)
	}
	t.Logf("%d damages, %d frames put aside, %d messages rescued, %d awaited", cases, frames, rescued, awaited)
}

func zeros(t *testing.T, path string, at int64, n int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[at:min(int(at)+n, len(data))])
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestRepairOfAFineArchive changes nothing, and one of a damaged catalog refuses.
func TestRepairOfAFineArchive(t *testing.T) {
	dir, _ := runs(t, 20, 30, 40)
	before := tree(t, dir)
	if res := repair(t, "fine", dir); len(res.Problems) > 0 {
		t.Errorf("%+v", res)
	}
	for name, data := range tree(t, dir) {
		if before[name] != data {
			t.Errorf("%s was changed", name)
		}
	}
	flip(t, filepath.Join(dir, catalogName), 30)
	before = tree(t, dir)
	var damage *archive.DamageError
	if _, err := archive.Repair(t.Context(), dir, options(nil), archive.RepairOptions{}); !errors.As(err, &damage) {
		t.Errorf("a damaged catalog: %v, want *DamageError", err)
	}
	for name, data := range tree(t, dir) {
		if before[name] != data {
			t.Errorf("%s was changed", name)
		}
	}
}

// TestRepairNamesWhatIsLost: what the server no longer has is named, at once and ever after.
func TestRepairNamesWhatIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(30, 43)
	if _, err := export(dir, nil, list, 8); err != nil {
		t.Fatal(err)
	}
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := archive.Key{Mailbox: 1, Epoch: 1, UID: list[0].uid}
	if err := errors.Join(w.SetGone(true, gone), w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	place := r.Message(gone).Place
	_ = r.Close()
	name := filepath.Join(dir, fmt.Sprintf("segments/%06d.tar.zst", place.Segment))
	zeros(t, name, place.Frame, 40)
	octets, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	res := repair(t, "lost", dir)
	if len(res.Lost) != 1 || res.Lost[0].Key != gone || len(res.Awaited) == 0 {
		t.Fatalf("lost %v, awaited %v", res.Lost, res.Awaited)
	}
	never := res.Awaited[0].Key
	left := slices.DeleteFunc(slices.Clone(list), func(m mail) bool {
		return m.uid == gone.UID || m.uid == never.UID
	})
	if _, err := export(dir, nil, left, 8); err != nil {
		t.Fatal(err)
	}
	after := verifyClean(t, dir)
	if len(after.Awaited) > 0 || len(after.Lost) != 2 {
		t.Errorf("awaited %v, lost %v, want two lost", after.Awaited, after.Lost)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "damaged", fmt.Sprintf("%06d-%d.zst", place.Segment, place.Frame)))
	if err != nil || !bytes.HasPrefix(octets[place.Frame:], kept) || len(kept) == 0 {
		t.Errorf("the damaged octets were not kept: %v", err)
	}
}

// TestRepairRescuesAll damages the checksum at the end of every mail frame: each message can still be read, and is stored again
// with its flags, in its epoch, gone or not.
func TestRepairRescuesAll(t *testing.T) {
	dir, list := runs(t, 30, 50, 80)
	w, err := open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := archive.Key{Mailbox: 1, Epoch: 2, UID: list[0].uid}
	if err := errors.Join(w.SetGone(true, gone), w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	want := contents(t, dir)
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	mail := mailFrames(t, dir)
	hurt := 0
	for i, name := range names {
		before := int64(0)
		for _, at := range recordFrames(t, name) {
			frame := func(p archive.Place) bool {
				return p.Segment == uint32(i+1) && p.Frame >= before && p.Frame < at
			}
			if slices.ContainsFunc(mail, frame) { // not every commit has mail
				flip(t, name, at-1)
				hurt++
			}
			before = at
		}
	}
	records := verify(t, dir).Messages
	res := repair(t, "checksums", dir)
	if res.Frames != hurt || len(res.Awaited) > 0 || len(res.Lost) > 0 || res.Rescued < records {
		t.Errorf("%d frames hurt: %d put aside, %d of %d messages rescued, awaited %v, lost %v", hurt, res.Frames, res.Rescued, records,
			res.Awaited, res.Lost)
	}
	verifyClean(t, dir)
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if m := r.Message(gone); m == nil || !m.Gone {
		t.Errorf("a message that had left the server is %+v now", m)
	}
	for _, mbox := range r.Mailboxes() {
		if r.Epoch(mbox.ID).State != nil {
			t.Errorf("%s still counts as copied whole", mbox.Name())
		}
	}
	inTree(t, "checksums", dir)
	w, err = open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.SetGone(false, gone), w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	wholeAfter(t, "checksums", dir, list)
	compare(t, "checksums", expected(list), append(want, line(list[0].mailbox, list[0].uid, list[0].date, list[0].flags, sumOf(list[0].body))))
}

// mailFrames are the places of all messages.
func mailFrames(t *testing.T, dir string) (list []archive.Place) {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, mbox := range r.Mailboxes() {
		for m := range r.Messages(mbox.ID) {
			list = append(list, m.Place)
		}
	}
	return list
}

func verify(t *testing.T, dir string) *archive.VerifyResult {
	t.Helper()
	res, err := archive.Verify(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestRepairCrash dies before and after every durable step of a repair, and lets each fail; then it repairs again.
func TestRepairCrash(t *testing.T) {
	base, list := runs(t, 20, 30, 45)
	hurt := copyDir(t, base)
	names, err := filepath.Glob(filepath.Join(hurt, "segments", "*"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	frames := recordFrames(t, names[0])
	flip(t, names[0], frames[0]-2)  // the checksum of the first frame of mail
	flip(t, names[0], frames[1]+20) // a copy of records
	flip(t, names[0], fileSize(t, names[0])-20)
	truncate(t, names[len(names)-1], fileSize(t, names[len(names)-1])/2)
	for _, missing := range []bool{false, true} {
		if missing {
			if err := os.Remove(names[1]); err != nil {
				t.Fatal(err)
			}
		}
		ops := make(map[int]durable.Op)
		count := durable.New(func(s durable.Step, _ bool) error {
			ops[s.N] = s.Op
			return nil
		})
		clean, err := archive.Repair(t.Context(), copyDir(t, hurt), options(count), archive.RepairOptions{GiveUpMissing: true})
		if err != nil || clean.Rescued == 0 && !missing {
			t.Fatalf("%+v, %v", clean, err)
		}
		cases := 0
		for n := 1; n <= count.Steps(); n++ {
			for name, hook := range map[string]durable.Hook{
				"die before": killAt(n, false), "die after": killAt(n, true),
				"fail before": failStep(n, false, false, errKilled), "fail after": failStep(n, true, false, errKilled),
			} {
				if missing && testing.Short() {
					continue
				}
				what := fmt.Sprintf("%s step %d (%s)", name, n, ops[n])
				dir := copyDir(t, hurt)
				_, err := archive.Repair(t.Context(), dir, options(durable.New(hook)), archive.RepairOptions{GiveUpMissing: true})
				if !errors.Is(err, errKilled) && ops[n] != durable.OpChmod {
					t.Errorf("%s: %v", what, err)
				}
				res := repair(t, what, dir)
				if len(res.Awaited) != len(clean.Awaited) {
					t.Errorf("%s: %d messages awaited, %d without a crash: what could be read was lost", what, len(res.Awaited), len(clean.Awaited))
				}
				wholeAfter(t, what, dir, list)
				cases++
				_ = os.RemoveAll(dir)
			}
		}
		t.Logf("segment missing: %v: %d steps, %d crashes", missing, count.Steps(), cases)
	}
}
