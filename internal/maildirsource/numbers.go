package maildirsource

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"mailark/maildirx"
)

// A message keeps the UID it was once given. Where the tree has UIDs (a dovecot-uidlist, a courierimapuiddb, mbsync's
// names), they are taken, with their UIDVALIDITY. Messages they do not have yet get UIDs from firstOwn on, so that
// what the mail program will give them later belongs to nobody else; without any in the tree, all messages get UIDs
// from 1 on. UIDs given here are written down in Options.State before anybody learns of them, and never given twice.
const firstOwn = 1 << 31

// validityFile is mbsync's: UIDVALIDITY and the highest UID, a line each.
const validityFile = ".uidvalidity"

// treeUIDs are the UIDs in the tree.
type treeUIDs struct {
	validity uint32
	next     uint32
	byBase   map[string]uint32 // nil: in the names (mbsync)
}

// number gives the messages their UIDs and tells UIDVALIDITY and UIDNEXT.
func (t *Tree) number(dir *os.Root, b *box, list []message) (validity, next uint32, err error) {
	t.numbering.Lock()
	defer t.numbering.Unlock()
	found, err := readUIDs(dir)
	if errors.Is(err, maildirx.ErrFormat) || errors.Is(err, fs.ErrPermission) {
		t.opts.Log.Warn("the UIDs of the mail program cannot be used; others are given", "mailbox", b.name, "reason", err)
		found, err = nil, nil
	}
	if err != nil {
		return 0, 0, err
	}
	given, err := t.given(b, found)
	if err != nil {
		return 0, 0, err
	}
	fresh := given.assign(list, found)
	if uint64(len(fresh)) > uint64(math.MaxUint32-given.next) {
		return 0, 0, errors.New("there are no UIDs left to give")
	}
	for _, m := range fresh {
		m.uid = given.next
		given.next++
		given.note(m)
	}
	if err := t.save(b, given); err != nil {
		return 0, 0, err
	}
	next = given.next
	if found != nil && next == firstOwn {
		next = found.next
	}
	return given.validity, next, nil
}

// given is what was given to messages of a mailbox before, or nothing yet.
func (t *Tree) given(b *box, found *treeUIDs) (*givenUIDs, error) {
	old, err := t.load(b)
	if err != nil {
		return nil, err
	}
	validity, highest := t.opts.Known(b.raw)
	g := old
	switch {
	case found != nil && (old == nil || old.own || old.validity != found.validity):
		g = newGiven(found.validity, firstOwn, false)
	case found == nil && (old == nil || !old.own):
		fresh := uint32(max(1, t.opts.Now().Unix()&math.MaxInt32))
		for fresh == validity || old != nil && fresh == old.validity {
			fresh++
		}
		g = newGiven(fresh, 1, true)
	}
	// If what was written down is older than the archive, no UID of the archive is given to another message.
	if g.validity == validity && highest >= g.next {
		g.next = highest
		if highest < math.MaxUint32 {
			g.next++
		}
	}
	return g, nil
}

// givenUIDs are the UIDs written down for one mailbox.
type givenUIDs struct {
	validity uint32
	next     uint32
	own      bool // UIDVALIDITY is ours, not the tree's
	byKey    map[string]uint32
	byUID    map[uint32]bool
	dirty    bool // not saved yet
}

func newGiven(validity, next uint32, own bool) *givenUIDs {
	return &givenUIDs{validity: validity, next: next, own: own, byKey: map[string]uint32{}, byUID: map[uint32]bool{}}
}

// key is a message as it is written down: what identifies it, and its size, for a name that is used again.
func key(m *message) string {
	id := m.file
	if m.alone {
		id = identity(m)
	}
	return id + "/" + strconv.FormatInt(m.size, 10)
}

func (g *givenUIDs) note(m *message) {
	g.byKey[key(m)], g.byUID[m.uid], g.dirty = m.uid, true, true
}

// assign gives the messages the UIDs they had before, then those of the tree, and returns the messages that have none
// yet, in the order in which they are to get one.
func (g *givenUIDs) assign(list []message, found *treeUIDs) (fresh []*message) {
	taken := make(map[uint32]bool, len(list))
	take := func(m *message, uid uint32) bool {
		if uid == 0 || taken[uid] {
			return false
		}
		m.uid, taken[uid] = uid, true
		return true
	}
	var rest []*message
	for i := range list {
		if m := &list[i]; !take(m, g.byKey[key(m)]) {
			rest = append(rest, m)
		}
	}
	// A directory has no order of its own; where two claim a UID, it is not to depend on that.
	slices.SortFunc(rest, func(a, b *message) int { return strings.Compare(a.file, b.file) })
	for _, m := range rest {
		switch {
		case found == nil || !m.alone:
			fresh = append(fresh, m)
		case found.byBase != nil:
			if uid := found.byBase[base(m.file)]; g.byUID[uid] || !take(m, uid) {
				fresh = append(fresh, m)
			}
		default:
			// Names are changed by whoever moves files about, so a UID stays with whom it was first seen.
			uid := nameUID(m.file)
			if uid >= firstOwn || g.byUID[uid] || !take(m, uid) {
				fresh = append(fresh, m)
			} else {
				g.note(m)
			}
		}
	}
	slices.SortStableFunc(fresh, func(a, b *message) int {
		return cmp.Or(cmp.Compare(a.mtime, b.mtime), strings.Compare(a.file, b.file))
	})
	return fresh
}

// readUIDs reads the UIDs in the tree; nil if there are none. An error for a file that makes no sense wraps
// maildirx.ErrFormat.
func readUIDs(dir *os.Root) (*treeUIDs, error) {
	for _, file := range []string{maildirx.UIDListFile, maildirx.CourierUIDFile} {
		var list *maildirx.UIDList
		found, err := readLines(dir, file, func(r io.Reader) (err error) {
			list, err = maildirx.ParseForeignUIDList(r)
			return err
		})
		if err != nil {
			return nil, err
		}
		if found {
			return uidsOf(file, list)
		}
	}
	var u *treeUIDs
	_, err := readLines(dir, validityFile, func(r io.Reader) (err error) {
		u, err = parseValidity(r)
		return err
	})
	return u, err
}

func uidsOf(file string, list *maildirx.UIDList) (*treeUIDs, error) {
	if list.UIDNext > firstOwn {
		return nil, fmt.Errorf("read %s: %w: UIDs up to %d", file, maildirx.ErrFormat, list.UIDNext-1)
	}
	u := &treeUIDs{validity: list.UIDValidity, next: list.UIDNext, byBase: make(map[string]uint32, len(list.Entries))}
	for _, e := range list.Entries {
		u.byBase[base(e.File)] = e.UID
	}
	return u, nil
}

// parseValidity reads mbsync's .uidvalidity.
func parseValidity(r io.Reader) (*treeUIDs, error) {
	octets, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(octets), "\n")
	validity := parseUID(lines[0])
	if validity == 0 || len(lines) < 2 {
		return nil, fmt.Errorf("read %s: %w: %.80q", validityFile, maildirx.ErrFormat, octets)
	}
	highest := parseUID(lines[1])
	if highest >= firstOwn {
		return nil, fmt.Errorf("read %s: %w: UIDs up to %d", validityFile, maildirx.ErrFormat, highest)
	}
	return &treeUIDs{validity: validity, next: highest + 1}, nil
}

// parseUID reads a number of 32 bits; 0 if it is none.
func parseUID(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
