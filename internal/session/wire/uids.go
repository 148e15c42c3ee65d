package wire

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxAhead is how far beyond the numbers known so far a message's number may be to be remembered.
	maxAhead = 1 << 20
	// maxNumber is the highest number that is remembered, whatever the server makes up.
	maxNumber = 4 << 20
)

// numbers are the UIDs of the messages in the open mailbox by their numbers, as FETCH answers told. They hold until a
// message is expunged. Only the reader uses them.
type numbers struct {
	uids    []uint32
	trailed bool // the server names UIDs behind bodies
}

// behind is what is known of the message whose literal is passing.
type behind struct {
	open    bool
	uid     uint32 // told before the literal, or put there by us
	lacked  bool   // the server did not tell it before
	guessed bool   // it is after the message's number, and must be confirmed behind the literal
	extra   int    // parentheses too many before the literal: as many may be behind it
}

// asked is what the open FETCH commands ask for.
type asked struct {
	bodies bool   // bodies, and nothing but bodies
	uid    uint32 // of the only message asked for; 0: there are several
	want   items  // that every answer should have
}

// items is a set of the items that tell a message's data.
type items uint8

const (
	itemFlags items = 1 << iota
	itemDate
	itemSize
)

// itemsIn finds the items a command asks for or an answer has.
func itemsIn(l []byte) (set items) {
	upper := bytes.ToUpper(l)
	for name, item := range map[string]items{"FLAGS": itemFlags, "INTERNALDATE": itemDate, "RFC822.SIZE": itemSize} {
		if bytes.Contains(upper, []byte(name)) {
			set |= item
		}
	}
	return set
}

func (f *fetchLine) has() (set items) {
	for i := range f.items {
		switch item := &f.items[i]; {
		case item.is("FLAGS"):
			set |= itemFlags
		case item.is("INTERNALDATE"):
			set |= itemDate
		case item.is("RFC822.SIZE"):
			set |= itemSize
		}
	}
	return set
}

// asked looks at the commands that are open.
func (c *Conn) asked() (a asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fetches := 0
	for _, cmd := range c.owed {
		if cmd.name != "FETCH" {
			continue
		}
		if fetches++; !cmd.bodies {
			a.want |= cmd.want
			a.bodies = false
			a.uid = 0
			return a
		}
		a.bodies = true
		a.uid = cmd.uid
	}
	if fetches != 1 {
		a.uid = 0
	}
	return a
}

// onlyUID is the UID in "T1 UID FETCH 7 (…", 0 if the command asks for several.
func onlyUID(words []string) uint32 {
	if len(words) < 4 || !strings.EqualFold(words[1], "UID") || !isNumber([]byte(words[3]), false) {
		return 0
	}
	return number([]byte(words[3]))
}

// learn remembers the UID of a message number.
func (c *Conn) learn(seq, uid uint32) {
	n := &c.numbers
	switch next := int64(len(n.uids)) + 1; {
	case uid == 0 || seq == 0 || seq > maxNumber || int64(seq) > next+maxAhead:
		return
	case int64(seq) == next:
		n.uids = append(n.uids, uid)
		return
	case int64(seq) > next:
		n.uids = append(n.uids, make([]uint32, int64(seq)-next+1)...)
	}
	n.uids[seq-1] = uid
}

// forgetNumbers is called when a mailbox is opened and when a message is expunged.
func (c *Conn) forgetNumbers() { c.numbers.uids = nil }

func (n *numbers) find(seq uint32) uint32 {
	if seq == 0 || int64(seq) > int64(len(n.uids)) {
		return 0
	}
	return n.uids[seq-1]
}

// nameUID puts the UID before a body where the server names it behind (X-UIDLAST) or not at all (FETCH-66): go-imap would
// pass over the message. If one message alone was asked for, it is that. Otherwise the message's number
// tells, but only for a server that names UIDs behind bodies, so that the guess is confirmed; other messages
// are left out of the answer, and whoever misses them asks again one by one.
func (c *Conn) nameUID(f *fetchLine, a *asked) bool {
	c.behind = behind{lacked: true}
	known := c.numbers.find(f.seq)
	uid := known
	switch {
	case a.uid != 0 && (known == 0 || known == a.uid):
		uid = a.uid
	case !c.numbers.trailed || !f.literal:
		return false
	default:
		c.behind.guessed = true
	}
	if uid == 0 {
		return false
	}
	f.items = slices.Insert(f.items, 0, fetchItem{[]byte("UID"), strconv.AppendUint(nil, uint64(uid), 10)})
	return true
}

// repairTail mends what follows the literal of a body, and compares the UID there with the one before.
func (c *Conn) repairTail(l []byte) []byte {
	at := c.behind
	if c.behind.open = c.in.within; c.in.within {
		return l
	}
	plain := string(l) == ")\r\n"
	f, ok := parseTail(l)
	if !ok || f.closed > 1+at.extra || slices.ContainsFunc(f.items, fetchItem.isText) {
		return l // the literal had another length than announced: go-imap will stop here
	}
	switch uid := f.uid(); {
	case uid != 0 && at.uid != 0 && uid != at.uid:
		c.breakOff(ErrOtherUID)
		return nil
	case uid == 0 && at.guessed:
		c.breakOff(ErrNoUID)
		return nil
	case uid != 0 && at.lacked:
		c.numbers.trailed = true
	}
	if plain {
		return l
	}
	changed := f.odd
	for _, rule := range c.items {
		changed = rule.fix(c, &f) || changed
	}
	if at.uid != 0 && f.find("UID") != nil {
		f.items = slices.DeleteFunc(f.items, func(i fetchItem) bool { return i.is("UID") })
		changed = true
	}
	switch {
	case !changed:
		return l
	case len(f.items) == 0:
		return []byte(")\r\n")
	}
	return f.render([]byte(" "))
}

// head is the beginning of a FETCH answer.
func head(seq uint32) []byte {
	return append(strconv.AppendUint([]byte("* "), uint64(seq), 10), " FETCH ("...)
}

// takeMeta hides lines without a body while bodies alone are asked for (dropped: see repairFetch), and joins two lines that
// tell one message's data (FETCH-46-SPLIT, FETCH-55-UID): go-imap takes the first line with a UID for all of it. A
// line that lacks something asked for is held until the next line shows whether it has the rest.
func (c *Conn) takeMeta(l []byte, f *fetchLine, a *asked, changed bool) []byte {
	if a.bodies {
		return nil
	}
	if c.half != nil {
		if c.half.seq == f.seq && (f.uid() == 0 || c.half.uid() == 0 || f.uid() == c.half.uid()) {
			f.join(c.half)
			c.half, changed = nil, true
		} else {
			c.flushHalf()
		}
	}
	if a.want&^f.has() != 0 && f.seq != 0 {
		c.half = f.clone()
		return nil
	}
	if !changed {
		return l
	}
	return f.render(head(f.seq))
}

// join adds the items of an earlier line that are not in f.
func (f *fetchLine) join(earlier *fetchLine) {
	for _, item := range earlier.items {
		if f.find(string(item.name)) == nil && len(f.items) < maxItems {
			f.items = append(f.items, item)
		}
	}
}

// clone makes f independent of the buffer it points into.
func (f *fetchLine) clone() *fetchLine {
	kept := *f
	kept.items = make([]fetchItem, len(f.items))
	for i, item := range f.items {
		kept.items[i] = fetchItem{bytes.Clone(item.name), bytes.Clone(item.value)}
	}
	return &kept
}

// flushHalf gives the client the line that was held.
func (c *Conn) flushHalf() {
	if c.half != nil {
		c.queue = append(c.queue, c.half.render(head(c.half.seq)))
		c.half = nil
	}
}
