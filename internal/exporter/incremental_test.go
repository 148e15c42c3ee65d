package exporter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/imaptest"
)

// incrementalServers are the ways in which servers can tell what has changed, or cannot.
func incrementalServers() map[string]imaptest.ServerOptions {
	return map[string]imaptest.ServerOptions{
		"all":            {},
		"no LIST-STATUS": {NoListStatus: true},
		"no ESEARCH":     {NoESearch: true},
		"no CONDSTORE":   {NoCondStore: true},
		"nothing":        {NoCondStore: true, NoListStatus: true, NoListExtended: true, NoESearch: true},
	}
}

// count is how many commands with this beginning the server has seen since the last run began.
func (r *rig) count(prefix string) (n int) {
	for _, c := range r.server.Commands() {
		n += b2i(strings.HasPrefix(c.Line, prefix))
	}
	return n
}

// checkAll demands that the archive's picture of every mailbox is the server's.
func (r *rig) checkAll() {
	r.Helper()
	r.checkSnapshot("", r.account.Snapshot())
}

func (r *rig) checkSnapshot(what string, snap imaptest.Snapshot) {
	r.Helper()
	a := r.archive()
	defer func() { _ = a.Close() }()
	for _, box := range snap.Mailboxes {
		var got, want []string
		for _, m := range a.Current(r.mailbox(a, box.Name).ID) {
			got = append(got, fmt.Sprintf("%d %v %v %v", m.UID, m.Sum, m.InternalDate.Unix(), flagSet(m.Flags)))
		}
		for _, m := range box.Messages {
			want = append(want, fmt.Sprintf("%d %s %v %v", m.UID, m.SHA256, m.InternalDate.Unix(), flagSet(m.Flags)))
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				r.Errorf("%s: %s has %d messages, not %d; the first that differs is\n%q, not\n%q", what, box.Name,
					len(got), len(want), got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
				break
			}
		}
	}
}

// TestUnchanged: a thousand mailboxes with nothing new cost a handful of commands, and the sums still add up.
func TestUnchanged(t *testing.T) {
	for name, c := range map[string]struct {
		server imaptest.ServerOptions
		most   int // commands
	}{
		"LIST-STATUS": {imaptest.ServerOptions{}, 7},
		"STATUS":      {imaptest.ServerOptions{NoListStatus: true}, 7 + 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOn(t, c.server)
			r.opts.Connections = 1
			for i := range 200 {
				name := fmt.Sprintf("box %03d", i)
				r.account.AddMailbox(imaptest.Mailbox{Name: name})
				r.fill(name, i%3)
			}
			r.fill("INBOX", 5)
			first := r.run(0).Total()
			res := r.run(0)
			if n := len(r.server.Commands()); n > c.most {
				t.Errorf("%d commands for nothing: %v", n, r.server.Commands()[:20])
			}
			if f := res.Total(); f.Listed != first.Listed || f.Before != f.Listed || !f.addUp(f.Before) || len(res.Mailboxes) != 201 {
				t.Errorf("figures: %+v", f)
			}
			if !strings.Contains(res.String(), "201 mailboxes not opened") {
				t.Errorf("not told:\n%v", res)
			}
			r.opts.DryRun = true
			dry := r.run(0).Total()
			if dry != res.Total() || r.count("EXAMINE") != 0 {
				t.Errorf("dry run: %+v", dry)
			}
			r.opts.DryRun, r.opts.Full = false, true
			if f := r.run(0).Total(); f != res.Total() || r.count("EXAMINE") != 201 || r.count("UID FETCH 1:*") != 201 || r.count("UID SEARCH") != 0 {
				t.Errorf("--full: %+v, %d opened", f, r.count("EXAMINE"))
			}
		})
	}
}

// TestChangesAlone: of a mailbox with changes, only those are listed.
func TestChangesAlone(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 1
	r.fill("INBOX", 300)
	r.fill("Other", 20)
	r.run(0)
	r.account.SetFlags("INBOX", 7, `\Deleted`)
	r.account.Expunge("INBOX", 9)
	r.fill("INBOX", 2)
	m := r.figures(r.run(0), "INBOX")
	if m.Now != 2 || m.Gone != 1 || m.FlagsChanged != 1 || m.Before != 299 || m.Listed != 301 {
		t.Errorf("figures: %+v", m)
	}
	if r.count("EXAMINE") != 1 || r.count("UID FETCH 1:*") != 1 || r.count("UID FETCH 9 (") != 1 {
		t.Errorf("commands: %v", r.server.Commands())
	}
	r.checkAll()
}

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

// TestLiesAboutChanges: whatever the server makes up, the archive ends as the server's mailbox is, at once or with
// the next run, and nothing counts as gone that is there.
func TestLiesAboutChanges(t *testing.T) {
	for name, lie := range map[string]func(r *rig, f *imaptest.Faults){
		"SEARCH gives sequence numbers": func(r *rig, f *imaptest.Faults) {
			r.account.Expunge("INBOX", 3)
			f.Found = func(_ string, uids []uint32) []uint32 {
				for i := range uids {
					uids[i] = uint32(i + 1)
				}
				return uids
			}
		},
		"SEARCH finds one for another": func(r *rig, f *imaptest.Faults) {
			r.account.Expunge("INBOX", 3)
			f.Found = func(_ string, uids []uint32) []uint32 {
				return append([]uint32{3}, slices.DeleteFunc(uids, func(uid uint32) bool { return uid == 20 })...)
			}
		},
		"SEARCH finds nothing": func(r *rig, f *imaptest.Faults) {
			r.account.SetFlags("INBOX", 3, "todo")
			f.Found = func(string, []uint32) []uint32 { return nil }
		},
		"SEARCH finds what never was": func(r *rig, f *imaptest.Faults) {
			r.account.Expunge("INBOX", 3)
			f.Found = func(_ string, uids []uint32) []uint32 { return append(uids[1:], 4_000_000_000) }
		},
		"SEARCH finds what is refused": func(r *rig, f *imaptest.Faults) {
			r.account.SetFlags("INBOX", 3, "todo")
			f.Found = func(_ string, uids []uint32) []uint32 { return append(uids[1:], 31) }
			r.account.AddMessage("INBOX", imaptest.Message{UID: 40, Octets: []byte("x")})
			r.account.Expunge("INBOX", 40)
		},
		"the mailbox was restored": func(r *rig, _ *imaptest.Faults) {
			validity := r.account.Snapshot().Mailbox("INBOX").UIDValidity
			old := r.account.Messages("INBOX")
			r.account.RemoveMailbox("INBOX")
			r.account.AddMailbox(imaptest.Mailbox{Name: "INBOX", UIDValidity: validity})
			for _, m := range old[:20] {
				r.account.AddMessage("INBOX", imaptest.Message{UID: m.UID, Octets: m.Octets, InternalDate: m.InternalDate})
			}
		},
		"changes are not counted any more": func(r *rig, _ *imaptest.Faults) {
			r.account.AddMailbox(imaptest.Mailbox{Name: "INBOX", UIDValidity: r.account.Snapshot().Mailbox("INBOX").UIDValidity, NoModSeq: true})
			r.account.SetFlags("INBOX", 3, "todo")
		},
		"figures are missing": func(r *rig, f *imaptest.Faults) {
			r.account.SetFlags("INBOX", 3, "todo")
			f.StatusLie = func(_ string, d *imap.StatusData) {
				var zero uint32
				var none int64
				d.NumMessages, d.UIDNext, d.UIDValidity, d.DeletedStorage = &zero, 0, 0, &none
			}
		},
		"EXAMINE tells one more": func(r *rig, f *imaptest.Faults) {
			r.account.Expunge("INBOX", 3)
			f.ExistsLie = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fill("INBOX", 30)
			r.run(0)
			var f imaptest.Faults
			lie(r, &f)
			r.server.SetFaults(f)
			if f.ExistsLie != 0 {
				if m := r.figures(r.run(4), "INBOX"); m.Gone != 0 || m.Changed == "" {
					t.Errorf("figures: %+v", m)
				}
				r.server.SetFaults(imaptest.Faults{})
			}
			r.run(0)
			r.checkAll()
			r.server.SetFaults(imaptest.Faults{})
			r.run(0)
			r.checkAll()
		})
	}
}

// TestShrunkChanges: a mailbox that has lost most of its messages is listed in full before that is believed.
func TestShrunkChanges(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 1
	r.fill("INBOX", 100)
	r.run(0)
	for uid := uint32(1); uid <= 70; uid++ {
		r.account.Expunge("INBOX", uid)
	}
	if m := r.figures(r.run(0), "INBOX"); m.Gone != 70 || r.count("UID SEARCH") != 1 || r.count("EXAMINE") != 2 {
		t.Errorf("figures: %+v, opened %d times", m, r.count("EXAMINE"))
	}
	r.checkAll()
	r.account.AddMessage("INBOX", imaptest.Message{Octets: []byte("y")})
	// Most are hidden at the first look, by both of its answers.
	r.server.SetFaults(imaptest.Faults{ExistsLie: -28, Found: func(_ string, uids []uint32) []uint32 { return uids[28:] }})
	if m := r.figures(r.run(4), "INBOX"); m.Gone != 0 || m.Now != 1 || m.Changed == "" {
		t.Errorf("figures: %+v", m)
	}
	r.server.SetFaults(imaptest.Faults{})
	r.run(0)
	r.checkAll()
}

// TestMeanwhile: mail that arrives, or changes, between the answers is never taken for seen.
func TestMeanwhile(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"new mail":      func(r *rig) { r.fill("INBOX", 1) },
		"other flags":   func(r *rig) { r.account.SetFlags("INBOX", 8, "late") },
		"deleted":       func(r *rig) { r.account.Expunge("INBOX", 8) },
		"one for other": func(r *rig) { r.account.Expunge("INBOX", 8); r.fill("INBOX", 1) },
	} {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprint(name, full), func(t *testing.T) {
				r := newRig(t)
				r.fill("INBOX", 30)
				r.run(0)
				r.account.SetFlags("INBOX", 7, "todo")
				r.opts.Full = full
				done := false
				var changing sync.WaitGroup
				r.server.SetFaults(imaptest.Faults{
					Found: func(_ string, uids []uint32) []uint32 { // between EXAMINE and FETCH
						if !done {
							done = true
							change(r)
						}
						return uids
					},
					StatusLie: func(_ string, d *imap.StatusData) {
						if full && !done { // behind STATUS
							done = true
							changing.Go(func() { change(r) })
						}
					},
				})
				_, _ = Run(t.Context(), r.opts) // it may say that the server contradicts itself
				changing.Wait()
				r.server.SetFaults(imaptest.Faults{})
				r.opts.Full = false
				r.run(0)
				r.checkAll()
			})
		}
	}
}

// TestRefusedIsNotUnchanged: as long as the server owes a message its mailbox is opened in every run.
func TestRefusedIsNotUnchanged(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 1
	r.fill("INBOX", 10)
	r.server.SetFaults(imaptest.Faults{NoBody: times(imaptest.Always, 4)})
	r.run(3)
	r.run(3)
	if !slices.Contains(r.asked(), 4) {
		t.Errorf("asked for %v", r.asked())
	}
	r.server.SetFaults(imaptest.Faults{})
	r.run(0)
	r.checkAll()
	r.run(0)
	if r.count("EXAMINE") != 0 {
		t.Error("opened again")
	}
}

// TestCutIsNotUnchanged: what an interrupted run has left is no state to begin from.
func TestCutIsNotUnchanged(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 10)
	r.run(0)
	r.fill("INBOX", 10)
	r.account.SetFlags("INBOX", 3, "todo")
	r.opts.Retry.Losses = 2
	r.server.SetFaults(imaptest.Faults{Cut: times(imaptest.Always, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)})
	if res, err := Run(t.Context(), r.opts); err == nil && res.ExitCode() == 0 {
		t.Fatal("the run was not cut")
	}
	r.server.SetFaults(imaptest.Faults{})
	if m := r.figures(r.run(0), "INBOX"); m.Unchanged {
		t.Errorf("figures: %+v", m)
	}
	r.checkAll()
}
