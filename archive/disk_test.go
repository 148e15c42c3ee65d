package archive_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailark/internal/durable"
)

// disk is a model of what is on a disk beneath a directory while what was written is still in memory. After a power cut there
// is what was synced; of the rest there may be anything: files in another order than they were written, names that are
// missing or still the old ones, files cut short, blocks behind their old end that are old, zero or garbage; of what was
// written over in place blocks are the old or the new ones.
type disk struct {
	root    string
	forget  func(s durable.Step) bool // sees every step and says which syncs this disk loses; nil: none
	failing bool                      // the sync that until stops at fails
	mu      sync.Mutex
	live    map[string]*inode // by path: what a program sees
	sure    map[string]*inode // by path: what a sync of the directory has made certain
	changes []change          // of names, not synced yet
	// promised is the catalog as it was when its last sync returned: what its writer counts on.
	promised []byte
}

// inode is a file or a directory.
type inode struct {
	dir    bool
	synced []byte // what a sync of the file has made certain
	kept   int    // of these, octets that have never been cut off since: they are old or new, and nothing else
	clean  []bool // octets in memory only that count as written, since a sync failed: see failedsync_test.go
	before []byte // what the file held before a write
}

// sync makes certain what a file holds now.
func (n *inode) sync(data []byte) {
	n.synced = n.written(data)
	n.kept = len(data)
}

// change is a name made, moved or removed.
type change struct {
	op       durable.Op
	from, to string
	node     *inode
}

// newDisk is a disk on which everything beneath root has been synced.
func newDisk(t *testing.T, root string) *disk {
	t.Helper()
	d := &disk{root: root, live: make(map[string]*inode), sure: make(map[string]*inode)}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root || filepath.Base(path) == "lock" { // whose content and name mean nothing
			return err
		}
		node := &inode{dir: e.IsDir()}
		if !node.dir {
			var data []byte
			data, err = os.ReadFile(path)
			node.sync(data)
		}
		d.live[path], d.sure[path] = node, node
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// until is a hook for one process, which stops (killed, or by the power cut) before step n.
func (d *disk) until(n int) durable.Hook {
	return func(s durable.Step, done bool) error {
		if s.N == n && !done && d.failing && s.Op == durable.OpSync {
			return errors.Join(errKilled, d.failSync(s.Path))
		}
		if s.N >= n {
			return errKilled
		}
		if s.Op == durable.OpWrite {
			if err := d.rewrite(s.Path, done); err != nil {
				return err
			}
		}
		if done {
			return d.note(s)
		}
		return lazy(s, done)
	}
}

// note keeps account of a step that was done.
func (d *disk) note(s durable.Step) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	forgotten := d.forget != nil && d.forget(s)
	switch s.Op {
	case durable.OpCreate, durable.OpMkdir:
		if d.live[s.Path] != nil {
			return nil // emptied
		}
		node := &inode{dir: s.Op == durable.OpMkdir}
		d.live[s.Path] = node
		d.changes = append(d.changes, change{op: s.Op, to: s.Path, node: node})
	case durable.OpRename:
		node := d.live[s.From]
		delete(d.live, s.From)
		d.live[s.Path] = node
		d.changes = append(d.changes, change{op: s.Op, from: s.From, to: s.Path, node: node})
	case durable.OpRemove:
		delete(d.live, s.Path)
		d.changes = append(d.changes, change{op: s.Op, from: s.Path})
	case durable.OpSync:
		data, err := os.ReadFile(s.Path)
		if filepath.Base(s.Path) == "catalog.jsonl.zst" {
			d.promised = data
		}
		if !forgotten {
			d.live[s.Path].sync(data)
		}
		return err
	case durable.OpTruncate:
		info, err := os.Stat(s.Path)
		if err != nil {
			return err
		}
		node := d.live[s.Path]
		node.kept = min(node.kept, int(info.Size()))
		node.clean = node.clean[:min(len(node.clean), int(info.Size()))]
	case durable.OpSyncDir:
		if !forgotten {
			d.syncDir(s.Path)
		}
	}
	return nil
}

func (d *disk) syncDir(dir string) {
	d.changes = slices.DeleteFunc(d.changes, func(c change) bool {
		here := filepath.Dir(c.to) == dir || filepath.Dir(c.from) == dir
		if here {
			c.apply(d.sure)
		}
		return here
	})
}

func (c change) apply(names map[string]*inode) {
	delete(names, c.from)
	if c.to != "" {
		names[c.to] = c.node
	}
}

// cut leaves beneath the root what is there after a power cut. The catalog that was promised is returned.
func (d *disk) cut(rng *rand.Rand) (promised []byte, err error) {
	content := make(map[*inode][]byte)
	for path, node := range d.live {
		if node.dir {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		content[node] = node.written(data)
	}
	names := make(map[string]*inode)
	for path, node := range d.sure {
		names[path] = node
	}
	for _, c := range d.changes {
		if rng.IntN(2) == 0 {
			c.apply(names)
		}
	}
	entries, err := os.ReadDir(d.root)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.root, e.Name())))
	}
	paths := make([]string, 0, len(names))
	for path := range names {
		paths = append(paths, path)
	}
	slices.SortFunc(paths, strings.Compare) // a directory comes before what is in it
	for _, path := range paths {
		node := names[path]
		if _, lost := os.Stat(filepath.Dir(path)); lost != nil {
			continue
		}
		if node.dir {
			err = errors.Join(err, os.Mkdir(path, 0o700))
			continue
		}
		now, ok := content[node]
		if !ok {
			now = node.synced // it has lost its name to another file
		}
		err = errors.Join(err, os.WriteFile(path, tear(node, now, rng), 0o600))
	}
	return d.promised, err
}

// tear is what a file may hold that was once synced and has changed since.
func tear(node *inode, now []byte, rng *rand.Rand) []byte {
	synced, same := node.synced, 0
	for same < min(len(synced), len(now)) && synced[same] == now[same] {
		same++
	}
	if same == len(now) && same == len(synced) {
		return now
	}
	size := len(now)
	switch longest := max(len(synced), len(now)); rng.IntN(4) {
	case 0:
		size = same + rng.IntN(longest-same+1)
	case 1:
		size = len(synced)
	}
	size = max(size, node.kept)
	data := make([]byte, size)
	copy(data, now)
	block := []int{37, 128, 512, 4096}[rng.IntN(4)]
	for at, end := same, 0; at < size; at = end {
		end = min(at+block, size)
		if at < node.kept {
			end = min(end, node.kept)
			if rng.IntN(4) == 0 {
				copy(data[at:end], synced[at:])
			}
			continue
		}
		part := data[at:end]
		switch rng.IntN(8) {
		case 0:
			clear(part)
		case 1:
			for i := range part { // what an earlier file has left there
				part[i] = byte(rng.Uint32())
			}
		case 2:
			clear(part)
			if at < len(synced) {
				copy(part, synced[at:])
			}
		}
	}
	return data
}
