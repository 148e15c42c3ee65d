package archive

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"mailark/maildirx"
)

// apply brings the catalog up to date with one record. It is the only way the catalog changes, for
// a reader that replays the log and for the writer that has just made the record. An error means that the
// record contradicts what is known: the log is damaged, or not of this archive.
func (c *Catalog) apply(r *record) error {
	var err error
	switch r.T {
	case recCommit:
		c.commits = r.N
	case recRun:
		c.applyRun(r)
	case recEnd:
		err = c.applyEnd(r)
	case recMailbox:
		err = c.applyMailbox(r)
	case recEpoch:
		err = c.applyEpoch(r)
	case recKeyword:
		err = c.applyKeyword(r)
	case recFrame:
		err = c.applyFrame(r)
	case recMessage:
		err = c.applyMessage(r)
	case recFlags:
		err = c.applyFlags(r)
	case recGone, recBack:
		err = c.applyGone(r)
	case recRefused:
		err = c.applyRefused(r)
	case recState:
		err = c.applyState(r)
	case recSeal:
		err = c.applySeal(r)
	case recAside:
		err = c.applyAside(r)
	default:
		// A later version of the format may add kinds; they are kept in the file and passed over here.
	}
	return applyError(r.T, err)
}

func applyError(kind string, err error) error {
	if err != nil {
		return fmt.Errorf("apply %s record: %w", kind, err)
	}
	return nil
}

func (r *record) time() time.Time {
	if r.Time == nil {
		return time.Time{}
	}
	return *r.Time
}

func (c *Catalog) applyRun(r *record) {
	c.runs = append(c.runs, Run{
		N:       uint32(len(c.runs)) + 1, //nolint:gosec // runs are counted by hand, so to speak
		Start:   r.time(),
		Program: r.Program,
		Source:  Source{Host: r.Host, User: r.User},
	})
}

func (c *Catalog) applyEnd(r *record) error {
	if len(c.runs) == 0 {
		return errors.New("no run has begun")
	}
	run := &c.runs[len(c.runs)-1]
	run.End, run.Exit, run.Summary = r.time(), r.Exit, r.Text
	clear(c.changed)
	c.subsChanged = false
	return nil
}

func (c *Catalog) applyMailbox(r *record) error {
	raw, err := r.raw()
	if err != nil {
		return err
	}
	if !validDir(r.Dir) {
		return fmt.Errorf("mailbox %d has directory %.300q", r.ID, r.Dir)
	}
	m := c.Mailbox(r.ID)
	switch dir := strings.ToLower(r.Dir); {
	case m != nil && (m.Raw != raw || m.Dir != r.Dir):
		return fmt.Errorf("mailbox %d has another name or directory than before", r.ID)
	case m != nil:
	case int(r.ID) != len(c.mailboxes)+1:
		return fmt.Errorf("mailbox %d follows mailbox %d", r.ID, len(c.mailboxes))
	case c.dirs[dir] || c.byRaw[raw] != nil:
		return fmt.Errorf("mailbox %d has the name or the directory %.300q of another one", r.ID, r.Dir)
	default:
		m = &Mailbox{ID: r.ID, Dir: r.Dir}
		c.mailboxes = append(c.mailboxes, m)
		c.messages = append(c.messages, messageList{sorted: true})
		c.dirs[dir] = true
		c.byRaw[raw] = m
	}
	c.subsChanged = c.subsChanged || m.Subscribed != r.Subscribed
	m.MailboxInfo = MailboxInfo{Path: r.Path, Raw: raw, Delim: r.Delim, Attrs: r.Attrs, Subscribed: r.Subscribed}
	m.Listed = !r.Unlisted
	return nil
}

// validDir makes sure that nothing is ever written outside a tree.
func validDir(dir string) bool {
	name, ok := strings.CutPrefix(dir, maildirx.Root+"/.")
	return dir == maildirx.Root ||
		ok && name != "" && name != "." && len(dir) <= maxDir && !strings.ContainsAny(name, "/\x00")
}

func (c *Catalog) applyEpoch(r *record) error {
	m := c.Mailbox(r.Mailbox)
	if m == nil {
		return fmt.Errorf("unknown mailbox %d", r.Mailbox)
	}
	if r.N != uint64(len(m.Epochs))+1 {
		return fmt.Errorf("epoch %d of mailbox %d follows epoch %d", r.N, r.Mailbox, len(m.Epochs))
	}
	c.changed[r.Mailbox] = true
	m.Epochs = append(m.Epochs, &Epoch{N: uint32(r.N), UIDValidity: r.UIDValidity}) //nolint:gosec // equals a length
	return nil
}

func (c *Catalog) applyKeyword(r *record) error {
	m := c.Mailbox(r.Mailbox)
	if m == nil {
		return fmt.Errorf("unknown mailbox %d", r.Mailbox)
	}
	if n := len(m.Keywords); n >= maxKeywords || r.Letter != letter(n) {
		return fmt.Errorf("letter %q for keyword %d of mailbox %d", r.Letter, n+1, r.Mailbox)
	}
	m.Keywords = append(m.Keywords, r.Name)
	c.changed[r.Mailbox] = true
	return nil
}

func (c *Catalog) applyFrame(r *record) error {
	if r.Segment == 0 || r.Segment > maxSegment || int64(r.Segment) > int64(len(c.segments))+1 {
		return fmt.Errorf("segment %d follows segment %d", r.Segment, len(c.segments))
	}
	sum, err := ParseSum(r.SHA256)
	if err != nil {
		return err
	}
	seg := c.segment(r.Segment)
	if seg.sealed || r.Offset < seg.end || r.Length <= 0 || r.Plain < 0 || r.Plain > maxFramePlain ||
		r.Length > maxFramePlain || r.Offset > math.MaxInt64-r.Length {
		return fmt.Errorf("frame at %d of segment %d, which ends at %d", r.Offset, r.Segment, seg.end)
	}
	seg.frames = append(seg.frames, frameInfo{offset: r.Offset, length: r.Length, plain: r.Plain, sum: sum})
	seg.end = r.Offset + r.Length
	return nil
}

func (c *Catalog) applyMessage(r *record) error {
	if r.msg != nil {
		if err := c.checkKey(r.msg.Key); err != nil {
			return err
		}
		c.takeMessage(r.msg)
		return nil
	}
	m, err := r.messageLine()
	if err != nil {
		return err
	}
	m.flags = c.internFlags(m.flags)
	return c.addMessage(&m)
}

// checkKey makes sure that a message can be archived under a key.
func (c *Catalog) checkKey(key Key) error {
	if m := c.Mailbox(key.Mailbox); m == nil || key.Epoch == 0 || int(key.Epoch) > len(m.Epochs) || key.UID == 0 {
		return fmt.Errorf("unknown mailbox %d, epoch %d, or UID %d", key.Mailbox, key.Epoch, key.UID)
	}
	l := &c.messages[key.Mailbox-1]
	isLast := len(l.list) > 0 && l.sorted && l.list[len(l.list)-1].Key.compare(key) < 0
	if !isLast && c.Message(key) != nil {
		return fmt.Errorf("mailbox %d epoch %d UID %d is there already", key.Mailbox, key.Epoch, key.UID)
	}
	return nil
}

// takeMessage adds a message to the catalog.
func (c *Catalog) takeMessage(msg *Message) {
	l := &c.messages[msg.Mailbox-1]
	l.sorted = len(l.list) == 0 || l.sorted && l.list[len(l.list)-1].Key.compare(msg.Key) < 0
	l.list = append(l.list, msg)
	c.index.add(msg)
	c.changed[msg.Mailbox] = true
	if len(c.refusals) > 0 {
		delete(c.refusals, msg.Key)
	}
	if len(c.aside) > 0 {
		delete(c.aside, msg.Key)
	}
}

// addMessage adds the message of a record that comes from the log. Its flags are the catalog's own copy.
func (c *Catalog) addMessage(m *messageLine) error {
	if err := c.checkKey(m.key); err != nil {
		return err
	}
	if int64(m.place.Segment) > int64(len(c.segments)) {
		return fmt.Errorf("UID %d: place %v is out of range", m.key.UID, m.place)
	}
	msg := c.newMessage()
	*msg = Message{
		Key: m.key, Sum: m.sum, InternalDate: m.date, Flags: m.flags, Size: m.size, Place: m.place, Link: m.link,
		letters: m.letters,
	}
	if m.shares {
		msg.from = c.Message(m.file)
		if msg.from == nil || msg.from.from != nil {
			return fmt.Errorf("UID %d: epoch %d UID %d, whose file it is, is unknown", m.key.UID, m.file.Epoch, m.file.UID)
		}
	}
	c.takeMessage(msg)
	if c.byFrame != nil {
		c.byFrame[msg.Place.frame()] = append(c.byFrame[msg.Place.frame()], msg)
	}
	return nil
}

// newMessage gives messages that are read one after the other a common place in memory.
func (c *Catalog) newMessage() *Message {
	const least, most = 16, 4096
	if len(c.slab) == 0 {
		c.slab = make([]Message, min(max(c.index.len(), least), most))
	}
	msg := &c.slab[0]
	c.slab = c.slab[1:]
	return msg
}

func (c *Catalog) applyFlags(r *record) error {
	return c.setFlags(Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: r.UID}, c.internFlags(r.Flags))
}

// setFlags gives a message other flags, which are the catalog's own copy.
func (c *Catalog) setFlags(key Key, flags []string) error {
	msg := c.Message(key)
	if msg == nil {
		return fmt.Errorf("unknown message: mailbox %d epoch %d UID %d", key.Mailbox, key.Epoch, key.UID)
	}
	msg.Flags = flags
	return nil
}

func (c *Catalog) applyGone(r *record) error {
	set, err := parseUIDs(r.UIDs)
	if err != nil {
		return err
	}
	if r.T == recGone {
		c.endRefusals(r.Mailbox, r.Epoch, set)
	}
	list := c.sorted(r.Mailbox)
	for _, rng := range set {
		first := &Message{Key: Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: rng.first}}
		i, _ := slices.BinarySearchFunc(list, first, compareKeys)
		for ; i < len(list) && list[i].Epoch == r.Epoch && list[i].UID <= rng.last; i++ {
			list[i].Gone = r.T == recGone
		}
	}
	return nil
}

// endRefusals: a refused message that left the server can no longer be missing from a copy of it.
func (c *Catalog) endRefusals(mailbox, epoch uint32, set []uidRange) {
	if len(c.refusals) == 0 {
		return
	}
	for key := range c.refusals {
		if key.Mailbox != mailbox || key.Epoch != epoch {
			continue
		}
		i := sort.Search(len(set), func(i int) bool { return set[i].first > key.UID })
		if i > 0 && key.UID <= set[i-1].last {
			delete(c.refusals, key)
		}
	}
}

func (c *Catalog) applyRefused(r *record) error {
	key := Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: r.UID}
	if m := c.Mailbox(r.Mailbox); m == nil || r.Epoch == 0 || int(r.Epoch) > len(m.Epochs) || r.UID == 0 {
		return fmt.Errorf("unknown mailbox %d, epoch %d, or UID %d", r.Mailbox, r.Epoch, r.UID)
	}
	if c.Message(key) == nil {
		c.refusals[key] = Refusal{Key: key, Text: r.Text, Time: r.time()}
	}
	return nil
}

func (c *Catalog) applyState(r *record) error {
	m := c.Mailbox(r.Mailbox)
	if m == nil || r.Epoch == 0 || int(r.Epoch) > len(m.Epochs) {
		return fmt.Errorf("unknown mailbox %d or epoch %d", r.Mailbox, r.Epoch)
	}
	if r.Time == nil { // a rebuild has found that something is lost
		m.Epochs[r.Epoch-1].State = nil
		return nil
	}
	c.endAwaiting(r.Mailbox, r.Epoch)
	m.Epochs[r.Epoch-1].copied = true
	m.Epochs[r.Epoch-1].State = &State{
		Time: r.time(), Exists: r.Exists, UIDNext: r.UIDNext, HighestModSeq: r.HighestModSeq,
	}
	return nil
}

// maxEnding is how many octets the end frame and the seek table of a segment have at most.
func (s *segmentInfo) maxEnding() int64 {
	const entry, rest = 8, 64
	return maxEndFrame + entry*int64(len(s.frames)+len(s.copies)+len(s.asides)+1) + rest
}

func (c *Catalog) applySeal(r *record) error {
	if r.Segment == 0 || int(r.Segment) > len(c.segments) {
		return fmt.Errorf("unknown segment %d", r.Segment)
	}
	sum, err := ParseSum(r.SHA256)
	if err != nil {
		return err
	}
	seg := c.segments[r.Segment-1]
	if seg.sealed && !seg.changed || r.Length < seg.end || r.Length-seg.end > seg.maxEnding() {
		return fmt.Errorf("segment %d is sealed already, or its length is not %d", r.Segment, r.Length)
	}
	seg.sealed, seg.changed, seg.sealedBy, seg.length, seg.sum = true, false, c.commits, r.Length, sum
	return nil
}
