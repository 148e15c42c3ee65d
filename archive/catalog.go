package archive

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// Catalog is everything an archive knows, in memory. Reader and Writer each have one. It is not safe
// for use while its Writer is working in another goroutine.
type Catalog struct {
	info      Info
	mailboxes []*Mailbox // index is ID-1
	byRaw     map[string]*Mailbox
	dirs      map[string]bool // directories of mailboxes, in lower case
	messages  []messageList   // index is ID-1
	index     messageIndex
	slab      []Message // memory for messages to come
	refusals  map[Key]Refusal
	runs      []Run
	segments  []*segmentInfo // index is number-1
	commits   uint64         // number of the last commit
	flagSets  map[string][]string

	aside    map[Key]putAside     // messages that were put aside and have not come back
	awaiting map[epochKey][]Key   // of these, by epoch, what the server may still have, and what has come back
	byFrame  map[Place][]*Message // by the place of their frame; nil until something is put aside

	// What changed since the end of the last run, so that the Dovecot files in the tar are out of date.
	changed     map[uint32]bool // mailboxes: uidlist and keywords
	subsChanged bool            // the subscriptions
}

// messageList is one mailbox's messages, sorted when asked for.
type messageList struct {
	list   []*Message
	sorted bool
}

// segmentInfo is what the catalog says of one segment.
type segmentInfo struct {
	number uint32
	frames []frameInfo // of mail, ascending
	copies []span      // of records, ascending
	asides []span      // what is put aside, in the order of the records
	end    int64       // octets covered by commits: where the next frame goes

	sealed   bool
	sealedBy uint64 // number of the commit with the seal
	length   int64  // octets of the sealed file
	sum      Sum    // of the sealed file
	changed  bool   // something in it was put aside since it was sealed: another seal may follow
}

// span is a part of a segment.
type span struct{ offset, length int64 }

// frameInfo places one frame of mail in its segment.
type frameInfo struct {
	offset, length int64 // compressed octets in the segment
	plain          int64 // octets of tar
	sum            Sum   // of the compressed octets
}

func newCatalog(info Info) Catalog {
	return Catalog{
		info:     info,
		byRaw:    make(map[string]*Mailbox),
		dirs:     make(map[string]bool),
		index:    newMessageIndex(),
		refusals: make(map[Key]Refusal),
		flagSets: make(map[string][]string),
		changed:  make(map[uint32]bool),
		aside:    make(map[Key]putAside),
		awaiting: make(map[epochKey][]Key),
	}
}

// Info is archive.json.
func (c *Catalog) Info() Info { return c.info }

// Mailboxes are all mailboxes ever seen, in the order of their IDs.
func (c *Catalog) Mailboxes() []*Mailbox { return slices.Clone(c.mailboxes) }

// Mailbox is the mailbox with an ID, or nil.
func (c *Catalog) Mailbox(id uint32) *Mailbox {
	if id == 0 || int(id) > len(c.mailboxes) {
		return nil
	}
	return c.mailboxes[id-1]
}

// Epoch is a mailbox's newest epoch, or nil if it was never opened.
func (c *Catalog) Epoch(mailbox uint32) *Epoch {
	m := c.Mailbox(mailbox)
	if m == nil || len(m.Epochs) == 0 {
		return nil
	}
	return m.Epochs[len(m.Epochs)-1]
}

// Message is the record of a message, or nil if it is not archived.
func (c *Catalog) Message(k Key) *Message { return c.index.byKey(k) }

// Len is the number of message records, and stored how many of them have octets of their own.
func (c *Catalog) Len() (records, stored int) { return c.index.len(), c.index.stored }

// Messages yields a mailbox's messages of every epoch, vanished ones too, by epoch and UID.
func (c *Catalog) Messages(mailbox uint32) iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for _, m := range c.sorted(mailbox) {
			if !yield(m) {
				return
			}
		}
	}
}

func (c *Catalog) sorted(mailbox uint32) []*Message {
	if c.Mailbox(mailbox) == nil {
		return nil
	}
	l := &c.messages[mailbox-1]
	if !l.sorted {
		slices.SortFunc(l.list, compareKeys)
		l.sorted = true
	}
	return l.list
}

func compareKeys(a, b *Message) int { return a.Key.compare(b.Key) }

func (k Key) compare(l Key) int {
	return cmp.Or(cmp.Compare(k.Mailbox, l.Mailbox), cmp.Compare(k.Epoch, l.Epoch), cmp.Compare(k.UID, l.UID))
}

// Current is what the mailbox held when it was last looked at, by epoch and UID: the messages of
// the newest epoch that are not gone. While that epoch lacks messages, because it has never been copied whole (State
// is nil) or the server refuses some, the messages of the epoch before it still count, as far as the newer
// epoch has no equal octets for them; and so on backwards. So an interrupted change of UIDVALIDITY hides nothing. If
// the epoch was whole once, and lacks what was put aside since, only messages with those octets count. A mailbox that has left the server (Listed is false) holds nothing now.
func (c *Catalog) Current(mailbox uint32) []*Message {
	m := c.Mailbox(mailbox)
	if m == nil || !m.Listed || len(m.Epochs) == 0 {
		return nil
	}
	byEpoch := make([][]*Message, len(m.Epochs))
	list := c.sorted(mailbox)
	for i := range byEpoch {
		n := sort.Search(len(list), func(n int) bool { return list[n].Epoch > m.Epochs[i].N })
		byEpoch[i], list = list[:n], list[n:]
	}
	refused := make(map[uint32]bool)
	for key := range c.refusals {
		if key.Mailbox == mailbox {
			refused[key.Epoch] = true
		}
	}
	newest := len(m.Epochs) - 1
	current := byEpoch[newest]
	for i := newest; i > 0; i-- {
		e := m.Epochs[i]
		if e.State != nil && !refused[e.N] {
			break
		}
		older := surplus(byEpoch[i-1], current)
		if e.copied && !refused[e.N] {
			older = c.standIns(mailbox, e.N, older)
		}
		current = append(older, current...)
	}
	return slices.DeleteFunc(slices.Clone(current), func(msg *Message) bool { return msg.Gone })
}

// standIns are the messages of an older epoch that stand in for what was put aside of an epoch and has not come back.
func (c *Catalog) standIns(mailbox, epoch uint32, older []*Message) []*Message {
	lacking := make(map[Sum]int)
	seen := make(map[Key]bool)
	for _, k := range c.awaiting[epochKey{mailbox, epoch}] {
		if p, ok := c.aside[k]; ok && !seen[k] {
			lacking[p.sum]++
		}
		seen[k] = true // it may have been put aside twice
	}
	return slices.DeleteFunc(older, func(msg *Message) bool {
		lacking[msg.Sum]--
		return lacking[msg.Sum] < 0
	})
}

// surplus is the part of old that has no partner with equal octets in young. A partner that is gone counts: the message
// has left the server under its new UID.
func surplus(old, young []*Message) []*Message {
	have := make(map[Sum]int, len(young))
	for _, msg := range young {
		have[msg.Sum]++
	}
	var rest []*Message
	for _, msg := range old {
		if have[msg.Sum] > 0 {
			have[msg.Sum]--
			continue
		}
		if !msg.Gone {
			rest = append(rest, msg)
		}
	}
	return rest
}

// BySum is a message with these octets, or nil.
func (c *Catalog) BySum(s Sum) *Message { return c.index.bySum(s) }

// Refusals are the messages of the newest epochs that the server refused and that are still not
// archived, by key.
func (c *Catalog) Refusals() []Refusal {
	list := make([]Refusal, 0, len(c.refusals))
	for _, r := range c.refusals {
		if r.Epoch == c.Epoch(r.Mailbox).N {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.UID, b.UID))
	})
	return list
}

// Runs are all runs of export, oldest first.
func (c *Catalog) Runs() []Run { return slices.Clone(c.runs) }

// segment is what is known of a segment; the list grows as needed.
func (c *Catalog) segment(n uint32) *segmentInfo {
	for uint32(len(c.segments)) < n { //nolint:gosec // bounded by maxSegment
		c.segments = append(c.segments, &segmentInfo{number: uint32(len(c.segments)) + 1}) //nolint:gosec // bounded by maxSegment
	}
	return c.segments[n-1]
}

// settle sorts everything that is sorted when asked for, after which the catalog is safe for several readers.
func (c *Catalog) settle() {
	for _, m := range c.mailboxes {
		c.sorted(m.ID)
	}
}

// internFlags gives equal flag lists one copy.
func (c *Catalog) internFlags(flags []string) []string {
	if len(flags) == 0 {
		return nil
	}
	size := 0
	for _, f := range flags {
		size += len(f) + 1
	}
	key := make([]byte, 0, size)
	for _, f := range flags {
		key = append(append(key, f...), 0)
	}
	if shared, ok := c.flagSets[string(key)]; ok {
		return shared
	}
	shared := slices.Clone(flags)
	c.flagSets[string(key)] = shared
	return shared
}
