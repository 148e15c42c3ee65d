package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mailark/archive"
	"mailark/internal/session"
	"mailark/internal/spool"
)

const (
	// batchMessages and batchOctets bound what is loaded and intended at once. Up to three batches are
	// in memory: one being loaded, one waiting, one being sent.
	batchMessages = 32
	batchOctets   = 8 << 20

	maxLosses = 3 // connections a message is blamed for, before it is sent alone
	maxAlone  = 2 // of these, ones that carried nothing else, before it is not sent again
	maxNoes   = 2 // answers that mean no, before a message counts as one that is not taken
	maxWaits  = 4 // the same for answers that ask for another try

	// keptSpools and keptSpool bound the memory spools hold on to between messages.
	keptSpools = 2 * batchMessages
	keptSpool  = 128 << 10
)

// batch is messages that are loaded, intended and sent one after the other.
type batch struct {
	items  []*item
	spools []*spool.Spool // of items, in the same order
	alone  bool           // nothing else may be under way
}

// flight is a message that has been sent, or could not be.
type flight struct {
	item    *item
	pending *session.Pending // nil: err says why
	err     error
	weight  int64
	alone   bool // nothing was sent on its connection but this
}

// upload is the sending of one mailbox's messages over one connection: one goroutine loads, one
// sends, one reads the answers, in the order of sending.
type upload struct {
	*box
	ctx    context.Context // ends with the run, and with stop
	op     context.Context // governs what is under way; outlives ctx by Options.Grace
	stop   context.CancelCauseFunc
	loaded chan *batch
	flying chan *flight
	window *semaphore.Weighted // octets under way
	kept   chan *spool.Spool
}

// upload sends all items that are still to do. nil: every one has an answer, though some may have to be
// sent again. Otherwise the error says why it stopped early; whatever was under way is settled, or
// stays in doubt.
func (b *box) upload(ctx context.Context) error {
	op, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(b.opts.Grace, cancel)
		context.AfterFunc(op, func() { timer.Stop() })
	})()
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	u := &upload{
		box: b, ctx: inner, op: op, stop: stop,
		loaded: make(chan *batch, 1), flying: make(chan *flight, windowMessages),
		window: semaphore.NewWeighted(windowOctets), kept: make(chan *spool.Spool, keptSpools),
	}
	queue := b.batches()
	b.supply.expect(b.ahead(queue))
	var g errgroup.Group
	g.Go(func() error { return u.load(queue) })
	g.Go(u.send)
	g.Go(u.collect)
	err := g.Wait()
	if err == nil {
		err = context.Cause(inner)
	}
	if dropErr := b.dropUnsent(); err == nil {
		err = dropErr
	}
	return err
}

// batches cuts what is to do into batches, in order; those the server has not taken come last.
// Suspects get one each.
func (b *box) batches() []*batch {
	queue := slices.DeleteFunc(slices.Clone(b.items), func(it *item) bool {
		return it.state != todo || it.entry != nil || it.alone >= maxAlone
	})
	slices.SortStableFunc(queue, func(a, b *item) int { return cmp.Compare(a.rank(), b.rank()) })
	var list []*batch
	var last *batch
	var octets int64
	for _, it := range queue {
		alone := it.losses >= maxLosses
		if last == nil || alone || last.alone || len(last.items) >= batchMessages || octets+it.msg.Size > batchOctets {
			last, octets = &batch{alone: alone}, 0
			list = append(list, last)
		}
		last.items = append(last.items, it)
		octets += it.msg.Size
	}
	return list
}

// rank is the place of a message in the order of sending.
func (it *item) rank() int {
	if it.down {
		return maxWaits
	}
	return it.noes
}

// ahead is what will be sent from now on, of this mailbox and those after it.
func (b *box) ahead(queue []*batch) []*archive.Message {
	var msgs []*archive.Message
	for _, bt := range queue {
		for _, it := range bt.items {
			msgs = append(msgs, it.msg)
		}
	}
	for _, later := range b.boxes[slices.Index(b.boxes, b)+1:] {
		for _, it := range later.items {
			if it.state == todo {
				msgs = append(msgs, it.msg)
			}
		}
	}
	return msgs
}

// load reads messages from the archive, a batch ahead of what is sent. Within a batch it goes by
// place, which costs the least decompression.
func (u *upload) load(queue []*batch) error {
	defer close(u.loaded)
	for _, bt := range queue {
		sorted := slices.SortedFunc(slices.Values(bt.items), func(a, b *item) int { return a.msg.Place.Compare(b.msg.Place) })
		spools := make(map[*item]*spool.Spool, len(sorted))
		for _, it := range sorted {
			if u.ctx.Err() != nil {
				return nil
			}
			sp := u.spool()
			err := u.supply.load(u.ctx, it.msg, sp)
			switch {
			case u.ctx.Err() != nil:
				return nil
			case damaged(err):
				it.hurt, it.text = true, err.Error()
				u.keep(sp)
			case err != nil:
				err = fmt.Errorf("read %q uid %d from the archive: %w", u.name, it.msg.UID, err)
				u.stop(err)
				return err
			default:
				spools[it] = sp
			}
		}
		bt.items = slices.DeleteFunc(bt.items, func(it *item) bool { return spools[it] == nil })
		for _, it := range bt.items {
			bt.spools = append(bt.spools, spools[it])
		}
		select {
		case u.loaded <- bt:
		case <-u.ctx.Done():
			return nil
		}
	}
	return nil
}

func (u *upload) spool() *spool.Spool {
	select {
	case sp := <-u.kept:
		return sp
	default:
		return u.newSpool()
	}
}

// newSpool makes a spool beside the ledger, where there is room for mail and nobody else looks.
func (r *run) newSpool() *spool.Spool { return spool.New(filepath.Dir(r.led.path)) }

// keep takes a spool back for the next message, unless it has grown big.
func (u *upload) keep(sp *spool.Spool) {
	if sp.Size() <= keptSpool {
		select {
		case u.kept <- sp:
			return
		default:
		}
	}
	_ = sp.Close() // only held a copy
}

// send makes the intents of each batch durable, then sends its messages.
func (u *upload) send() error {
	defer close(u.flying)
	for bt := range u.loaded {
		if u.ctx.Err() != nil || len(bt.items) == 0 {
			continue
		}
		entries := make([]*entry, len(bt.items))
		for i, it := range bt.items {
			entries[i] = u.newEntry(it)
		}
		if err := u.led.intend(entries); err != nil {
			u.stop(err)
			return err
		}
		for i, it := range bt.items {
			it.entry, it.sent, it.ours = entries[i], false, true
		}
		for i, it := range bt.items {
			if !u.sendOne(it, bt.spools[i], bt.alone) {
				break
			}
			u.keep(bt.spools[i])
		}
	}
	return nil
}

// sendOne reports whether the next message can be sent.
func (u *upload) sendOne(it *item, sp *spool.Spool, alone bool) bool {
	f := &flight{item: it, weight: min(it.msg.Size, windowOctets)}
	if alone {
		f.weight = windowOctets
	}
	if u.window.Acquire(u.ctx, f.weight) != nil {
		return false
	}
	f.alone = alone && u.link.appends == 0
	u.link.appends++
	flags := u.filter.choose(it.msg.Flags, it.bare).send
	f.pending, f.err = u.link.target.Append(u.op, u.to, flags, it.date, it.msg.Size, sp.Open())
	goOn := f.err == nil || notStored(f.err)
	if f.err == nil {
		it.sent = f.pending.Sent()
	} else if !goOn {
		u.stop(f.err)
	}
	u.flying <- f // collect never ends before this channel is closed
	return goOn
}

// notStored reports whether an error is the server's no to this very message.
func notStored(err error) bool {
	var e *session.Error
	return errors.As(err, &e) && e.Scope == session.ScopeMessage
}

// collect reads the answers in the order of sending.
func (u *upload) collect() error {
	var failed error
	for f := range u.flying {
		var at session.AppendResult
		err := f.err
		if err == nil {
			at, err = f.pending.Wait(u.op)
		}
		if failed == nil {
			if failed = u.answer(f, at, err); failed != nil {
				u.stop(failed)
			}
		}
		u.window.Release(f.weight)
	}
	return failed
}

// answer settles one message. An error is one of the ledger's, and ends the run.
func (u *upload) answer(f *flight, at session.AppendResult, err error) error {
	switch {
	case err == nil:
		return u.storedAt(f.item, at)
	case !notStored(err):
		u.stop(err)
		if u.op.Err() == nil {
			u.suspect(f, err)
		}
		return nil
	}
	return u.refusedWith(f.item, err)
}

// storedAt notes success. A UID below the mark is nonsense and counts as none.
func (u *upload) storedAt(it *item, at session.AppendResult) error {
	e := it.entry
	e.status = stored
	if at.UIDValidity != e.before.UIDValidity || at.UID >= e.before.UIDNext {
		e.at = receipt{UIDValidity: at.UIDValidity, UID: at.UID}
	}
	if err := u.led.settle(e); err != nil {
		return err
	}
	dropped := u.filter.choose(it.msg.Flags, it.bare)
	u.res.KeywordsDropped = tally(u.res.KeywordsDropped, dropped.keywords)
	u.res.FlagsDropped = tally(u.res.FlagsDropped, dropped.unknown)
	u.finished(it, doneNow)
	return nil
}

// suspect notes that a connection was lost while a message was under way. Which one it was, if any,
// shows when it is known which of them were stored (blame).
func (u *upload) suspect(f *flight, err error) {
	u.suspects = append(u.suspects, f)
	f.item.text = words(err)
}

// refusedWith is a NO or BAD: the message was not stored, and the question is whether to try again.
func (u *upload) refusedWith(it *item, err error) error {
	var e *session.Error
	if !errors.As(err, &e) {
		return err
	}
	if it.sent = false; e.Code == "OVERQUOTA" {
		u.stop(fmt.Errorf("%w: %s", ErrTargetFull, words(err)))
		return u.void(it)
	}
	if e.Code == "TRYCREATE" && !u.created {
		u.stop(errCreate)
		return u.void(it)
	}
	return u.notTaken(it, e)
}

// notTaken is an answer that may be about the message or about the server's own state, whatever the
// words. Only a message that is refused again after others have been taken is refused for good;
// until then others go first. A server that refuses one message after the other gets a pause, or is full.
func (u *upload) notTaken(it *item, e *session.Error) error {
	it.text = words(e)
	limit := maxNoes
	// LIMIT (RFC 5530) of a message is no matter of time.
	waits := e.Class != session.ClassFinal && e.Code != "LIMIT"
	if waits {
		limit = maxWaits
	} else {
		u.streak++
	}
	if it.noes++; it.noes == 1 {
		it.passed = u.taken
	}
	if !waits && !it.bare && hasKeywords(u.filter.choose(it.msg.Flags, false).send) {
		it.bare = true
		u.opts.Log.Info("sending again without keywords", "mailbox", u.name, "uid", it.msg.UID, "reason", e)
		if u.streak%maxStreak == 0 {
			u.stop(errBare)
		}
		return u.void(it)
	}
	if it.down = it.noes >= limit; it.down && u.taken > it.passed {
		return u.refuse(it, it.text)
	}
	switch {
	case waits:
		u.stop(e)
	case u.streak%maxStreak == 0 && fullWords(it.text):
		u.stop(fmt.Errorf("%w: %s", ErrTargetFull, it.text))
	case u.streak%maxStreak == 0:
		u.stop(fmt.Errorf("%w: %d in a row (the server says: %s)", errRefusing, u.streak, it.text))
	}
	return u.void(it)
}

// dropUnsent ends the intents of messages that were not handed to the connection, and counts those that could
// not be loaded.
func (b *box) dropUnsent() error {
	under := make(map[*item]bool, len(b.suspects))
	for _, f := range b.suspects {
		under[f.item] = true
	}
	for _, it := range b.items {
		if it.hurt {
			b.hurt(it)
		}
		if it.state == todo && it.entry != nil && !it.sent && !under[it] {
			if err := b.void(it); err != nil {
				return err
			}
		}
	}
	return nil
}
