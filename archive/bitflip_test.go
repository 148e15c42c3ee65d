package archive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// tiny makes an archive of few octets in which there is everything: two segments, one of them sealed, a hard link, a message
// that is gone, keywords, flags that have changed.
func tiny(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, zone(9))
	list := []mail{
		{mailbox: "INBOX", uid: 1, date: date, flags: []string{`\Seen`}, body: []byte("Subject: a\r\n\r\none\r\n")},
		{mailbox: "Sent", uid: 5, date: date, flags: []string{"k"}, body: []byte("Subject: b\r\n\r\ntwo\r\n")},
	}
	for run := range 2 {
		if run == 1 {
			list[0].flags = nil
			list = append(list, mail{mailbox: "Sent", uid: 6, date: date, body: list[0].body},
				mail{mailbox: "INBOX", uid: 2, date: date, body: []byte("Subject: c\r\n\r\nthree\r\n")})
		}
		if _, err := export(dir, nil, list, 7); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// outcome is what a user gets out of an archive: for each message its mailbox, date, flags and octets, or "" where there is an
// error instead.
type outcome map[archive.Key]string

// yield reads everything an archive gives.
func yield(dir string, sp *spool.Spool) (outcome, error) {
	r, err := archive.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	out := make(outcome)
	for _, mbox := range r.Mailboxes() {
		for m := range r.Messages(mbox.ID) {
			var octets string
			if err := r.Load(context.Background(), m, sp); err == nil {
				octets = fmt.Sprintf("%s %s %v %v %v %x", mbox.Name(), r.File(m), m.InternalDate, m.Flags, m.Gone, sp.Sum())
			}
			out[m.Key] = octets
		}
	}
	return out, r.Damage()
}

// verdict compares what a damaged archive gives with what it should, and with what Verify says of it. changed: a user would
// notice.
func verdict(dir string, want outcome, sp *spool.Spool) (changed bool, err error) {
	got, openErr := yield(dir, sp)
	res, verifyErr := archive.Verify(context.Background(), dir, nil, nil)
	named := make(map[archive.Key]bool)
	noticed := verifyErr != nil || len(res.Problems) > 0
	if res != nil {
		for _, d := range res.Damaged {
			named[d.Key] = true
		}
	}
	var wrong []error
	for k, w := range want {
		g, there := got[k]
		if g == w {
			if named[k] {
				wrong = append(wrong, fmt.Errorf("%v is named as damaged, and is not", k))
			}
			continue
		}
		changed = true
		switch {
		case g != "":
			wrong = append(wrong, fmt.Errorf("%v: given out wrong: %s, want %s", k, g, w))
		case there && !named[k]:
			wrong = append(wrong, fmt.Errorf("%v cannot be read, and verify does not name it", k))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			wrong = append(wrong, fmt.Errorf("%v has never been archived", k))
		}
	}
	if (changed || openErr != nil) && !noticed {
		wrong = append(wrong, fmt.Errorf("verify finds nothing (opening: %w)", errors.Join(openErr, errors.New("changed"))))
	}
	return changed, errors.Join(wrong...)
}

// TestEveryBit flips one bit of each octet of a tiny archive, one after the other, and with MAILARK_BITS=8 all of them. What is
// given out is right or an error; what is not as it was, verify reports, and names each message that is hurt; all
// others can be read.
func TestEveryBit(t *testing.T) {
	base := tiny(t)
	want, err := yield(base, spool.New(""))
	if err != nil || len(want) != 4 {
		t.Fatalf("%d messages, %v", len(want), err)
	}
	bits := 1
	if os.Getenv("MAILARK_BITS") == "8" {
		bits = 8
	}
	step := int64(1)
	if testing.Short() {
		step = 8 // as under the race detector, which needs each path once
	}
	type flip struct {
		file string
		at   int64
		bit  int
	}
	flips := make(chan flip, 100)
	var mu sync.Mutex
	hurt, silent := make(map[string]int), make(map[string]int)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		dir := copyDir(t, base)
		group.Go(func() {
			sp := spool.New("")
			for f := range flips {
				restore := flipBit(t, filepath.Join(dir, f.file), f.at, f.bit)
				changed, err := verdict(dir, want, sp)
				restore()
				if err != nil {
					t.Errorf("%s octet %d bit %d: %v", f.file, f.at, f.bit, err)
				}
				mu.Lock()
				if changed {
					hurt[f.file]++
				} else {
					silent[f.file]++
				}
				mu.Unlock()
			}
		})
	}
	n := 0
	for _, file := range filesOf(t, base) {
		for at := int64(0); at < fileSize(t, filepath.Join(base, file)); at += step {
			for i := range bits {
				flips <- flip{file, at, (int(at/step) + i) % 8}
				n++
			}
		}
	}
	close(flips)
	group.Wait()
	t.Logf("%d bits flipped; with consequences: %v; without: %v", n, hurt, silent)
	if len(hurt) < 3 {
		t.Errorf("only %v were ever hurt", hurt)
	}
}

// filesOf are the files of an archive that mail depends on.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	names := []string{"archive.json", "catalog.jsonl.zst", "SHA256SUMS"}
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range segments {
		names = append(names, filepath.Join("segments", filepath.Base(path)))
	}
	slices.Sort(names)
	return names
}

// flipBit turns one bit of a file where it lies, and returns what turns it back.
func flipBit(t *testing.T, path string, at int64, bit int) (restore func()) {
	t.Helper()
	turn := func() {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = f.Close() }()
		var b [1]byte
		_, err = f.ReadAt(b[:], at)
		b[0] ^= 1 << bit
		_, werr := f.WriteAt(b[:], at)
		if err := errors.Join(err, werr); err != nil {
			t.Error(err)
		}
	}
	turn()
	return turn
}
