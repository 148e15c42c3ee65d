package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"mailark/internal/session"
)

const inbox = "INBOX"

// isInbox recognises the inbox, whose name has no case (RFC 9051, section 5.1).
func isInbox(path []string) bool { return len(path) == 1 && strings.EqualFold(path[0], inbox) }

// place is what is known of the target's names.
type place struct {
	delim, prefix string
	have          map[string]*session.Mailbox // by name
	byRole        map[string]string           // role in lower case: name
}

// newPlace takes what the target lists. Where several mailboxes claim a role, the first by name has it.
func newPlace(delim, prefix string, list []session.Mailbox) *place {
	p := &place{
		delim: delim, prefix: prefix,
		have: make(map[string]*session.Mailbox, len(list)), byRole: make(map[string]string),
	}
	for i := range list {
		m := &list[i]
		if strings.EqualFold(m.Name, inbox) {
			m.Name = inbox
		}
		p.have[m.Name] = m
		for _, attr := range m.Attrs {
			role := strings.ToLower(attr)
			if other, ok := p.byRole[role]; !ok || m.Name < other {
				p.byRole[role] = m.Name
			}
		}
	}
	return p
}

// separator stands between levels; servers without a delimiter get a dot, which is an ordinary character there.
func (p *place) separator() string {
	if p.delim == "" {
		return "."
	}
	return p.delim
}

// plainName is a name with "_" for whatever servers are known to refuse in a level: the other's delimiter,
// wildcards, quotes, and what their file systems mind.
func (p *place) plainName(name string) string {
	rest, ok := strings.CutPrefix(name, p.prefix)
	if !ok {
		return name
	}
	levels := []string{rest}
	if p.delim != "" {
		levels = strings.Split(rest, p.delim)
	}
	for i, level := range levels {
		levels[i] = strings.Map(func(r rune) rune {
			if strings.ContainsRune(`./\:*?"<>|%&~^#`, r) || unicode.IsControl(r) {
				return '_'
			}
			return r
		}, level)
	}
	return p.prefix + strings.Join(levels, p.delim)
}

func (p *place) hasAttr(name, attr string) bool {
	m := p.have[name]
	return m != nil && slices.ContainsFunc(m.Attrs, func(a string) bool { return strings.EqualFold(a, attr) })
}

// movableRole is a mailbox's role if it is one that mail can be put into. \All, \Flagged and
// \Important are views of other mailboxes where they exist (RFC 6154, section 2; RFC 8457).
func movableRole(w *wanted) string {
	switch role := w.mbox.Role(); role {
	case `\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`:
		return role
	}
	return ""
}

// level is a node in the tree of the archive's mailboxes.
type level struct {
	parent *level
	name   string // of this level alone
	depth  int
	order  int     // of first sight
	box    *wanted // nil: only a level above others
	to     string  // on the target; "": not yet known
}

// namer gives every mailbox its name on the target:
//
//   - where it went in an earlier run, if it did (the ledger knows);
//   - INBOX is INBOX;
//   - a mailbox with a role goes to the target's mailbox with that role, if there is one, and its
//     children follow it; the first of several goes there;
//   - all others keep their own names, level by level, after the target's prefix. In a level the target's
//     delimiter becomes "_" ("-" where that is the delimiter), control characters too, and an empty level
//     is "_". Where INBOX takes no children, they go beside it.
//   - A name that the target then refuses is tried again with "_" for all that is not plain in it (create.go).
//   - A name that is taken by another mailbox of the archive by then gets " (2)", " (3)" … in the order
//     of the archive.
type namer struct {
	place  *place
	levels map[string]*level
	taken  map[string]*level
	notes  []string
}

// assignNames sets to, role and exists of every mailbox in the list, and returns notes for people
// on names that had to change. The list is all mailboxes of the archive, so that a name does not hang on
// which of them are chosen. known is where mailboxes went in earlier runs, by directory; also those
// that are not in the list keep their names.
func assignNames(list []*wanted, p *place, known map[string]string) []string {
	n := &namer{place: p, levels: make(map[string]*level), taken: make(map[string]*level)}
	order := n.grow(list)
	listed := make(map[string]bool)
	for _, l := range order {
		if l.box == nil {
			continue
		}
		listed[l.box.mbox.Dir] = true
		if to := known[l.box.mbox.Dir]; to != "" && n.taken[to] == nil {
			n.take(l, to)
		}
	}
	for dir, to := range known {
		if !listed[dir] && n.taken[to] == nil {
			n.taken[to] = &level{to: to}
		}
	}
	for _, l := range order {
		if l.to == "" && l.depth == 1 && l.name == inbox {
			n.take(l, inbox)
		}
	}
	n.byRole(order)
	for _, l := range order {
		if l.to == "" {
			n.byOwnName(l)
		}
	}
	for _, w := range list {
		_, w.exists = p.have[w.to]
	}
	return n.notes
}

// grow builds the tree and returns its levels, parents first, else in the order of the archive.
func (n *namer) grow(list []*wanted) []*level {
	byArchive := slices.SortedFunc(slices.Values(list), func(a, b *wanted) int { return cmp.Compare(a.mbox.ID, b.mbox.ID) })
	var all []*level
	for _, w := range byArchive {
		var at *level
		key := ""
		path := w.mbox.Path
		if len(path) == 0 {
			path = []string{w.mbox.Raw}
		}
		for i, name := range path {
			if i == 0 && strings.EqualFold(name, inbox) {
				name = inbox
			}
			key += name + "\x00"
			next := n.levels[key]
			if next == nil {
				next = &level{parent: at, name: name, depth: i + 1, order: len(all)}
				n.levels[key] = next
				all = append(all, next)
			}
			at = next
		}
		if at.box != nil {
			// Two names of the source that decode to the same: the second is a mailbox beside the first.
			at = &level{parent: at.parent, name: at.name, depth: at.depth, order: len(all)}
			all = append(all, at)
		}
		at.box = w
	}
	slices.SortStableFunc(all, func(a, b *level) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.order, b.order))
	})
	return all
}

func (n *namer) take(l *level, to string) {
	l.to = to
	n.taken[to] = l
	if l.box != nil {
		l.box.to = to
	}
}

func (n *namer) byRole(order []*level) {
	given := make(map[string]bool)
	for _, l := range slices.SortedStableFunc(slices.Values(order), func(a, b *level) int {
		return cmp.Compare(a.order, b.order)
	}) {
		if l.box == nil {
			continue
		}
		role := movableRole(l.box)
		if role == "" || given[role] {
			continue
		}
		given[role] = true
		to, ok := n.place.byRole[strings.ToLower(role)]
		switch {
		case !ok:
			l.box.role = role
		case l.to == "" && n.taken[to] == nil:
			n.take(l, to)
		}
	}
}

func (n *namer) byOwnName(l *level) {
	own := n.clean(l.name)
	base := n.place.prefix
	if l.parent != nil && n.takesChildren(l.parent.to) {
		base = l.parent.to + n.place.separator()
	}
	to := base + own
	for i := 2; n.taken[foldInbox(to)] != nil; i++ {
		to = fmt.Sprintf("%s%s (%d)", base, own, i)
	}
	n.take(l, foldInbox(to))
	if l.box != nil && l.box.chosen && to != base+l.name {
		n.notes = append(n.notes, fmt.Sprintf("%s is %s on the target: its own name cannot be used there",
			l.box.name, to))
	}
}

// takesChildren is false for an INBOX that the target keeps without levels below it.
func (n *namer) takesChildren(name string) bool {
	return name != inbox || !n.place.hasAttr(inbox, `\Noinferiors`)
}

func foldInbox(name string) string {
	if strings.EqualFold(name, inbox) {
		return inbox
	}
	return name
}

// clean makes a level fit for the target.
func (n *namer) clean(name string) string {
	stand := "_"
	if n.place.delim == stand {
		stand = "-"
	}
	name = strings.ToValidUTF8(name, stand)
	if n.place.delim != "" {
		name = strings.ReplaceAll(name, n.place.delim, stand)
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return rune(stand[0])
		}
		return r
	}, name)
	if name == "" {
		return stand
	}
	return name
}
