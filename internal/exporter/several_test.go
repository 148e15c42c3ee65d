package exporter

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/imaptest"
)

// several is an account with one large mailbox, several small ones, and an empty one.
func several(t *testing.T, connections, large int) (r *rig, names []string) {
	t.Helper()
	r = newRig(t)
	r.opts.Connections = connections
	r.onPause = func() { time.Sleep(2 * time.Millisecond) } // the server takes a moment to see that a connection has ended
	r.fill("INBOX", 3)
	names = []string{"INBOX"}
	for i := range 12 {
		names = append(names, "box"+strings.Repeat("x", i)) // the messages differ as the lengths do
		r.fill(names[i+1], i*3)
	}
	r.fill("large", large)
	return r, append(names, "large")
}

func (r *rig) checkNamed(names []string) {
	r.Helper()
	for _, name := range names {
		if len(r.account.Messages(name)) > 0 {
			r.checkEqual(name)
		}
	}
	r.checkSound()
}

// With any number of connections the archive is the same, each message is asked for once, and the result is in the
// server's order.
func TestConnections(t *testing.T) {
	for _, n := range []int{1, 4, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r, names := several(t, n, 300)
			res := r.run(0)
			r.checkNamed(names)
			total := res.Total()
			asked := r.asked()
			if total.Listed != total.Now || len(asked) != total.Now {
				t.Errorf("%d bodies asked for, %+v", len(asked), total)
			}
			var order []string
			for _, m := range res.Mailboxes {
				order = append(order, m.Name)
			}
			if want := r.listed(); !slices.Equal(order, want) {
				t.Errorf("the result tells of %q, want %q", order, want)
			}
			if peak := r.server.Peak(); peak > n || n > 1 && peak < 2 {
				t.Errorf("%d connections at a time", peak)
			}
			before := r.server.Connections()
			if r.run(0); r.server.Connections() != before+1 {
				t.Errorf("%d connections to find that nothing is new", r.server.Connections()-before)
			}
		})
	}
}

// listed are the mailboxes that have ever got a message, in the order of the result.
func (r *rig) listed() (names []string) {
	a := r.archive()
	for _, m := range a.Mailboxes() {
		names = append(names, m.Name())
	}
	return names
}

// One large mailbox is fetched over all connections.
func TestSharedMailbox(t *testing.T) {
	for _, n := range []int{2, 8} {
		r := newRig(t)
		r.opts.Connections = n
		r.fill("INBOX", 500)
		r.server.SetFaults(imaptest.Faults{Delay: 5e6}) // so that there is time to share
		r.run(0)
		r.checkEqual("INBOX")
		r.checkSound()
		helped := map[int]bool{}
		for _, c := range r.server.Commands() {
			if fetchSet.MatchString(c.Line) {
				helped[c.Conn] = true
			}
		}
		if len(helped) != n {
			t.Errorf("%d of %d connections fetched", len(helped), n)
		}
	}
}

// Whatever one message or the line does, it costs that message only.
func TestSharedFaults(t *testing.T) {
	poison := imaptest.Key{Mailbox: "large", UID: 75}
	for name, f := range map[string]imaptest.Faults{
		"poison cuts":     {Cut: map[imaptest.Key]int{poison: imaptest.Always}},
		"poison is NO":    {NoBody: map[imaptest.Key]int{poison: imaptest.Always}},
		"passed over":     {Bodiless: map[imaptest.Key]int{poison: imaptest.Always}},
		"no octets":       {Emptied: map[imaptest.Key]int{poison: imaptest.Always}},
		"vanishes":        {Vanish: map[imaptest.Key]int{poison: 1}},
		"lines break":     {CloseAfter: 90_000, CloseTimes: imaptest.Always},
		"break, once":     {CloseAfter: 70_000, CloseTimes: 4},
		"poison, breaks":  {Cut: map[imaptest.Key]int{poison: imaptest.Always}, CloseAfter: 120_000, CloseTimes: 10},
		"cut here, there": {Cut: map[imaptest.Key]int{poison: 1, {Mailbox: "large", UID: 1}: 2, {Mailbox: "large", UID: 140}: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r, names := several(t, 4, 140)
			r.server.SetFaults(f)
			ill := strings.HasPrefix(name, "poison") || name == "passed over" || name == "no octets"
			res := r.run(3 * b2i(ill))
			if !ill {
				r.checkNamed(names)
				return
			}
			r.checkEqual("large", 75)
			r.checkNamed(names[:len(names)-1])
			if len(res.Refused) != 1 || res.Refused[0].UID != 75 || res.Total().Left != 0 {
				t.Errorf("result: %v", res)
			}
		})
	}
}

// Connections end at random; every run is complete.
func TestConnectionsCutAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 6 {
		r, names := several(t, 1+rng.IntN(8), 60)
		r.server.SetFaults(imaptest.Faults{CloseAfter: 20_000 + rng.Int64N(200_000), CloseTimes: 1 + rng.IntN(9)})
		r.run(0)
		r.checkNamed(names)
	}
}

// A server that allows fewer connections than wanted gets its way, is told of once, and nothing is missing.
func TestFewerAllowed(t *testing.T) {
	no := func(code imap.ResponseCode, text string) *imap.Error {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
	}
	for name, f := range map[string]imaptest.Faults{
		"BYE to the second":   {Most: 1},
		"BYE to the third":    {Most: 2},
		"LIMIT":               {Most: 2, Crowded: no("LIMIT", "go away")},
		"sign-in unavailable": {Most: 1, Crowded: no(imap.ResponseCodeUnavailable, "Temporary authentication failure")},
		"sign-in refused":     {Most: 2, Crowded: no(imap.ResponseCodeAuthenticationFailed, "no")},
		"signed in in name":   {Hollow: 2},
		"and lines break":     {Most: 2, CloseAfter: 60_000, CloseTimes: 12},
	} {
		t.Run(name, func(t *testing.T) {
			r, names := several(t, 4, 200)
			var log bytes.Buffer
			r.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
			r.server.SetFaults(f)
			r.run(0)
			r.checkNamed(names)
			if n := strings.Count(log.String(), "allows no more connections"); n != 1 && f.CloseTimes == 0 || n > 1 {
				t.Errorf("told of %d times: %s", n, &log)
			}
		})
	}
}

// A connection lost in the middle of a mailbox, and refused because others have taken its place, waits until there is room.
func TestPlaceTaken(t *testing.T) {
	r, names := several(t, 3, 200)
	r.server.SetFaults(imaptest.Faults{Cut: map[imaptest.Key]int{{Mailbox: "large", UID: 100}: 1, {Mailbox: names[10], UID: 9}: 1}})
	pause := r.onPause
	r.onPause = func() { r.server.SetFaults(imaptest.Faults{Most: 1}); pause() }
	r.run(0)
	r.checkNamed(names)
}

// A worker that got the last place on the server, and lost it, makes its connection again: the others have gone for it.
func TestLastPlaceLost(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 2
	r.opts.Retry.Losses = 3
	r.fill("INBOX", 30)
	r.fill("a", 9)
	r.fill("later", 5)
	poison := map[imaptest.Key]int{}
	for uid := uint32(1); uid <= 9; uid++ {
		poison[imaptest.Key{Mailbox: "a", UID: uid}] = imaptest.Always
	}
	r.server.SetFaults(imaptest.Faults{Cut: poison, Delay: 5 * time.Millisecond})
	r.onPause = func() {
		r.server.SetFaults(imaptest.Faults{Cut: poison, Delay: 5 * time.Millisecond, Most: 1})
		time.Sleep(2 * time.Millisecond)
	}
	r.run(3)
	r.checkEqual("INBOX")
	r.checkEqual("later")
}

// A run that is stopped while several connections are at work leaves what was whole; the next one goes on.
func TestConnectionsInterrupted(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	r, names := several(t, 4, 200)
	all, seen := 0, 0
	for _, name := range names {
		all += len(r.account.Messages(name))
	}
	for seen < all-100 { // about as many as may be on their way when it is stopped, and more
		ctx, cancel := context.WithCancel(t.Context())
		stopAfter := 1 + rng.IntN(60)
		r.opts.Progress = func(p Progress) {
			if p.Messages >= stopAfter {
				cancel()
			}
		}
		res := r.runContext(ctx, 130)
		cancel()
		seen += res.Total().Now
		if records, _ := r.archive().Len(); records != seen {
			t.Fatalf("%d messages are in the archive, the runs told of %d", records, seen)
		}
	}
	r.opts.Progress = nil
	if res := r.run(0); len(r.asked()) != all-seen || res.Total().Now != all-seen {
		t.Errorf("the last run asked for %d and copied %d, want %d", len(r.asked()), res.Total().Now, all-seen)
	}
	r.checkNamed(names)
}

// The tests of trouble, with one connection instead of four.
func TestOneConnection(t *testing.T) {
	t.Setenv(envConnections, "1")
	for name, test := range map[string]func(*testing.T){
		"RefusedThenGiven": TestRefusedThenGiven, "PassingTrouble": TestPassingTrouble, "GivesUp": TestGivesUp,
		"RefusesEverything": TestRefusesEverything, "VanishedMeanwhile": TestVanishedMeanwhile, "Interrupted": TestInterrupted,
		"PoisonStarvesNobody": TestPoisonStarvesNobody, "LostMailboxes": TestLostMailboxesEndTheRun, "ShortLiteral": TestShortLiteral,
		"SizesEstimated": TestSizesEstimated, "LookAgainDoubted": TestLookAgainDoubted,
	} {
		t.Run(name, test)
	}
}

// What a helper was asked to fetch goes back when it has lost its connection and gets no other.
func TestHelperTurnedAway(t *testing.T) {
	for range 4 {
		r := newRig(t)
		r.opts.Connections = 4
		r.onPause = func() { time.Sleep(2 * time.Millisecond) }
		r.fill("INBOX", 300)
		r.server.SetFaults(imaptest.Faults{CloseAfter: 150_000, CloseTimes: 4, Delay: 2 * time.Millisecond})
		fewer := false
		r.opts.Progress = func(p Progress) {
			if p.Messages >= 40 && !fewer {
				fewer = true
				r.server.SetFaults(imaptest.Faults{Most: 1})
			}
		}
		r.run(0)
		r.checkEqual("INBOX")
	}
}
