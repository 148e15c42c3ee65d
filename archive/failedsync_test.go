package archive_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"mailark/internal/durable"
)

// failSync is a sync that fails as on Linux: what should have been written stays in memory and can be read, but counts as
// written, so that the next sync leaves it out and does not fail.
func (d *disk) failSync(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	data, err := os.ReadFile(path)
	node := d.live[path]
	node.clean = make([]bool, len(data))
	for i, b := range data {
		node.clean[i] = i >= len(node.synced) || node.synced[i] != b
	}
	return err
}

// written is what a file's octets are on the disk once all is written that counts as not written yet.
func (n *inode) written(data []byte) []byte {
	data = slices.Clone(data)
	for i, clean := range n.clean[:min(len(n.clean), len(data))] {
		switch {
		case clean && i < len(n.synced):
			data[i] = n.synced[i]
		case clean:
			data[i] = 0
		}
	}
	return data
}

// rewrite is called before and after a write, and notices what was written once more. A step does not say where it writes:
// so before it all clean octets are turned round, and those that still are after it are turned back.
func (d *disk) rewrite(path string, done bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	node := d.live[path]
	if node == nil || !slices.Contains(node.clean, true) {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !done {
		node.before = slices.Clone(data)
	}
	for i, clean := range node.clean {
		switch turned := node.before[i] ^ 0xff; {
		case clean && !done:
			data[i] = turned
		case clean && data[i] == turned:
			data[i] = node.before[i]
		case clean:
			node.clean[i] = false
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return errors.Join(err, f.Close())
}

// TestPowerCutAfterFailedSync lets the sync of a segment at a commit fail, and kills the process; the next run finds the commit
// whole in memory, and the power is cut while it goes on, or after it. Seals are left out: of a sealed segment that is
// found nothing is written once more.
func TestPowerCutAfterFailedSync(t *testing.T) {
	const points = 10 // of the run that goes on, in each round
	for _, sc := range archives() {
		if sc.name != "incremental export" && sc.name != "sealing" {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base := sc.begin(t)
			want, steps := sc.clean(t, base)
			var syncs []int
			atCommit := ofSegment(false)()
			err := sc.run(copyDir(t, base), durable.New(func(s durable.Step, done bool) error {
				if !done && atCommit(s) {
					syncs = append(syncs, s.N)
				}
				return lazy(s, done)
			}))
			if err != nil || len(syncs) == 0 {
				t.Fatalf("%d commits, %v", len(syncs), err)
			}
			done := 0
			for _, n := range syncs {
				for second := 2 + n%3; second <= len(steps)+20; second += 1 + len(steps)/(points*rounds()) {
					cut := powerCut{step: n, second: second, killed: true, failed: true, seed: uint64(second)}
					if err := cut.try(t, sc, base, want); err != nil {
						t.Errorf("%+v: %v", cut, err)
					}
					done++
				}
			}
			t.Logf("%d commits, %d power cuts", len(syncs), done)
		})
	}
}
