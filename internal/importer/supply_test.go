package importer

import (
	"slices"
	"testing"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/spool"
)

// TestSupply: mail whose octets lie with another mailbox's, in another order, comes out as it is, and
// what is read ahead is bounded.
func TestSupply(t *testing.T) {
	a, b := mails("a", 60), mails("b", 60)
	mixed := slices.Clone(a)
	slices.Reverse(mixed)
	for i := range mixed {
		if i%3 == 0 {
			mixed[i] = b[i]
		}
	}
	mixed = append(mixed, mixed[1], mixed[1])
	dir := newArchive(t, boxSpec{path: []string{"A"}, msgs: a}, boxSpec{path: []string{"B"}, msgs: mixed},
		boxSpec{path: []string{"C"}, msgs: a})
	s := newServer(t, imaptest.ServerOptions{})
	runWant(t, options(t, dir, s), "182=0+182+0+0+0+0", 0)
	wantMail(t, s, "A", a)
	wantMail(t, s, "B", mixed)
	wantMail(t, s, "C", a)

	r, err := archive.Open(dir, nil)
	must(t, err)
	defer func() { _ = r.Close() }()
	sup := newSupply(r, spool.New(t.TempDir()))
	msgs := r.Current(2)
	sup.expect(msgs)
	sp := spool.New(t.TempDir())
	fills, last := 0, int64(-1)
	for i, msg := range msgs {
		must(t, sup.load(t.Context(), msg, sp))
		if got := sp.Sum(); got != msg.Sum {
			t.Errorf("message %d: SHA-256 %x", i, got)
		}
		if n := sup.stock.Size(); n != last {
			fills, last = fills+1, n
		}
	}
	if fills != 2 { // empty before the first linked message, then one stock for all
		t.Errorf("stock changed %d times", fills)
	}
	// Asked for in another order than was said, it still gives what is asked for.
	slices.Reverse(msgs)
	for _, msg := range msgs {
		must(t, sup.load(t.Context(), msg, sp))
		if sp.Sum() != msg.Sum {
			t.Error("wrong octets")
		}
	}
}
