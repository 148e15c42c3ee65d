package exporter

import (
	"context"
	"slices"

	"mailark/internal/spool"
)

// transfer is the fetching of one mailbox's messages. The fetcher of the pass sees it through; those of workers that
// have no mailbox help. The crew's lock guards what changes.
type transfer struct {
	crew     *crew
	pass     *pass
	mailbox  string
	validity uint32  // UIDVALIDITY under which the UIDs mean what we want
	wants    []*want // all
	free     <-chan *spool.Spool
	jobs     chan<- job

	shared  bool // others may help
	sched   *schedule
	left    int64 // octets not delivered
	moved   int   // messages delivered
	dry     int   // requests in a row answered by a call for patience
	trusted int   // messages that came short, and with the same octets when asked for again
	flying  int   // portions asked for and not reported
	ended   bool
	helpers map[*fetcher]context.CancelFunc
	vain    map[*link]int // requests of helpers in a row that brought nothing
}

func newTransfer(p *pass, wants []*want) *transfer {
	t := &transfer{
		crew: p.crew, pass: p, mailbox: p.from.Name, validity: p.listing.selected.UIDValidity, wants: wants,
		free: p.store.free, jobs: p.store.jobs, sched: newSchedule(wants, p.opts.Retry),
		helpers: make(map[*fetcher]context.CancelFunc), vain: make(map[*link]int),
	}
	for _, w := range wants {
		t.left += max(w.Size, 0)
	}
	// A mailbox without UIDVALIDITY has to be compared whenever it is opened, so it is for one connection.
	if t.shared = t.validity != 0 && p.opts.Connections > 1; t.shared {
		t.sched.share(p.opts.Connections, p.opts.portion)
	}
	return t
}

// sharesWith reports whether a link can help. The caller holds the lock.
func (t *transfer) sharesWith(l *link) bool {
	return t.shared && !t.ended && t.vain[l] < fewInVain && t.sched.sharing()
}

// next is the portion to ask for now, nil when all were reported and there is nothing more to do.
func (t *transfer) next(ctx context.Context) ([]*want, error) {
	for {
		t.crew.mu.Lock()
		if t.flying == 0 || t.sched.ready() {
			portion := t.sched.next()
			if portion != nil {
				t.flying++
			}
			t.crew.mu.Unlock()
			return portion, nil
		}
		changed := t.crew.changed
		t.crew.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// spare is a portion for a helper, nil if there is none now.
func (t *transfer) spare(l *link) []*want {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	if !t.sharesWith(l) {
		return nil
	}
	t.flying++
	return t.sched.cut()
}

// report tells how the server answered for a portion.
func (t *transfer) report(portion []*want, how outcome, suspect *want, text string) {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	t.sched.report(portion, how, suspect, text)
	t.flying--
	t.crew.ring()
}

// reportBeside is report for a helper. That its request brought nothing does not count against the server, but ends its
// help when it happens again and again.
func (t *transfer) reportBeside(l *link, portion []*want, how outcome, suspect *want, text string) {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	t.vain[l]++
	if len(t.sched.undelivered(portion)) < len(portion) {
		t.vain[l] = 0
	}
	dry, failures := t.sched.dry, t.sched.failures
	t.sched.report(portion, how, suspect, text)
	t.sched.dry, t.sched.failures = min(t.sched.dry, dry), min(t.sched.failures, failures)
	t.flying--
	t.crew.ring()
}

// fewInVain is how many requests of a helper in a row may bring nothing.
const fewInVain = 3

// putBack returns a portion of which nothing was learnt.
func (t *transfer) putBack(portion []*want) {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	t.sched.giveBack(portion)
	t.flying--
	t.crew.ring()
}

// delivered notes that a message is on its way to the archive.
func (t *transfer) delivered(w *want) {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	w.done = true
	t.left -= max(w.Size, 0)
	t.moved++
	t.dry = 0
}

// progress is how many messages were delivered so far.
func (t *transfer) progress() int {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	return t.moved
}

// tire notes a call for patience in place of bodies, and returns how many came before it in a row.
func (t *transfer) tire() (before int) {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	t.dry++
	t.sched.dive, t.sched.tired = diveAfterSoon, t.dry >= maxAskedForPatience
	return t.dry - 1
}

// trust reports whether a message shorter than told is believed: if it came like that before, which is counted, or so
// many did that the server's sizes are only estimates.
func (t *transfer) trust(before bool) bool {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	if t.trusted >= enoughShort {
		return true
	}
	t.trusted += b2i(before)
	return before
}

// lacking is how many messages not delivered, and not asked for just now, a listing has not.
func (t *transfer) lacking(l *listing) int {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	return t.sched.count(func(w *want) bool { return !l.has(w.UID) })
}

// forget takes out what none of the listings has, and returns it.
func (t *transfer) forget(looks []*listing) []*want {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	gone := t.sched.forget(func(w *want) bool {
		return !slices.ContainsFunc(looks, func(l *listing) bool { return l.has(w.UID) })
	})
	for _, w := range gone {
		t.left -= max(w.Size, 0)
	}
	return gone
}

// join notes that a fetcher helps; false if it is too late.
func (t *transfer) join(f *fetcher, cancel context.CancelFunc) bool {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	if !t.ended {
		t.helpers[f] = cancel
	}
	return !t.ended
}

// part notes that a fetcher helps no more; for good if it was of no use.
func (t *transfer) part(f *fetcher, useless bool) {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	delete(t.helpers, f)
	if useless {
		t.vain[f.link] = fewInVain
	}
	t.crew.ring()
}

// end sends the helpers away and waits until they are gone, so that all they got is on its way to the archive.
func (t *transfer) end() {
	t.crew.mu.Lock()
	defer t.crew.mu.Unlock()
	t.ended = true
	t.crew.transfers = without(t.crew.transfers, t)
	for _, cancel := range t.helpers {
		cancel()
	}
	for len(t.helpers) > 0 {
		changed := t.crew.changed
		t.crew.mu.Unlock()
		<-changed
		t.crew.mu.Lock()
	}
}
