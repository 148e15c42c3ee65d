package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/internal/spool"
)

// powerCut is a power cut, or two.
type powerCut struct {
	step   int  // of the run
	second int  // of the run that recovers; 0: none
	killed bool // at step the process was only killed, and the power cut came at the second one
	failed bool // the sync at step failed before that
	seed   uint64
	forget func() func(durable.Step) bool
}

// try breaks a scenario off and says what of the promises was not kept: what was committed is there and can be read, nothing
// looks damaged, the same run goes on and comes to the same end.
func (p powerCut) try(t *testing.T, sc scenario, base string, want []string) error {
	t.Helper()
	dir := copyDir(t, base)
	defer func() { _ = os.RemoveAll(dir) }()
	rng := rand.New(rand.NewPCG(p.seed, uint64(p.step)))
	d := newDisk(t, dir)
	if p.forget != nil {
		d.forget = p.forget()
	}
	stops := []int{p.step}
	if p.second > 0 {
		stops = append(stops, p.second)
	}
	ended := false
	for i, n := range stops {
		d.failing = p.failed && i == 0
		err := sc.run(dir, durable.New(d.until(n)))
		if err != nil && !errors.Is(err, errKilled) {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
		ended = err == nil
		if p.killed && i == 0 {
			continue
		}
		promised, err := d.cut(rng)
		if err != nil {
			t.Fatal(err)
		}
		if sc.hurt {
			promised = nil // the catalog never promised that its messages can be read
		}
		if err := errors.Join(kept(filepath.Join(dir, "a"), promised), sc.check(dir, nil)); err != nil {
			return fmt.Errorf("after cut %d: %w", i+1, err)
		}
		forget := d.forget
		d = newDisk(t, dir)
		d.forget = forget
	}
	if !ended { // who said it was done needs no other run
		if err := sc.run(dir, durable.New(lazy)); err != nil {
			return fmt.Errorf("last run: %w", err)
		}
	}
	got, err := sc.got(dir)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d lines that differ from the %d there should be", len(got), len(want))
	}
	return nil
}

// kept says which messages of a catalog an archive does not give back, and whether README.txt is whole.
func kept(dir string, catalog []byte) error {
	if len(catalog) == 0 {
		return nil
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return err
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(catalog, nil)
	if err != nil {
		return err
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if readme, err := os.ReadFile(filepath.Join(dir, "README.txt")); err != nil || !bytes.HasPrefix(readme, []byte("This directory")) ||
		!bytes.HasSuffix(readme, []byte("\n")) {
		return fmt.Errorf("README.txt is %.80q, %w", readme, errors.Join(err, fs.ErrInvalid))
	}
	sp := spool.New("")
	for line := range bytes.Lines(plain) {
		var m struct {
			T                   string
			Mailbox, Epoch, UID uint32
			SHA256              string
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		if m.T != "message" {
			continue
		}
		msg := r.Message(archive.Key{Mailbox: m.Mailbox, Epoch: m.Epoch, UID: m.UID})
		if msg == nil || msg.Sum.String() != m.SHA256 {
			return fmt.Errorf("mailbox %d UID %d was archived and is lost", m.Mailbox, m.UID)
		}
		if err := r.Load(context.Background(), msg, sp); err != nil {
			return fmt.Errorf("mailbox %d UID %d was archived: %w", m.Mailbox, m.UID, err)
		}
	}
	return nil
}

// cuts are the power cuts to try at a step.
func cuts(step, steps int, seed uint64) []powerCut {
	const recovery = 12
	s := int(seed)
	return []powerCut{
		{step: step, seed: seed},
		{step: step, second: 1 + (step+s)%recovery, seed: seed + 1},
		{step: step, second: 2 + (step*3+s)%(steps+recovery), killed: true, seed: seed + 2},
	}
}

// rounds is how many times each step gets its power cuts: MAILARK_ROUNDS, else once.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("MAILARK_ROUNDS")); err == nil {
		return n
	}
	return 1
}

// TestPowerCut cuts the power at every step of every scenario, again while the next run recovers, and also some time after
// a process was killed.
func TestPowerCut(t *testing.T) {
	for _, sc := range archives() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base := sc.begin(t)
			want, steps := sc.clean(t, base)
			n, done := 0, 0
			for i := range rounds() * len(steps) {
				for _, cut := range cuts(1+i%len(steps), len(steps), 10*uint64(i)) {
					if n++; testing.Short() && n%3 > 0 || rounds() == 1 && cut.second > 0 && cut.killed == (i%2 == 0) {
						continue // of the two kinds of double trouble each step gets one
					}
					if rounds() == 1 && sc.hurt && (cut.second > 0) == (i%2 == 0) {
						continue // of plain and double trouble each step of rebuild and repair gets one
					}
					if err := cut.try(t, sc, base, want); err != nil {
						t.Errorf("%+v: %v", cut, err)
					}
					done++
				}
			}
			t.Logf("%d steps, %d power cuts", len(steps)-1, done)
		})
	}
}
