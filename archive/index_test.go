package archive

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestIndexAgainstMaps adds and removes messages at random and compares with Go's maps.
func TestIndexAgainstMaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	x := newMessageIndex()
	keys, sums := make(map[Key]*Message), make(map[Sum]*Message)
	stored := 0
	for step := range 60_000 {
		key := Key{Mailbox: 1 + rng.Uint32N(3), Epoch: 1, UID: 1 + rng.Uint32N(4000)}
		msg := keys[key]
		if x.byKey(key) != msg {
			t.Fatalf("step %d: %v is %v, not %v", step, key, x.byKey(key), msg)
		}
		switch {
		case msg == nil:
			msg = &Message{Key: key, Link: rng.IntN(5) == 0}
			binary.LittleEndian.PutUint32(msg.Sum[:], rng.Uint32N(6000))
			x.add(msg)
			keys[key] = msg
			if !msg.Link {
				stored++
				if sums[msg.Sum] == nil {
					sums[msg.Sum] = msg
				}
			}
		case rng.IntN(3) > 0:
			x.remove(msg)
			delete(keys, key)
			if !msg.Link {
				stored--
			}
			if sums[msg.Sum] == msg {
				delete(sums, msg.Sum)
			}
		}
		if x.bySum(msg.Sum) != sums[msg.Sum] {
			t.Fatalf("step %d: sum of %v is that of %v, not %v", step, key, x.bySum(msg.Sum), sums[msg.Sum])
		}
		if x.len() != len(keys) || x.stored != stored {
			t.Fatalf("step %d: %d messages, %d stored, not %d, %d", step, x.len(), x.stored, len(keys), stored)
		}
	}
	for key, msg := range keys {
		if x.byKey(key) != msg {
			t.Errorf("%v is lost", key)
		}
	}
	for sum, msg := range sums {
		if x.bySum(sum) != msg {
			t.Errorf("%s is lost", sum)
		}
	}
}

// TestTableOfOneHash: messages whose hashes are the same, or fall at the end of the table, are still told apart.
func TestTableOfOneHash(t *testing.T) {
	for _, hashes := range [][]uint32{{7, 7, 7, 7}, {minSlots - 1, minSlots - 2, minSlots - 1, 0, 1, minSlots - 2}, {0, minSlots, 2 * minSlots, 1}} {
		for skip := range hashes {
			var table table
			is := func(n int) func(uint32) bool { return func(m uint32) bool { return int(m) == n } }
			for n, hash := range hashes {
				table.insert(hash, uint32(n))
			}
			if n, ok := table.remove(hashes[skip], is(skip)); !ok || int(n) != skip {
				t.Errorf("%v: remove %d gives %d, %v", hashes, skip, n, ok)
			}
			for n, hash := range hashes {
				if got, ok := table.find(hash, is(n)); ok != (n != skip) || ok && int(got) != n {
					t.Errorf("%v without %d: %d is %d, %v", hashes, skip, n, got, ok)
				}
			}
		}
	}
}
