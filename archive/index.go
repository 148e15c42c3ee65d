package archive

import (
	"hash/maphash"
	"slices"
)

// messageIndex finds messages by key and by octets. Two Go maps would do the same with three times the memory, and
// have the garbage collector walk through all of it.
type messageIndex struct {
	seed   maphash.Seed
	list   []*Message // by ordinal, which is the order of the log; nil: removed
	keys   table
	sums   table // of the messages whose octets are in the tar, the first with each sum
	stored int   // messages whose octets are in the tar
}

func newMessageIndex() messageIndex { return messageIndex{seed: maphash.MakeSeed()} }

// reserve makes room for about n messages.
func (x *messageIndex) reserve(n int) {
	x.list = slices.Grow(x.list, n)
	x.keys.reserve(n)
	x.sums.reserve(n)
}

// len is the number of messages.
func (x *messageIndex) len() int { return x.keys.used }

func hashOf[K comparable](seed maphash.Seed, k K) uint32 {
	return uint32(maphash.Comparable(seed, k)) //nolint:gosec // half of a hash is a hash
}

// byKey is the message with a key, or nil.
func (x *messageIndex) byKey(k Key) *Message {
	n, ok := x.keys.find(hashOf(x.seed, k), func(n uint32) bool { return x.list[n].Key == k })
	if !ok {
		return nil
	}
	return x.list[n]
}

// bySum is the first message with these octets that has them in the tar, or nil.
func (x *messageIndex) bySum(s Sum) *Message {
	n, ok := x.sums.find(hashOf(x.seed, s), func(n uint32) bool { return x.list[n].Sum == s })
	if !ok {
		return nil
	}
	return x.list[n]
}

// add takes in a message whose key is not there yet.
func (x *messageIndex) add(msg *Message) {
	n := uint32(len(x.list)) //nolint:gosec // four thousand million messages do not fit into memory
	x.list = append(x.list, msg)
	x.keys.insert(hashOf(x.seed, msg.Key), n)
	if msg.ownsOctets() {
		x.stored++
		if x.bySum(msg.Sum) == nil {
			x.sums.insert(hashOf(x.seed, msg.Sum), n)
		}
	}
}

// remove takes out a message that is there: its key is free again, and its octets are not found by it any more.
func (x *messageIndex) remove(msg *Message) {
	isIt := func(n uint32) bool { return x.list[n] == msg }
	if msg.ownsOctets() {
		x.stored--
		x.sums.remove(hashOf(x.seed, msg.Sum), isIt)
	}
	if n, ok := x.keys.remove(hashOf(x.seed, msg.Key), isIt); ok {
		x.list[n] = nil
	}
}

// ownsOctets says that the tar has a file of its own for the message.
func (m *Message) ownsOctets() bool { return !m.Link && m.from == nil }

// table is a hash table of ordinals with linear probing. It knows no keys: whoever asks compares.
type table struct {
	slots []uint64 // a hash in the upper half, an ordinal + 1 in the lower; 0: free. A power of two
	used  int
}

const minSlots = 64

// find returns the ordinal under a hash that is the same as what is looked for.
func (t *table) find(hash uint32, same func(ordinal uint32) bool) (uint32, bool) {
	if t.used == 0 {
		return 0, false
	}
	mask := len(t.slots) - 1
	for i := int(hash) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if hashIn(t.slots[i]) == hash && same(ordinalIn(t.slots[i])) {
			return ordinalIn(t.slots[i]), true
		}
	}
	return 0, false
}

func hashIn(slot uint64) uint32    { return uint32(slot >> 32) }
func ordinalIn(slot uint64) uint32 { return uint32(slot&(1<<32-1)) - 1 }

// insert adds an ordinal that is not there.
func (t *table) insert(hash, ordinal uint32) {
	t.reserve(1)
	t.put(uint64(hash)<<32 | (uint64(ordinal) + 1))
	t.used++
}

// reserve makes room for n more ordinals: at most three quarters of the slots are in use.
func (t *table) reserve(n int) {
	if (t.used+n)*4 <= len(t.slots)*3 {
		return
	}
	size := max(len(t.slots), minSlots)
	for (t.used+n)*4 > size*3 {
		size *= 2
	}
	old := t.slots
	t.slots = make([]uint64, size)
	for _, slot := range old {
		if slot != 0 {
			t.put(slot)
		}
	}
}

func (t *table) put(slot uint64) {
	mask := len(t.slots) - 1
	i := int(hashIn(slot)) & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = slot
}

// remove takes out the ordinal that is the same as what is looked for, and returns it.
func (t *table) remove(hash uint32, same func(ordinal uint32) bool) (uint32, bool) {
	if t.used == 0 {
		return 0, false
	}
	mask := len(t.slots) - 1
	i := int(hash) & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if hashIn(t.slots[i]) == hash && same(ordinalIn(t.slots[i])) {
			break
		}
	}
	if t.slots[i] == 0 {
		return 0, false
	}
	ordinal := ordinalIn(t.slots[i])
	t.used--
	// What was put farther from its home because this slot was taken moves up.
	for next := (i + 1) & mask; t.slots[next] != 0; next = (next + 1) & mask {
		home := int(hashIn(t.slots[next])) & mask
		if (next-home)&mask >= (next-i)&mask {
			t.slots[i] = t.slots[next]
			i = next
		}
	}
	t.slots[i] = 0
	return ordinal, true
}
