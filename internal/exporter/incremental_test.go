package exporter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"mailark/archive"
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
		id := r.mailbox(a, box.Name).ID
		if e := a.Epoch(id); e == nil || e.UIDValidity != box.UIDValidity {
			r.Errorf("%s: %s has the epoch %+v, not of UIDVALIDITY %d", what, box.Name, e, box.UIDValidity)
		}
		for _, m := range a.Current(id) {
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
	r.account.SetFlags("INBOX", 8, `\Deleted`)
	if r.run(0); r.count("UID FETCH") != 1 {
		t.Errorf("what had left was asked for again: %v", r.server.Commands())
	}
	r.checkAll()
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
		"SEARCH shows what was": func(r *rig, f *imaptest.Faults) {
			r.account.Expunge("INBOX", 3)
			r.fill("INBOX", 1)
			f.Found = func(_ string, uids []uint32) []uint32 { return append(uids[:len(uids)-1], 3) }
		},
		"the mailbox was restored": func(r *rig, _ *imaptest.Faults) { r.restore("INBOX", 20) },
		"the mailbox was restored and has new mail": func(r *rig, _ *imaptest.Faults) {
			r.restore("INBOX", 20)
			r.account.AddMessage("INBOX", imaptest.Message{UID: 31, Octets: []byte("new")})
		},
		"the mailbox was restored and has new flags": func(r *rig, _ *imaptest.Faults) {
			r.restore("INBOX", 20)
			for i := range 20 {
				r.account.SetFlags("INBOX", 1, fmt.Sprint("flag", i))
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
		"the count of changes stands still": func(r *rig, f *imaptest.Faults) {
			r.account.Expunge("INBOX", 3)
			r.fill("INBOX", 1)
			f.StatusLie = func(_ string, d *imap.StatusData) { *d.DeletedStorage = 31 }
		},
		"UIDVALIDITY alone is another": func(r *rig, _ *imaptest.Faults) { r.account.SetUIDValidity("INBOX", 77, 1) },
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

// restore brings a mailbox back to its first n messages as they were before they had flags.
func (r *rig) restore(name string, n int) {
	validity := r.account.Snapshot().Mailbox(name).UIDValidity
	old := r.account.Messages(name)
	r.account.RemoveMailbox(name)
	r.account.AddMailbox(imaptest.Mailbox{Name: name, UIDValidity: validity})
	for _, m := range old[:n] {
		r.account.AddMessage(name, imaptest.Message{UID: m.UID, Octets: m.Octets, InternalDate: m.InternalDate})
	}
}

// TestArchiveLacks: the same figures prove nothing where the archive has fewer messages than they say.
func TestArchiveLacks(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 5)
	r.run(0)
	w, err := archive.OpenWriter(r.opts.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.SetGone(true, archive.Key{Mailbox: 1, Epoch: 1, UID: 3}), w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if m := r.figures(r.run(0), "INBOX"); m.Unchanged || m.Back != 1 {
		t.Errorf("figures: %+v", m)
	}
	r.checkAll()
}

// TestFull finds what a server hides that does not count changes of flags.
func TestFull(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 5)
	r.run(0)
	r.server.SetFaults(imaptest.Faults{FlagsUncounted: true})
	r.account.SetFlags("INBOX", 3, "todo")
	if m := r.figures(r.run(0), "INBOX"); !m.Unchanged {
		t.Errorf("figures: %+v", m)
	}
	r.opts.Full = true
	if m := r.figures(r.run(0), "INBOX"); m.FlagsChanged != 1 || m.Unchanged {
		t.Errorf("figures: %+v", m)
	}
	r.checkAll()
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
	// SEARCH leaves it out, and finds in its stead what has just left.
	r.account.Expunge("INBOX", 9)
	r.server.SetFaults(imaptest.Faults{NoBody: times(imaptest.Always, 4), Found: func(_ string, uids []uint32) []uint32 {
		uids[3] = 9
		return uids
	}})
	r.run(3)
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

// TestFlagsUntold: flags that the server left out may be others than the archive has, so a count of their changes proves
// nothing.
func TestFlagsUntold(t *testing.T) {
	for _, told := range []bool{true, false} {
		s := &scripted{boxes: boxes("INBOX")}
		s.answer = func(_, command string) (string, string) {
			text := show(command, 9, letters(3)...)
			if strings.HasPrefix(command, "EXAMINE") {
				text += "* OK [UIDNEXT 4] x\r\n* OK [HIGHESTMODSEQ 7] x\r\n"
			}
			if !told {
				text = strings.Replace(text, " FLAGS ()", "", 1)
			}
			return text, ""
		}
		r := s.rig(t)
		r.expect(0)
		if state := r.archive().Epoch(1).State; state.UIDNext != 4 || (state.HighestModSeq == 7) != told {
			t.Errorf("told %v: state %+v", told, state)
		}
	}
}

// TestStatusKills: a mailbox whose figures end the connection every time keeps nobody from copying the mail.
func TestStatusKills(t *testing.T) {
	for _, separate := range []bool{false, true} {
		t.Run(fmt.Sprint(separate), func(t *testing.T) {
			r := newRigOn(t, imaptest.ServerOptions{NoListStatus: separate})
			r.account.AddMailbox(imaptest.Mailbox{Name: "Sent", Role: `\Sent`})
			r.fill("Sent", 3)
			r.fill("INBOX", 10)
			r.run(0)
			r.fill("INBOX", 3)
			r.server.SetFaults(imaptest.Faults{StatusKills: "Sent"})
			r.run(0)
			r.checkAll()
		})
	}
}

// TestUnchangedElsewhere: the figures of another account are no proof, be they the same.
func TestUnchangedElsewhere(t *testing.T) {
	r := newRigOn(t, imaptest.ServerOptions{Users: map[string]string{"user": "pw", "other": "pw"}})
	first := r.account
	r.fill("INBOX", 5)
	other := r.server.Account("other")
	for i := range 5 {
		other.AddMessage("INBOX", imaptest.Message{Octets: message(900+i, 300)})
	}
	r.run(0)
	r.opts.OtherSource = true
	r.opts.Session.User, r.account = "other", other
	r.run(0)
	r.checkAll()
	r.opts.Session.User, r.account = "user", first
	r.opts.OtherSource = false
	r.run(0)
	r.checkAll()
}
