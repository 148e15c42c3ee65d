package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mailark/internal/session"
)

// box is one mailbox while it is filled. Its numbers in res are counted as things happen; the states
// of the items are the second set of books.
type box struct {
	*run
	*wanted
	res *MailboxResult

	sel      *session.Selected
	filter   *flagFilter
	digests  map[uint32]*digest // by UID, of messages in the target, for sel.UIDValidity
	recalled bool               // refusals of earlier runs are settled
	adopted  bool               // what was in the target has been looked through
	others   int                // messages there then that this run has not brought
	volatile bool               // the target numbers its messages anew with each SELECT
	compared bool               // with what the ledger says is there
	created  bool               // again, when the target said TRYCREATE
	met      bool               // was selected in this run …
	start    int                // … and held so many messages at first
	suspects []*flight          // under way when the last connection was lost, in the order of sending
}

var (
	// errCreate stands for TRYCREATE.
	errCreate = errors.New("the mailbox is not there")
	// errBare: go on, first without keywords.
	errBare     = errors.New("the target refuses keywords")
	errReadOnly = errors.New("the target opens the mailbox for reading only")
	// errRefusing: so many messages in a row were refused that the reason is hardly in them.
	errRefusing = errors.New("the target refuses all messages")
)

const (
	// maxStreak is how many messages may be refused in a row before the server gets a pause, and
	// longStreak before the mailbox is given up for now.
	maxStreak  = 10
	longStreak = 150
)

// recall settles what earlier runs have done, and finds the items whose intents are in doubt.
func (b *box) recall() {
	settleItems(b.items, b.led.list(b.to, stored, adopted), func(it *item, _ *entry) {
		b.finished(it, doneEarly)
	})
	settleItems(b.items, b.led.list(b.to, open), func(it *item, e *entry) {
		it.entry, it.sent = e, true
	})
}

// recallRefused settles what the target refused in earlier runs; once, after doubts are resolved.
func (b *box) recallRefused() {
	if b.recalled || b.opts.RetryRefused {
		return
	}
	b.recalled = true
	var standing []*entry
	for _, e := range b.led.list(b.to, refused, stored, adopted) {
		if e.status == refused {
			standing = append(standing, e)
			continue
		}
		// A copy that was taken after all ends one refusal of the same octets.
		if i := slices.IndexFunc(standing, func(r *entry) bool { return r.sum == e.sum }); i >= 0 {
			standing = slices.Delete(standing, i, i+1)
		}
	}
	settleItems(b.items, standing, func(it *item, e *entry) {
		it.text, it.early = e.text, true
		b.finished(it, refusedBy)
	})
}

// agreesWithLedger counts anew how many of the wanted messages the ledger has as done.
func (b *box) agreesWithLedger() bool {
	again := make([]*item, len(b.items))
	for i, it := range b.items {
		again[i] = &item{msg: it.msg, date: it.date}
	}
	done := 0
	settleItems(again, b.led.list(b.to, stored, adopted), func(it *item, _ *entry) {
		it.state = doneEarly
		done++
	})
	return done == b.res.Before+b.res.Uploaded+b.res.Adopted
}

// unfinished reports whether anything is left to do.
func (b *box) unfinished() bool {
	for _, it := range b.items {
		if it.state == todo {
			return true
		}
	}
	return false
}

// fill uploads what is to do, and looks whether it is there. An error ends the run; trouble with this
// mailbox alone is noted in its result.
func (b *box) fill(ctx context.Context) error {
	if !b.unfinished() {
		return b.glance(ctx)
	}
	if err := b.fillUp(ctx); err != nil || b.res.Reason != "" || !b.met {
		return err
	}
	return b.verify(ctx)
}

func (b *box) fillUp(ctx context.Context) error {
	for b.unfinished() {
		if err := b.link.connect(ctx); err != nil {
			return err
		}
		err := b.once(ctx)
		stuck := errors.Is(err, errRefusing) && b.streak >= longStreak
		if stuck || (err == nil || temporary(err)) && b.allDown() {
			return b.halt(err)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errCreate):
			err = b.create(ctx, b)
			b.created = true
			if err == nil {
				continue
			}
			return b.giveUp(err)
		case errors.Is(err, errBare):
			continue
		case lost(err):
			b.link.drop()
			err = b.link.pause(ctx, err)
		case temporary(err):
			err = b.link.pause(ctx, err)
		default:
			return b.giveUp(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// giveUp ends a mailbox if the error is about it alone; any other error is returned.
func (b *box) giveUp(err error) error {
	if !refusal(err) && !errors.Is(err, errShort) && !errors.Is(err, errReadOnly) {
		return err
	}
	b.res.Reason = words(err)
	b.opts.Log.Warn("mailbox given up", "mailbox", b.name, "reason", err)
	return nil
}

// refusal reports whether the server has answered no, and connection and account are good.
func refusal(err error) bool {
	var e *session.Error
	return errors.As(err, &e) && e.Scope != session.ScopeSession
}

// once does everything on one connection, as far as it goes: doubts first, then what is there already,
// then the upload.
func (b *box) once(ctx context.Context) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	b.compare(b.sel.Exists)
	if err := b.resolve(ctx); err != nil {
		return err
	}
	b.recallRefused()
	if err := b.adopt(ctx); err != nil {
		return err
	}
	b.weigh()
	if b.sel.ReadOnly && b.unfinished() {
		return errReadOnly
	}
	return b.upload(ctx)
}

// weigh refuses what is larger than the target says it takes. The ledger does not hear of it: the
// limit may be another one tomorrow.
func (b *box) weigh() {
	limit, ok := b.link.target.AppendLimit()
	for _, it := range b.items {
		if ok && limit > 0 && it.state == todo && it.entry == nil && it.msg.Size > limit {
			it.text = fmt.Sprintf("it has %d octets, the target takes at most %d (APPENDLIMIT)", it.msg.Size, limit)
			b.finished(it, refusedBy)
		}
	}
}

// enter selects the mailbox.
func (b *box) enter(ctx context.Context) error {
	sel, err := b.link.target.Select(ctx, b.to)
	if err != nil {
		return err
	}
	if b.sel == nil || b.sel.UIDValidity != sel.UIDValidity || sel.UIDValidity == 0 {
		b.volatile = b.volatile || len(b.digests) > 0
		b.digests = make(map[uint32]*digest)
	}
	if !b.met {
		b.met, b.start = true, int(sel.Exists)-b.res.Uploaded
	}
	b.sel, b.filter = sel, newFlagFilter(sel.PermanentFlags)
	return nil
}

// mark is the place from which messages stored from now on are found. It is set by SELECT and at no
// other time, while nothing is under way: so what was stored and answered before has a lower UID.
func (b *box) mark() mark { return mark{UIDValidity: b.sel.UIDValidity, UIDNext: b.sel.UIDNext} }

// receipt is the place of a message of the target; without UIDVALIDITY a UID means nothing later.
func (b *box) receipt(uid uint32) receipt {
	if b.sel.UIDValidity == 0 {
		return receipt{}
	}
	return receipt{UIDValidity: b.sel.UIDValidity, UID: uid}
}

// glance compares a mailbox that needs nothing with what was uploaded there.
func (b *box) glance(ctx context.Context) error {
	if b.res.Before == 0 {
		return nil
	}
	err := b.link.do(ctx, func(t *session.Target) error {
		st, err := t.Status(ctx, b.to)
		if err == nil {
			b.compare(st.Exists)
			b.sel = st
		}
		return err
	})
	if err == nil && b.sel.UIDValidity != 0 && len(b.stale()) > 0 {
		return b.verify(ctx)
	}
	if refusal(err) {
		b.note("%s: the target does not show what it holds: %s", b.name, words(err))
		return nil
	}
	return err
}

// compare notes when the target holds less than was uploaded. That is for people to judge: they may
// have moved or deleted mail, and it must not come back.
func (b *box) compare(exists uint32) {
	done := len(b.led.list(b.to, stored, adopted))
	if b.compared || int(exists) >= done {
		b.compared = true
		return
	}
	b.compared = true
	b.note("%s: the target holds %d messages, but %d were uploaded or found there earlier; what has left since "+
		"is not uploaded again (to upload what is missing, run once more without the ledger %s)",
		b.name, exists, done, b.led.path)
}

// finished settles an item as being in the target, and writes that down.
func (b *box) finished(it *item, st state) {
	it.state, it.entry = st, nil
	switch st {
	case doneEarly:
		b.res.Before++
	case doneNow:
		b.res.Uploaded++
		b.res.Octets += it.msg.Size
		b.count.Add(it.msg.Size)
		b.taken++
		b.streak = 0
	case foundNow:
		b.res.Adopted++
	case refusedBy:
		b.res.Refused++
	case damagedIn:
		b.res.Damaged++
	case todo, inDoubt:
		return
	}
	if st != refusedBy {
		b.link.progress()
	}
	b.settled(it)
}

// newEntry is the entry of an item, not yet in the ledger.
func (b *box) newEntry(it *item) *entry {
	return &entry{
		to: b.to, from: source{mailbox: b.name, epoch: it.msg.Epoch, uid: it.msg.UID},
		sum: it.msg.Sum, size: it.msg.Size, date: it.date, before: b.mark(),
	}
}

// refuse ends an item's open intent, for all runs to come: the target does not take the message, but
// has taken others since it first refused this one.
func (b *box) refuse(it *item, text string) error {
	it.text = text
	e := it.entry
	e.status, e.text = refused, text
	if err := b.led.settle(e); err != nil {
		return err
	}
	b.opts.Log.Warn("message refused", "mailbox", b.name, "uid", it.msg.UID, "text", text)
	b.finished(it, refusedBy)
	return nil
}

// void ends an item's open intent: surely not stored, to be sent again.
func (b *box) void(it *item) error {
	it.entry.status = void
	if err := b.led.settle(it.entry); err != nil {
		return err
	}
	it.entry, it.sent = nil, false
	return nil
}

// hurt names a message that cannot be read from the archive.
func (b *box) hurt(it *item) {
	it.hurt = false
	b.opts.Log.Warn("message damaged in the archive", "mailbox", b.name, "uid", it.msg.UID, "text", it.text)
	b.finished(it, damagedIn)
}

// describe is the words for a message that killed every connection.
func describe(it *item) string {
	text := fmt.Sprintf("the server closed the connection each time this message was sent (%d times)", it.losses)
	if it.text != "" {
		text += ": " + it.text
	}
	return text
}
