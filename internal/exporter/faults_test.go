package exporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/internal/imaptest"
)

func inbox(uids ...uint32) map[imaptest.Key]int { return times(imaptest.Always, uids...) }

func once(uids ...uint32) map[imaptest.Key]int { return times(1, uids...) }

func times(n int, uids ...uint32) map[imaptest.Key]int {
	m := make(map[imaptest.Key]int)
	for _, uid := range uids {
		m[imaptest.Key{Mailbox: "INBOX", UID: uid}] = n
	}
	return m
}

// A message that was refused is asked for again by the next run, and nothing else is.
func TestRefusedThenGiven(t *testing.T) {
	for name, faults := range map[string]imaptest.Faults{
		"answers NO":     {NoBody: inbox(5)},
		"cut":            {Cut: inbox(5)},
		"passed over":    {Bodiless: inbox(5)},
		"no octets":      {Emptied: inbox(5)},
		"NO to the last": {NoBody: inbox(5, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fill("INBOX", 10)
			r.fill("Other", 3)
			r.server.SetFaults(faults)
			ill := []uint32{5}
			if len(faults.NoBody) == 2 {
				ill = []uint32{5, 10}
			}
			res := r.run(3)
			if len(res.Refused) != len(ill) || res.Refused[0].UID != 5 || res.Refused[0].Text == "" {
				t.Fatalf("refused: %+v", res.Refused)
			}
			if m := r.figures(res, "INBOX"); m.Refused != len(ill) || m.Now != 10-len(ill) || m.Left != 0 || m.Failed != "" {
				t.Errorf("figures: %+v", m)
			}
			r.checkEqual("INBOX", ill...)
			r.checkEqual("Other")
			a := r.archive()
			if list := a.Refusals(); len(list) != len(ill) || list[0].UID != 5 {
				t.Errorf("refusals in the archive: %+v", list)
			}
			if a.Epoch(1).State == nil {
				t.Error("the mailbox is not noted as copied but for refused messages")
			}

			r.server.SetFaults(imaptest.Faults{})
			r.run(0)
			if asked := slices.Sorted(slices.Values(r.asked())); !slices.Equal(asked, ill) {
				t.Errorf("the next run asked for %v", asked)
			}
			r.checkEqual("INBOX")
			r.checkSound()
			if list := r.archive().Refusals(); len(list) != 0 {
				t.Errorf("refusals in the archive: %+v", list)
			}
		})
	}
}

// The server's own words reach the user.
func TestRefusalWords(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 3)
	r.server.SetFaults(imaptest.Faults{NoBody: inbox(2)})
	res := r.run(3)
	if !strings.Contains(res.Refused[0].Text, "Server error while fetching messages") {
		t.Errorf("text %q", res.Refused[0].Text)
	}
}

// What goes wrong for a while does no harm.
func TestPassingTrouble(t *testing.T) {
	for name, faults := range map[string]imaptest.Faults{
		"cut once":             {Cut: once(1, 20, 21, 60)},
		"cut twice":            {Cut: times(2, 30)},
		"no body once":         {Bodiless: once(3, 4, 5, 60)},
		"no octets once":       {Emptied: once(1, 17)},
		"NO once":              {NoBody: once(1, 31)},
		"flags in between":     {Flags: once(2, 3, 40)},
		"estimated sizes":      {Sizes: map[imaptest.Key]uint32{{Mailbox: "INBOX", UID: 2}: 1 << 30, {Mailbox: "INBOX", UID: 3}: 0}},
		"greeted with BYE":     {Greeting: 2},
		"closed early":         {CloseAfter: 100, CloseTimes: 2},
		"closed again, again":  {CloseAfter: 30_000, CloseTimes: imaptest.Always},
		"everything a little":  {Cut: once(10), Bodiless: once(20), Emptied: once(30), NoBody: once(40), CloseAfter: 60_000, CloseTimes: 2},
		"refuses LIST a while": {CloseAfter: 400, CloseTimes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fill("INBOX", 60)
			r.server.SetFaults(faults)
			res := r.run(0)
			if m := r.figures(res, "INBOX"); m.Now != 60 || m.Refused+m.Vanished+m.Left != 0 {
				t.Errorf("figures: %+v", m)
			}
			r.checkEqual("INBOX")
			r.checkSound()
		})
	}
}

// The connection ends at any octet.
func TestClosedAnywhere(t *testing.T) {
	for after := int64(100); after < 130_000; after += 4099 {
		r := newRig(t)
		r.fill("INBOX", 25)
		r.server.SetFaults(imaptest.Faults{CloseAfter: after, CloseTimes: 1})
		res, err := Run(t.Context(), r.opts)
		if err != nil {
			t.Fatalf("closed after %d octets: exit %d: %v", after, res.ExitCode(), err)
		}
		r.checkEqual("INBOX")
	}
}

func TestVanishedMeanwhile(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 30)
	r.server.SetFaults(imaptest.Faults{Vanish: once(4, 5, 30)})
	m := r.figures(r.run(0), "INBOX")
	if m.Vanished != 3 || m.Now != 27 || m.Refused != 0 {
		t.Errorf("figures: %+v", m)
	}
	r.checkEqual("INBOX")
}

func TestExistsLies(t *testing.T) {
	for _, lie := range []int{40, 1, -1, -10} {
		t.Run(fmt.Sprint(lie), func(t *testing.T) {
			r := newRig(t)
			r.fill("INBOX", 10)
			r.run(0)
			r.account.Expunge("INBOX", 3)
			r.fill("INBOX", 2)
			r.server.SetFaults(imaptest.Faults{ExistsLie: lie})
			m := r.figures(r.run(4), "INBOX")
			if m.Changed == "" || m.Gone != 0 || m.Now != 2 {
				t.Errorf("figures: %+v", m)
			}
			a := r.archive()
			if msg := a.Message(archive.Key{Mailbox: 1, Epoch: 1, UID: 3}); msg.Gone {
				t.Error("a message is marked as gone")
			}
			r.server.SetFaults(imaptest.Faults{})
			if m := r.figures(r.run(0), "INBOX"); m.Gone != 1 {
				t.Errorf("figures: %+v", m)
			}
			r.checkEqual("INBOX")
		})
	}
}

func TestFailedMailbox(t *testing.T) {
	for name, faults := range map[string]imaptest.Faults{
		"EXAMINE refused": {Refuse: map[string]int{"EXAMINE": 1}},
		"listing refused": {Refuse: map[string]int{"UID FETCH": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fill("INBOX", 5)
			r.fill("Other", 5)
			r.server.SetFaults(faults)
			res := r.run(3)
			failed := 0
			for _, m := range res.Mailboxes {
				failed += b2i(m.Failed != "")
			}
			if total := res.Total(); failed != 1 || total.Now != 5 || len(res.Mailboxes) != 2 {
				t.Errorf("result: %v", res)
			}
			r.run(0)
			r.checkEqual("INBOX")
			r.checkEqual("Other")
		})
	}
}

// A server that ends the connection for every message is not asked for ever.
func TestGivesUp(t *testing.T) {
	r := newRig(t)
	uids := r.fill("INBOX", 100)
	r.server.SetFaults(imaptest.Faults{Cut: inbox(uids[10:]...)})
	res := r.run(3)
	if total := res.Total(); total.Now != 10 || total.Left+total.Refused != 90 || total.Refused == 0 {
		t.Errorf("figures: %+v", total)
	}
	if len(r.pauses) > 40 {
		t.Errorf("%d pauses", len(r.pauses))
	}
	for i := 1; i < 5; i++ {
		if r.pauses[i] < r.pauses[i-1] {
			t.Errorf("the pauses do not grow: %v", r.pauses)
		}
	}
	if runs := r.archive().Runs(); runs[0].Exit != 3 {
		t.Errorf("runs: %+v", runs)
	}
	r.server.SetFaults(imaptest.Faults{})
	r.run(0)
	if n := len(r.asked()); n != 90 {
		t.Errorf("%d bodies asked for, want 90", n)
	}
	r.checkEqual("INBOX")
	r.checkSound()
}

// A server that refuses everything is left alone, and what it refused is asked last the next time.
func TestRefusesEverything(t *testing.T) {
	r := newRig(t)
	uids := r.fill("INBOX", 200)
	r.fill("Other", 2)
	r.opts.Retry.InVain = 20
	r.server.SetFaults(imaptest.Faults{NoBody: inbox(uids[:150]...)})
	res := r.run(3)
	m := r.figures(res, "INBOX")
	if m.Failed == "" || m.Refused == 0 || m.Left == 0 {
		t.Errorf("figures: %+v", m)
	}
	if r.figures(res, "Other").Now != 2 {
		t.Error("the other mailbox was not copied")
	}
	// One connection finds the 50 that the server gives, since halving twice sets them apart; several cut elsewhere.
	if m.Now != 50 && (r.opts.Connections == 1 || m.Now < 20) {
		t.Errorf("%d messages copied of the 50 that the server gives", m.Now)
	}
	before := len(r.archive().Refusals())
	r.run(3)
	if after := len(r.archive().Refusals()); before == 0 || after <= before {
		t.Errorf("%d refusals after the first run, %d after the second: it asked for the same again", before, after)
	}
	if len(r.pauses) > 100 {
		t.Errorf("%d pauses", len(r.pauses))
	}
	r.server.SetFaults(imaptest.Faults{})
	r.run(0)
	r.checkEqual("INBOX")
}

func TestSignInRefusedMeanwhile(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 1 // others would go on
	r.fill("INBOX", 30)
	r.server.SetFaults(imaptest.Faults{Cut: once(15)})
	r.onPause = func() {
		r.server.SetFaults(imaptest.Faults{SignIn: &imap.Error{
			Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAuthenticationFailed, Text: "expired",
		}})
	}
	res := r.run(16)
	if len(r.pauses) != 1 || res.Total().Now != 14 {
		t.Errorf("%d pauses, %+v", len(r.pauses), res.Total())
	}
	r.onPause = func() {}
	r.server.SetFaults(imaptest.Faults{})
	r.run(0)
	if asked := r.asked(); len(asked) != 16 {
		t.Errorf("asked for %v", asked)
	}
	r.checkEqual("INBOX")
}

func TestSilentServer(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 10)
	r.opts.Session.Timeout = 300 * time.Millisecond
	r.server.SetFaults(imaptest.Faults{Silent: map[string]int{"UID FETCH": 2}})
	r.run(0)
	r.checkEqual("INBOX")
}

// Slow mail is committed while more is awaited.
func TestCommitInSilence(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 1 // whose pause is the silence
	r.fill("INBOX", 20)
	r.opts.tick = time.Millisecond
	r.server.SetFaults(imaptest.Faults{Cut: once(20)})
	safe := 0
	r.onPause = func() {
		for deadline := time.Now().Add(20 * time.Second); safe < 19 && time.Now().Before(deadline); {
			a, err := archive.Open(r.opts.Dir, nil)
			if err != nil {
				t.Error(err)
				return
			}
			safe, _ = a.Len()
			_ = a.Close()
		}
	}
	r.run(0)
	if safe != 19 {
		t.Errorf("%d messages were safe during the silence, want 19", safe)
	}
}

// Runs that are stopped anywhere add up to one that was not.
func TestInterrupted(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := newRig(t)
	r.fill("INBOX", 150)
	r.fill("Other", 50)
	seen := 0
	for range 12 {
		ctx, cancel := context.WithCancelCause(t.Context())
		stopAfter := 1 + rng.IntN(18)
		r.opts.Progress = func(p Progress) {
			if p.Messages >= stopAfter {
				cancel(fmt.Errorf("stopped by hand: %w", context.Canceled))
			}
		}
		res := r.runContext(ctx, 130)
		cancel(nil)
		if !strings.HasPrefix(res.Err.Error(), "stopped by hand") {
			t.Errorf("error %v", res.Err)
		}
		total := res.Total()
		if total.Now < stopAfter {
			t.Errorf("%d messages, stopped after %d", total.Now, stopAfter)
		}
		seen += total.Now
		if records, _ := r.archive().Len(); records != seen {
			t.Fatalf("%d messages are in the archive, the runs told of %d", records, seen)
		}
		if runs := r.archive().Runs(); runs[len(runs)-1].Exit != 130 {
			t.Errorf("runs: %+v", runs[len(runs)-1])
		}
		if seen > 180 {
			break
		}
	}
	r.opts.Progress = nil
	res := r.run(0)
	if res.Total().Now != 200-seen || len(r.asked()) != 200-seen {
		t.Errorf("the last run copied %d and asked for %d, want %d", res.Total().Now, len(r.asked()), 200-seen)
	}
	r.checkEqual("INBOX")
	r.checkEqual("Other")
	r.checkSound()
}

// The disk fails for good at some step; the next run goes on.
func TestDiskFails(t *testing.T) {
	errDisk := errors.New("disk on fire")
	for step := 1; ; step += 2 {
		r := newRig(t)
		r.fill("INBOX", 12)
		r.opts.Archive.FrameSize = 10_000
		reached := false
		r.opts.Archive.FS = durable.New(func(s durable.Step, done bool) error {
			if s.N >= step && !done && s.Op != durable.OpChmod { // a segment that stays writable is as good
				reached = true
				return errDisk
			}
			return nil
		})
		res, err := Run(t.Context(), r.opts)
		if !reached {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, errDisk) || res.ExitCode() != 1 {
			t.Fatalf("step %d: exit %d, error %v", step, res.ExitCode(), err)
		}
		// What the result calls copied must be in the archive.
		archived := 0
		if a, err := archive.Open(r.opts.Dir, nil); err == nil {
			archived, _ = a.Len()
			_ = a.Close()
		}
		if now := res.Total().Now; now > archived {
			t.Errorf("step %d: %d messages said to be copied, %d in the archive", step, now, archived)
		}
		r.opts.Archive.FS = nil
		r.run(0)
		r.checkEqual("INBOX")
		r.checkSound()
	}
}
