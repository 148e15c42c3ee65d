package exporter

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// crew shares out the work of a run among its connections: mailboxes to copy and, where there are fewer of those than
// connections, portions of the mailboxes being copied. It also counts the connections, so that one the server refuses is
// told from a server that is out of reach. One lock guards it and the schedules of all transfers; nobody waits under it.
type crew struct {
	log    *slog.Logger
	enough int64 // octets to be fetched for which a further connection is made

	mu        sync.Mutex
	changed   chan struct{} // closed and made anew when those who wait may find something to do
	mailboxes []int         // not begun, in the order in which they will be
	copying   int           // mailboxes begun and not ended
	transfers []*transfer
	live      int             // connections that are made or being made
	in        int             // those that are made
	waiters   []chan struct{} // links in the middle of a mailbox that wait for a connection to end
	leaving   int             // workers that are about to end theirs for them
	allowed   int             // connections the server allows; 0: it has not refused one
	over      func()          // called when there is nothing more to do
}

func newCrew(o *Options) *crew {
	return &crew{log: o.Log, enough: o.enough, changed: make(chan struct{}), over: func() {}}
}

// task is what a worker does next: it copies a mailbox, helps with a transfer, or makes its connection first. The zero
// task ends the worker.
type task struct {
	mailbox int // index + 1
	help    *transfer
	dial    bool
}

// begin lays out the mailboxes.
func (c *crew) begin(mailboxes []int, over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.mailboxes = over, mailboxes
}

// next waits until there is something to do for a worker that has this link.
func (c *crew) next(ctx context.Context, l *link) (task, error) {
	for {
		c.mu.Lock()
		t, ok := c.pick(l)
		changed := c.changed
		c.mu.Unlock()
		if ok {
			return t, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return task{}, context.Cause(ctx)
		}
	}
}

func (c *crew) pick(l *link) (t task, ok bool) {
	if len(c.waiters) > c.leaving && l.src != nil {
		c.leaving++
		return t, true
	}
	t.help = c.busiest(l)
	switch {
	case len(c.mailboxes) == 0 && t.help == nil:
		return t, c.copying == 0
	case l.src == nil && !l.first:
		return task{dial: true}, c.worthDialling()
	case len(c.mailboxes) > 0:
		t = task{mailbox: c.mailboxes[0] + 1}
		c.mailboxes = c.mailboxes[1:]
		c.copying++
	}
	return t, true
}

// manyMailboxes is how many mailboxes to look at are worth a further connection.
const manyMailboxes = 20

// worthDialling reports whether there is so much to do that one more connection helps.
func (c *crew) worthDialling() bool {
	if c.live == 0 {
		return c.copying == 0 // else the one that has lost its connection makes it again
	}
	if c.allowed > 0 {
		return false
	}
	if len(c.mailboxes) >= manyMailboxes*c.live {
		return true
	}
	var left int64
	for _, t := range c.transfers {
		left += t.left
	}
	return left >= c.enough
}

// busiest is the transfer that has the most left to share with a link, or nil.
func (c *crew) busiest(l *link) (found *transfer) {
	for _, t := range c.transfers {
		if t.sharesWith(l) && (found == nil || t.left > found.left) {
			found = t
		}
	}
	return found
}

// ended notes that a mailbox is done with.
func (c *crew) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.copying--
	if c.copying == 0 && len(c.mailboxes) == 0 {
		c.over()
	}
	c.ring()
}

// ring wakes all who wait. The caller holds the lock.
func (c *crew) ring() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// add makes a transfer known.
func (c *crew) add(t *transfer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transfers = append(c.transfers, t)
	c.ring()
}

// enter notes that a connection is being made.
func (c *crew) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live++
}

// entered notes that it was made, or was not.
func (c *crew) entered(made bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made {
		c.in++
		return
	}
	c.live--
	c.ring()
}

// left notes that a connection has ended, so that there may be room for another. When none is left, nobody waits for room.
func (c *crew) left() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live--
	c.in--
	c.leaving = max(0, c.leaving-1)
	for len(c.waiters) > 0 {
		close(c.waiters[0])
		if c.waiters = c.waiters[1:]; c.in > 0 {
			break
		}
	}
	c.ring()
}

// others is how many connections there are beside the one that is asked for. One that is being made does not count: it
// does not show that the server can be reached.
func (c *crew) others() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in
}

// inHand reports whether others are connected or are going to be.
func (c *crew) inHand() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live > 0 || c.copying > 0
}

// refuse notes that the server allows no further connection.
func (c *crew) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.allowed == 0 && c.in > 0 {
		c.allowed = c.in
		c.log.Warn("the server allows no more connections; going on with those there are", "connections", c.in, "reason", words(err))
	}
}

// crowded reports whether the server has refused a connection because of others.
func (c *crew) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allowed > 0
}

// awaitRoom waits until another connection ends, or for d if that is not 0. Workers without a mailbox end theirs.
func (c *crew) awaitRoom(ctx context.Context, d time.Duration, sleep func(context.Context, time.Duration) error) error {
	room := make(chan struct{})
	c.mu.Lock()
	if c.in == 0 {
		c.mu.Unlock()
		return nil
	}
	c.waiters = append(c.waiters, room)
	c.ring()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiters = slices.DeleteFunc(c.waiters, func(w chan struct{}) bool { return w == room })
	}()
	waiting, cancel := context.WithCancel(ctx)
	var sleeping sync.WaitGroup
	defer sleeping.Wait()
	defer cancel()
	if d > 0 {
		sleeping.Go(func() {
			defer cancel()
			_ = sleep(waiting, d) // either way it is over
		})
	}
	select {
	case <-room:
	case <-waiting.Done():
	}
	return context.Cause(ctx)
}
