package exporter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mailark/internal/imaptest"
)

// TestRandomChanges holds the archive against the server after random changes, and after runs that met with random faults
// in between, for all kinds of servers.
func TestRandomChanges(t *testing.T) {
	for name, o := range incrementalServers() {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 1))
			r := newRigOn(t, o)
			r.opts.Retry.Losses = 2
			r.account.AddMailbox(imaptest.Mailbox{Name: "uncounted", NoModSeq: true})
			for _, name := range []string{"INBOX", "a", "b", "uncounted"} {
				r.fill(name, 12)
			}
			for round := range 15 {
				if rng.IntN(3) == 0 {
					r.server.SetFaults(randomFaults(rng))
					_, _ = Run(t.Context(), r.opts) // it may fail in many ways
					r.server.SetFaults(imaptest.Faults{})
				}
				r.run(0)
				if r.checkAll(); t.Failed() {
					t.Fatalf("seed %d, round %d", seed, round)
				}
				for range rng.IntN(6) {
					r.change(rng)
				}
			}
		})
	}
}

func randomFaults(rng *rand.Rand) imaptest.Faults {
	uid := 1 + rng.Uint32N(30)
	keys := map[imaptest.Key]int{{Mailbox: "INBOX", UID: uid}: imaptest.Always, {Mailbox: "a", UID: uid}: imaptest.Always}
	return [...]imaptest.Faults{
		{Cut: keys}, {NoBody: keys}, {Vanish: keys}, {Flags: map[imaptest.Key]int{{Mailbox: "INBOX", UID: uid}: 1}}, {ExistsLie: rng.IntN(5) - 2},
		{CloseAfter: 1000 + rng.Int64N(5000), CloseTimes: 3},
		{Refuse: map[string]int{"EXAMINE": 1 + rng.IntN(3), "UID FETCH": rng.IntN(3), "UID SEARCH": rng.IntN(3), "LIST": rng.IntN(3)}},
		{Found: func(_ string, uids []uint32) []uint32 { return append(uids[min(1, len(uids)):], uid) }},
	}[rng.IntN(8)]
}

// change makes one change of the account, such as mail programs make.
func (r *rig) change(rng *rand.Rand) {
	boxes := r.account.Snapshot().Mailboxes
	name := boxes[rng.IntN(len(boxes))].Name
	list := r.account.Messages(name)
	if len(list) < 5 {
		r.fill(name, 5)
		return
	}
	m := list[rng.IntN(len(list))]
	switch rng.IntN(8) {
	case 0, 1:
		r.account.SetFlags(name, m.UID, [][]string{nil, {`\Seen`}, {"todo"}}[rng.IntN(3)]...)
	case 2:
		r.fill(name, 1+rng.IntN(3))
	case 3:
		r.account.Expunge(name, m.UID)
	case 4: // moved
		to := boxes[rng.IntN(len(boxes))].Name
		r.account.Expunge(name, m.UID)
		r.account.AddMessage(to, imaptest.Message{Flags: m.Flags, InternalDate: m.InternalDate, Octets: m.Octets})
	case 5: // in the place of another
		r.account.Expunge(name, m.UID)
		r.fill(name, 1)
	case 6:
		r.account.SetUIDValidity(name, 1_800_000_000+rng.Uint32N(1e6), 1+rng.Uint32N(20))
	case 7:
		if name == "INBOX" {
			r.fill(fmt.Sprintf("new %d", rng.Uint32()), 3)
		} else {
			r.account.RenameMailbox(name, fmt.Sprintf("renamed %d", rng.Uint32()))
		}
	}
}
