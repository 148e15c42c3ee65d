package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"mailark/maildirx"
)

// hints are what the whole of the archive says about what a lost commit has said.
type hints struct {
	mailboxes  map[uint32]*record // the first record of each that is left
	sealed     map[uint32]bool    // segments whose first seal is in a known commit
	resealed   map[uint32]bool    // segments with a later seal in a known commit
	dirs       map[uint32]string  // directory of each mailbox, by the names of its files
	lists      map[string][]uidListAt
	keywords   map[string][]string // by directory; the newest
	subscribed map[string]bool     // directories
}

// uidListAt is a dovecot-uidlist and where it stood.
type uidListAt struct {
	place Place
	*maildirx.UIDList
}

func newHints() hints {
	return hints{
		mailboxes: make(map[uint32]*record), sealed: make(map[uint32]bool), resealed: make(map[uint32]bool), dirs: make(map[uint32]string),
		lists: make(map[string][]uidListAt), keywords: make(map[string][]string), subscribed: make(map[string]bool),
	}
}

// readTree reads, once, what names of files say, and what the tar has for Dovecot. All frames count: the newest files say
// what older ones did.
func (s *salvage) readTree(ctx context.Context) error {
	if s.treed {
		return nil
	}
	s.treed = true
	for _, n := range s.files {
		f, err := openFile(s.b.dir, segmentName(n))
		if err != nil {
			return err
		}
		err = s.readSegmentTree(ctx, n, f)
		if err := cmp.Or(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *salvage) readSegmentTree(ctx context.Context, n uint32, f interface {
	ReadAt(p []byte, off int64) (int, error)
}) error {
	parts := slices.Clone(s.claimed[n])
	for _, u := range s.units {
		if u.segment == n && u.kind == unitFrame {
			parts = append(parts, span{u.offset, u.length})
		}
	}
	slices.SortFunc(parts, func(a, b span) int { return cmp.Compare(a.offset, b.offset) })
	for _, part := range parts {
		fr, err := scanFrame(f, part.offset, min(part.offset+part.length, s.sizes[n]))
		if err != nil || fr.kind != kindData {
			if err := unlessContent(err); err != nil {
				return err
			}
			continue
		}
		m := &memberReader{archiveID: s.b.info.ID}
		err = m.read(ctx, f, fr, func(t *tarMember) error {
			s.hint(t, Place{Segment: n, Frame: fr.offset, Pos: t.pos})
			return nil
		})
		if err := unlessContent(err); err != nil {
			return err
		}
	}
	return nil
}

func (s *salvage) hint(t *tarMember, at Place) {
	if t.file != nil {
		if s.hints.dirs[t.file.key.Mailbox] == "" {
			s.hints.dirs[t.file.key.Mailbox] = t.file.dir
		}
		return
	}
	dir, base := path.Split(t.header.Name)
	dir = strings.TrimSuffix(dir, "/")
	switch base {
	case maildirx.UIDListFile:
		if list, err := maildirx.ParseUIDList(bytes.NewReader(t.data)); err == nil {
			s.hints.lists[dir] = append(s.hints.lists[dir], uidListAt{at, list})
		}
	case maildirx.KeywordsFile:
		if words, err := maildirx.ParseKeywords(bytes.NewReader(t.data)); err == nil {
			s.hints.keywords[dir] = words
		}
	case maildirx.SubscriptionsFile:
		if names, err := maildirx.ParseSubscriptions(bytes.NewReader(t.data)); err == nil && dir == maildirx.Root {
			clear(s.hints.subscribed)
			for _, name := range names {
				s.hints.subscribed[maildirx.Dir(name)] = true
			}
		}
	}
}

// frame makes the records of a mail frame from its members.
func (a *assembly) frame(u unit) error {
	f, err := a.open(u.segment)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum, err := sumSection(interruptibleAt{a.ctx, f}, u.offset, u.length)
	if err != nil {
		return err
	}
	var members []*tarMember
	m := &memberReader{archiveID: a.b.info.ID, sums: true}
	if err := m.read(a.ctx, f, u.rawFrame, func(t *tarMember) error {
		t.data = nil
		members = append(members, t)
		return nil
	}); err != nil {
		return err
	}
	r := &record{T: recFrame, Segment: u.segment, Offset: u.offset, Length: u.length, Plain: m.plain, SHA256: sum.String()}
	if err := a.sayWithNeeds(r); err != nil {
		return unlessUnfit(err)
	}
	for _, t := range members {
		if err := a.member(t, u.place()); err != nil {
			return err
		}
	}
	return nil
}

// sayWithNeeds says a record, and before it what it lacks.
func (a *assembly) sayWithNeeds(r *record) error {
	if err := a.sayLacking(r); err != nil {
		return err
	}
	return a.say(r)
}

// sayLacking says what a record lacks.
func (a *assembly) sayLacking(r *record) error {
	list, err := a.lacking(r)
	if err != nil {
		return err
	}
	return a.sayNeeds(list)
}

// sayNeeds says what other records lack, and counts what is unknown about it.
func (a *assembly) sayNeeds(list []*record) error {
	for _, r := range list {
		if r.T == recAside && r.Length == 0 && !a.isThere(r) {
			continue
		}
		err := a.say(r)
		if errors.Is(err, errUnfit) {
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case r.T == recEpoch && r.UIDValidity == 0:
			a.unknown.UIDValidity++
		case r.T == recKeyword && r.Name == "":
			a.unknown.Letters++
		case r.T == recMailbox && a.hints.mailboxes[r.ID] != r:
			a.unknown.Mailboxes++
			if strings.HasPrefix(r.Raw, "\x00") {
				a.unknown.Names++
			}
		}
	}
	return nil
}

// member makes the record of a message, or of a mailbox that has none.
func (a *assembly) member(t *tarMember, at Place) error {
	if t.file == nil {
		return a.directory(strings.TrimSuffix(t.header.Name, "/"))
	}
	k := t.file.key
	r := &record{
		T: recMessage, Mailbox: k.Mailbox, Epoch: k.Epoch, UID: k.UID, Date: formatDate(t.file.date),
		Letters: t.file.letters, Size: t.file.size, SHA256: t.sum.String(), At: []int64{int64(at.Segment), at.Frame, t.pos},
	}
	if t.header.Typeflag == tar.TypeLink {
		target, err := parseFileName(t.header.Linkname, a.b.info.ID)
		if err != nil || a.c.Message(target.key) == nil {
			a.unknown.Links++
			return nil //nolint:nilerr // the message is fetched again
		}
		orig := a.c.Message(target.key)
		p := orig.Place
		r.Link, r.Size, r.SHA256, r.At = true, orig.Size, orig.Sum.String(), []int64{int64(p.Segment), p.Frame, p.Pos}
	}
	if !a.known(r) {
		return nil
	}
	if err := a.sayLacking(r); err != nil {
		return err
	}
	if a.c.Message(k) != nil {
		return nil
	}
	if m := a.c.Mailbox(k.Mailbox); m != nil {
		r.Flags = flagsOf(m, t.file.letters)
	}
	if err := a.say(r); err != nil {
		return unlessUnfit(err)
	}
	a.unknown.Messages++
	epoch := Key{Mailbox: k.Mailbox, Epoch: k.Epoch}
	a.derive[epoch] = append(a.derive[epoch], derivedUID{uid: k.UID, place: Place{Segment: at.Segment, Frame: at.Frame, Pos: t.pos}})
	return nil
}

// flagsOf are those that the letters of a file name stand for.
func flagsOf(m *Mailbox, letters string) []string {
	return append(maildirx.SystemFlags(letters), maildirx.Keywords(letters, m.Keywords)...)
}

// directory makes the record of a mailbox of which there is no message, if the next id can only be its own.
func (a *assembly) directory(name string) error {
	dir, ok := strings.CutSuffix(name, "/cur")
	if !ok || !validDir(dir) || a.c.dirs[strings.ToLower(dir)] {
		return nil
	}
	id := uint32(len(a.c.mailboxes)) + 1 //nolint:gosec // bounded by what was read
	for other, known := range a.hints.dirs {
		if known == dir || other == id {
			return nil
		}
	}
	if r := a.hints.mailboxes[id]; r != nil && r.Dir != dir {
		return nil
	}
	return a.sayNeeds([]*record{a.mailbox(id, dir)})
}

// lacking is what must have been said before a record, and was not.
func (a *assembly) lacking(r *record) ([]*record, error) {
	if err := a.readTree(a.ctx); err != nil {
		return nil, err
	}
	asides, err := a.lostAside(r)
	return append(a.lacks(r), asides...), err
}

func (a *assembly) lacks(r *record) []*record {
	var list []*record
	switch r.T {
	case recFrame, recSeal:
		for n := len(a.c.segments) + 1; n < int(r.Segment) && n <= maxSegment; n++ {
			list = append(list, &record{T: recAside, Segment: uint32(n), Length: skippableHeader})
		}
		return list
	case recEnd:
		if len(a.c.runs) == 0 {
			t := a.time
			list = append(list, &record{T: recRun, N: 1, Time: &t})
		}
		return list
	case recMailbox:
		return a.mailboxes(r.ID - min(r.ID, 1))
	case recEpoch:
		return append(a.mailboxes(r.Mailbox), a.epochs(r.Mailbox, uint32(min(r.N-min(r.N, 1), maxLostEpochs)))...)
	case recKeyword:
		letters := ""
		if r.Letter > "a" && len(r.Letter) == 1 && r.Letter <= "z" {
			letters = string(r.Letter[0] - 1)
		}
		return append(a.mailboxes(r.Mailbox), a.keywords(r.Mailbox, letters)...)
	case recMessage, recRefused, recState:
		list = append(a.mailboxes(r.Mailbox), a.epochs(r.Mailbox, r.Epoch)...)
		return append(list, a.keywords(r.Mailbox, r.Letters)...)
	}
	return nil
}

// Limits of what is made up for the sake of a number in a record.
const (
	maxLostMailboxes = 100_000
	maxLostEpochs    = 10_000
)

// mailboxes are the records of all mailboxes up to an id that are lost.
func (a *assembly) mailboxes(id uint32) []*record {
	known := uint32(len(a.c.mailboxes)) //nolint:gosec // bounded by what was read
	if id <= known || id-known > maxLostMailboxes {
		return nil
	}
	var list []*record
	for n := known + 1; n <= id; n++ {
		list = append(list, a.mailbox(n, a.hints.dirs[n]))
	}
	return list
}

// mailbox is the record of a mailbox: what a later commit says of it, else what its directory says.
func (a *assembly) mailbox(id uint32, dir string) *record {
	if r := a.hints.mailboxes[id]; r != nil && !a.c.dirs[strings.ToLower(r.Dir)] {
		return r
	}
	r := &record{T: recMailbox, ID: id, Dir: dir, Subscribed: a.hints.subscribed[dir]}
	if dir == "" || a.c.dirs[strings.ToLower(dir)] {
		r.Path, r.Dir, r.Unlisted = []string{fmt.Sprintf("lost mailbox %d", id)}, fmt.Sprintf("%s/.~lost~%d", maildirx.Root, id), true
		r.Raw = "\x00" + r.Dir // which no server can say
		return r
	}
	names, exact, err := maildirx.ParseDir(dir)
	if err != nil {
		names, exact = []string{strings.TrimPrefix(dir, maildirx.Root+"/.")}, false
	}
	r.Path = names
	if !exact {
		r.Raw = "\x00" + r.Dir
		return r
	}
	r.Delim = a.delim()
	levels := make([]string, len(names))
	for i, name := range names {
		levels[i] = maildirx.EncodeUTF7(name)
	}
	r.Raw = strings.Join(levels, r.Delim)
	if a.c.byRaw[r.Raw] != nil {
		r.Raw = "\x00" + r.Dir
	}
	return r
}

// delim is the hierarchy delimiter of another mailbox, since servers mostly have one.
func (a *assembly) delim() string {
	for _, m := range a.c.mailboxes {
		if m.Delim != "" {
			return m.Delim
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.hints.mailboxes)) {
		if d := a.hints.mailboxes[id].Delim; d != "" {
			return d
		}
	}
	return "/"
}

// epochs are the records of a mailbox's epochs up to number n that are lost.
func (a *assembly) epochs(mailbox, n uint32) []*record {
	known := uint32(0)
	dir := a.hints.dirs[mailbox]
	if m := a.c.Mailbox(mailbox); m != nil {
		known, dir = uint32(len(m.Epochs)), m.Dir //nolint:gosec // bounded by what was read
	}
	if n > known+maxLostEpochs {
		return nil
	}
	var list []*record
	for e := known + 1; e <= n; e++ {
		validity := a.uidValidity(dir, Key{Mailbox: mailbox, Epoch: e})
		list = append(list, &record{T: recEpoch, Mailbox: mailbox, N: uint64(e), UIDValidity: validity})
	}
	return list
}

// uidValidity is that of an epoch, by the first uidlist that is about this epoch and no other: each of its files must
// be of the epoch, under the very UID. 0 if there is none; so is 1, which the writer also puts where it knows nothing.
func (a *assembly) uidValidity(dir string, epoch Key) uint32 {
	for _, list := range a.hints.lists[dir] {
		if len(list.Entries) > 0 && list.UIDValidity > 1 && a.isAbout(list, dir, epoch) {
			return list.UIDValidity
		}
	}
	return 0
}

func (a *assembly) isAbout(list uidListAt, dir string, epoch Key) bool {
	listed := make(map[uint32]bool, len(list.Entries))
	for _, e := range list.Entries {
		f, err := parseFileName(dir+"/cur/"+e.File, a.b.info.ID)
		if err != nil || f.key != (Key{Mailbox: epoch.Mailbox, Epoch: epoch.Epoch, UID: e.UID}) {
			return false
		}
		listed[e.UID] = true
	}
	for _, d := range a.derive[epoch] {
		if d.place.Compare(list.place) < 0 && !listed[d.uid] {
			return false
		}
	}
	return true
}

// keywords are the records of the keywords up to the highest letter that are lost.
func (a *assembly) keywords(mailbox uint32, letters string) []*record {
	known := 0
	dir := a.hints.dirs[mailbox]
	if m := a.c.Mailbox(mailbox); m != nil {
		known, dir = len(m.Keywords), m.Dir
	}
	highest := -1
	for _, c := range []byte(letters) {
		if c >= 'a' && c <= 'z' {
			highest = max(highest, int(c-'a'))
		}
	}
	var list []*record
	table := a.hints.keywords[dir]
	for i := known; i <= highest; i++ {
		r := &record{T: recKeyword, Mailbox: mailbox, Letter: letter(i)}
		if i < len(table) {
			r.Name = table[i]
		}
		list = append(list, r)
	}
	return list
}
