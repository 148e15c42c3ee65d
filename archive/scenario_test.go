package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/maildirx"
)

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
		return lazy(s, done)
	}
}

// lazy is a hook that leaves out the syncs, which only a power cut would miss.
func lazy(s durable.Step, done bool) error {
	if !done && (s.Op == durable.OpSync || s.Op == durable.OpSyncDir) {
		return durable.ErrSkip
	}
	return nil
}

// scenario is something that is done to the archive "a" in a directory, and that may be broken off at any step.
type scenario struct {
	name  string
	base  func(dir string) error                 // makes what is there before; nil: nothing
	hurt  bool                                   // what is there before is damaged
	run   func(dir string, fs *durable.FS) error // the same again goes on where it was broken off
	check func(dir string, want []string) error  // what must hold when it was broken off
	got   func(dir string) ([]string, error)     // everything there is when it has come to its end
}

// scenarios are what happens in the life of an archive.
func scenarios() []scenario {
	first := sample(60, 3)
	second := append(slices.Clone(first), sample(90, 4)[60:]...)
	second[5].flags = []string{`\Deleted`, "k"}
	ran := func(list []mail, validity uint32) func(string, *durable.FS) error {
		return func(dir string, fs *durable.FS) error {
			_, err := export(filepath.Join(dir, "a"), fs, list, validity)
			return err
		}
	}
	base := func(dir string) error { return ran(first, 7)(dir, durable.New(lazy)) }
	list := []scenario{
		{name: "first export", run: ran(first, 7), got: all},
		{name: "incremental export", base: base, run: ran(second, 7), got: all},
		{name: "UIDVALIDITY", base: base, run: ran(second, 8), got: all},
		{name: "sealing", base: base, run: sealOften(second[:75]), got: all},
		{name: "run end", base: base, run: func(dir string, fs *durable.FS) error { return changesOnly(dir, fs, first) }, got: all},
		{name: extractName, base: func(dir string) error { return ran(first[:12], 7)(dir, durable.New(lazy)) }, run: extractTree, check: wholeFiles, got: extractedLines},
	}
	list = append(list, mendings()...)
	for i := range list {
		if list[i].check == nil {
			list[i].check = harmless
		}
	}
	return list
}

const extractName = "extract"

// harmless says what is wrong with an archive that nobody has opened for writing since its writer died: there must be nothing.
func harmless(dir string, _ []string) error {
	dir = filepath.Join(dir, "a")
	if _, err := os.Stat(filepath.Join(dir, "archive.json")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return verified(dir)
}

// archives are the scenarios that write into an archive.
func archives() []scenario {
	return slices.DeleteFunc(scenarios(), func(sc scenario) bool { return sc.name == extractName })
}

// sealOften exports with segments so small that nearly every commit is followed by a seal.
func sealOften(list []mail) func(string, *durable.FS) error {
	return func(dir string, fs *durable.FS) error {
		opts := options(fs)
		opts.FrameSize, opts.SegmentSize = 4<<10, 2<<10
		_, err := exportWith(filepath.Join(dir, "a"), opts, list, 7)
		return err
	}
}

// changesOnly is a run without new mail: flags, keywords, messages that are gone, a mailbox that has left the server and
// one that is no longer subscribed to; at its end uidlists, keywords and subscriptions are written.
func changesOnly(dir string, fs *durable.FS, list []mail) (err error) {
	opts := options(fs)
	opts.SegmentSize = 4 << 10
	w, err := archive.OpenWriter(filepath.Join(dir, "a"), opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.BeginRun(archive.Source{Host: "h", User: "u"}); err != nil {
		return err
	}
	if _, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: raw("INBOX"), Delim: "/"}); err != nil {
		return err
	}
	if err := errors.Join(w.SetUnlisted(2), w.SetGone(true, archive.Key{Mailbox: 1, Epoch: 1, UID: 1}, archive.Key{Mailbox: 1, Epoch: 1, UID: 7})); err != nil {
		return err
	}
	for i, m := range list {
		if i%4 > 0 {
			continue
		}
		k := archive.Key{Mailbox: uint32(i%3) + 1, Epoch: 1, UID: m.uid}
		if _, err := w.SetFlags(k, []string{`\Answered`, fmt.Sprintf("new%d", i%8)}); err != nil {
			return err
		}
		if i%16 == 0 {
			if err := w.Commit(); err != nil {
				return err
			}
		}
	}
	for mailbox := uint32(1); mailbox <= 3; mailbox++ {
		st := archive.State{Exists: 18, UIDNext: 1 << 20, HighestModSeq: 9}
		if err := w.SetState(archive.Key{Mailbox: mailbox, Epoch: 1}, st); err != nil {
			return err
		}
	}
	return w.EndRun(0, "done")
}

// all is everything that the archive gives back, once it has been verified: messages with their flags, what is gone, the
// members of its tar.
func all(dir string) ([]string, error) {
	dir = filepath.Join(dir, "a")
	if err := verified(dir); err != nil {
		return nil, err
	}
	lines, err := gather(dir)
	if err != nil {
		return nil, err
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	for _, mbox := range r.Mailboxes() {
		lines = append(lines, fmt.Sprintf("mailbox %q listed %v subscribed %v keywords %q", mbox.Name(), mbox.Listed, mbox.Subscribed, mbox.Keywords))
		for _, e := range mbox.Epochs {
			lines = append(lines, fmt.Sprintf("epoch %d %d %v", e.N, e.UIDValidity, e.State != nil))
		}
		for m := range r.Messages(mbox.ID) {
			lines = append(lines, fmt.Sprintf("message %v gone %v flags %q", m.Key, m.Gone, m.Flags))
		}
	}
	return lines, nil
}

// verified says what is wrong with an archive.
func verified(dir string) error {
	res, err := archive.Verify(context.Background(), dir, nil, nil)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if len(res.Problems) > 0 || len(res.Damaged) > 0 {
		return fmt.Errorf("verify: %v, damaged %v", res.Problems, res.Damaged)
	}
	return nil
}

// extractTree extracts the archive into a tree, after removing one that is there.
func extractTree(dir string, fs *durable.FS) (err error) {
	r, err := archive.Open(filepath.Join(dir, "a"), &archive.Options{FS: fs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	out := filepath.Join(dir, "out")
	if err := os.RemoveAll(filepath.Join(out, "Maildir")); err != nil {
		return err
	}
	_, err = r.Extract(context.Background(), out, archive.ExtractOptions{})
	return err
}

// wholeFiles says which message files of a broken-off tree are not what they should be.
func wholeFiles(dir string, want []string) error {
	if _, err := os.Stat(filepath.Join(dir, "out", "Maildir", "cur")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lines, err := extractedLines(dir)
	for _, l := range lines {
		if !slices.Contains(want, l) {
			return fmt.Errorf("a file that is not whole: %s", l)
		}
	}
	return err
}

// extractedLines is every message of the tree.
func extractedLines(dir string) ([]string, error) {
	var lines []string
	err := maildirx.Walk(filepath.Join(dir, "out", "Maildir"), func(path []string, dir string) error {
		files, err := maildirx.Messages(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the directory was just being made
		}
		for _, f := range files {
			l, err := fileLine(strings.Join(path, "/"), f)
			if err != nil {
				return err
			}
			lines = append(lines, l)
		}
		return err
	})
	slices.Sort(lines)
	return lines, err
}

// begin makes a directory with what a scenario begins with.
func (sc scenario) begin(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "base")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if sc.base != nil {
		if err := sc.base(dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clean runs a scenario without a crash. It returns what there is then, and the steps, from 1.
func (sc scenario) clean(t *testing.T, base string) (want []string, steps []durable.Step) {
	t.Helper()
	dir := copyDir(t, base)
	steps = []durable.Step{{}}
	count := durable.New(func(s durable.Step, done bool) error {
		if !done {
			steps = append(steps, s)
		}
		return lazy(s, done)
	})
	if err := sc.run(dir, count); err != nil {
		t.Fatal(err)
	}
	want, err := sc.got(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 12 {
		t.Fatalf("only %d lines: %q", len(want), want)
	}
	return want, steps
}

// goesOn runs a scenario again that was broken off, and compares everything.
func (sc scenario) goesOn(t *testing.T, what, dir string, want []string) {
	t.Helper()
	if err := sc.check(dir, want); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if err := sc.run(dir, durable.New(lazy)); err != nil {
		t.Fatalf("%s: run again: %v", what, err)
	}
	got, err := sc.got(dir)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	compare(t, what, got, want)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
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
