package exporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/session"
)

// source is one mailbox to copy.
type source struct {
	session.Mailbox
	info archive.MailboxInfo
	id   uint32 // in the archive; 0 if it is not there (dry run, or at fault)

	fault string // why it cannot be copied at all
	ahead *int   // messages that STATUS promises, until it is listed; nil: nothing is foreseen
}

// pass is one attempt to copy one mailbox under one UIDVALIDITY.
//
// It belongs to the worker that copies the mailbox, but for key, other, plan and the figures of the result, which are the
// archive's goroutine's.
type pass struct {
	*export
	link    *link
	from    source
	key     archive.Key // of the epoch; UID 0
	other   bool        // a known UID has turned out to have other octets
	listing *listing
	plan    *plan
	result  *Mailbox
	refused []*want
	gone    []*want // vanished meanwhile
	ended   bool    // every message listed was seen to
}

// copyMailbox copies one of the chosen mailboxes. What is wrong with the mailbox itself is noted in its result; an
// error ends the run.
func (x *export) copyMailbox(ctx context.Context, l *link, i int) error {
	from := x.chosen[i]
	if from.fault != "" {
		x.copied[i] = &Mailbox{Name: cutName(from.info.Name()), Failed: from.fault}
		return x.store.call(x.countMailbox)
	}
	l.begin()
	var err error
	var p *pass
	for range renumberings {
		p = &pass{export: x, link: l, from: from, result: &Mailbox{Name: from.info.Name()}}
		x.copied[i] = p.result
		if err = p.run(ctx); !errors.Is(err, errRenumbered) {
			break
		}
		x.opts.Log.Warn("UIDVALIDITY changed while the mailbox was copied", "mailbox", p.result.Name)
	}
	return x.store.call(func() error {
		err := p.judge(err)
		if countErr := p.account(); countErr != nil {
			// The others are not to suffer from it.
			p.result.Failed = countErr.Error()
			x.miscounted = errors.Join(x.miscounted, countErr)
		}
		for _, w := range p.refused {
			x.refused[i] = append(x.refused[i], Refused{p.result.Name, w.UID, w.text})
		}
		x.arrive(&from)
		x.logMailbox(p.result)
		if err != nil {
			return err
		}
		return x.countMailbox()
	})
}

// countMailbox notes that one more mailbox is done with.
func (x *export) countMailbox() error {
	x.store.at.Mailboxes++
	return nil
}

// judge notes in the result what is wrong with the mailbox itself. What it returns ends the run.
func (p *pass) judge(err error) error {
	var ownFault *mailboxError
	isOwn := errors.As(err, &ownFault)
	if isOwn && ownFault.lost && p.result.Now == 0 {
		p.lostInRow++
	} else {
		p.lostInRow = 0
	}
	switch {
	case errors.Is(err, errRenumbered):
		p.result.Changed = "its UIDVALIDITY changed again and again while it was copied"
		return nil
	case isOwn:
		p.result.Failed = ownFault.text
		if p.lostInRow >= maxLostMailboxes {
			return &stopError{fmt.Errorf("left %d mailboxes in a row: %w", p.lostInRow, err)}
		}
		return nil
	}
	return err
}

func (p *pass) run(ctx context.Context) error {
	err := p.store.call(func() error {
		p.store.at.Mailbox = p.result.Name
		p.store.progress(p.store.at)
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	begun := false
	err = p.store.call(func() (err error) {
		begun, err = p.begin()
		return err
	})
	if err != nil || !begun {
		return err
	}
	if len(p.plan.suspect) > 0 {
		if err := p.checkSuspects(ctx); err != nil {
			return err
		}
	}
	if err := p.store.call(p.applyPlan); err != nil {
		return err
	}
	if err := p.fetchMissing(ctx); err != nil {
		return err
	}
	p.ended = true
	return p.store.call(p.setState)
}

// begin makes the plan; false if there is nothing to be done to the archive.
func (p *pass) begin() (bool, error) {
	p.result.Listed = len(p.listing.messages)
	if p.opts.DryRun {
		p.planDry()
		return false, nil
	}
	if text := p.emptied(); text != "" {
		p.result.Changed = text
		return false, nil
	}
	return true, p.openEpoch()
}

// planDry finds out what a run would do.
func (p *pass) planDry() {
	sel := &p.listing.selected
	p.key = archive.Key{Mailbox: p.from.id}
	if e := p.catalog.Epoch(p.from.id); e != nil {
		if e.UIDValidity == sel.UIDValidity && e.UIDValidity != 0 {
			p.key.Epoch = e.N
		} else {
			p.result.NewEpoch = true
		}
	}
	p.plan = makePlan(p.catalog, p.key, p.listing)
	p.result.Before = p.plan.before
	p.result.FlagsChanged, p.result.Back = len(p.plan.flags), len(p.plan.back)
	p.result.Changed = p.emptied()
	if p.result.Changed == "" {
		p.result.Changed = p.unsound()
	}
	if p.result.Changed == "" {
		p.result.Gone = p.countArchived(p.plan.gone)
	}
}

// emptied says that a mailbox has no messages where there were some, unless the user vouches for it.
// Servers in trouble show empty mailboxes; so do those that are being emptied by a mishap.
func (p *pass) emptied() string {
	if len(p.listing.messages) > 0 || p.opts.BelieveEmpty && p.listing.sound() {
		return ""
	}
	if had := len(p.catalog.Current(p.from.id)); had > 0 {
		return fmt.Sprintf("the server shows no messages, %s were there before; the archive was left as it is", humane.Count(had))
	}
	return p.unsound()
}

// unsound says that the server's figures disagree.
func (p *pass) unsound() string {
	if p.listing.sound() {
		return ""
	}
	return fmt.Sprintf("the server says %s messages but lists %s; what is listed was copied, nothing was marked as gone",
		humane.Count(int(p.listing.selected.Exists)), humane.Count(len(p.listing.messages)))
}

// openEpoch makes the plan for the epoch that has the mailbox's UIDVALIDITY.
func (p *pass) openEpoch() error {
	old := p.catalog.Epoch(p.from.id)
	epoch, err := p.store.w.OpenEpoch(p.from.id, p.listing.selected.UIDValidity)
	if err != nil {
		return &stopError{fmt.Errorf("open epoch of %q: %w", p.result.Name, err)}
	}
	p.useEpoch(epoch)
	p.result.NewEpoch = old != nil && old.N != epoch.N
	return nil
}

// checkSuspects fetches the messages that look other than those archived under their UIDs, and finds
// out whether they are; then it opens a new epoch, although UIDVALIDITY is the same. While one is not known to be the
// same, the archive's picture stays as it is.
func (p *pass) checkSuspects(ctx context.Context) error {
	f, err := p.fetch(ctx, p.plan.suspect)
	var ownFault *mailboxError
	if err != nil && (!errors.As(err, &ownFault) || ownFault.lost) {
		return err
	}
	return p.store.call(func() error {
		if !p.other {
			if n := f.sched.count(func(*want) bool { return true }); n > 0 {
				p.doubt(fmt.Sprintf("%s of its known messages have another size and date now, and the server does not give them; "+
					"what is new was copied, nothing else was changed in the archive", humane.Count(n)))
			}
			return nil
		}
		p.opts.Log.Warn("known UIDs stand for other messages though UIDVALIDITY is the same", "mailbox", p.result.Name)
		epoch, err := p.store.w.NewEpoch(p.from.id, p.listing.selected.UIDValidity)
		if err != nil {
			return &stopError{fmt.Errorf("open new epoch of %q: %w", p.result.Name, err)}
		}
		p.useEpoch(epoch)
		p.result.NewEpoch = true
		return nil
	})
}

func (p *pass) useEpoch(epoch *archive.Epoch) {
	p.key = archive.Key{Mailbox: p.from.id, Epoch: epoch.N}
	p.result.key = p.key
	p.plan = makePlan(p.catalog, p.key, p.listing)
	p.other = false
	p.result.Before = p.plan.before
}

// applyPlan records what has changed of known messages.
func (p *pass) applyPlan() error {
	if p.result.Changed != "" {
		return nil
	}
	for _, meta := range p.plan.flags {
		k := p.key
		k.UID = meta.UID
		changed, err := p.store.w.SetFlags(k, meta.Flags)
		if err != nil {
			return &stopError{fmt.Errorf("record flags of %q UID %d: %w", p.result.Name, meta.UID, err)}
		}
		p.result.FlagsChanged += b2i(changed)
	}
	if err := p.store.w.SetGone(false, p.plan.back...); err != nil {
		return &stopError{fmt.Errorf("record what is back in %q: %w", p.result.Name, err)}
	}
	p.result.Back = len(p.plan.back)
	if p.doubt(p.unsound()); p.result.Changed != "" {
		return nil
	}
	p.result.Gone = p.countArchived(p.plan.gone)
	if err := p.store.w.SetGone(true, p.plan.gone...); err != nil {
		return &stopError{fmt.Errorf("record what is gone from %q: %w", p.result.Name, err)}
	}
	return nil
}

// countArchived is how many of the keys are of archived messages; the others were refused.
func (p *pass) countArchived(keys []archive.Key) (n int) {
	for _, k := range keys {
		n += b2i(p.catalog.Message(k) != nil)
	}
	return n
}

// fetchMissing fetches what the archive lacks and records what the server would not give.
func (p *pass) fetchMissing(ctx context.Context) error {
	err := p.store.call(func() error {
		p.arrive(&p.from)
		p.store.at.MessagesPlanned += len(p.plan.missing)
		p.store.at.OctetsPlanned += octets(p.plan.missing)
		p.store.progress(p.store.at)
		return nil
	})
	if err != nil {
		return err
	}
	f, err := p.fetch(ctx, p.plan.missing)
	if errors.Is(err, ErrGaveUp) {
		f.sched.giveUpFailed()
	}
	p.refused, p.gone = f.sched.refused, f.vanished
	slices.SortFunc(p.refused, func(a, b *want) int { return cmp.Compare(a.UID, b.UID) })
	if noteErr := p.store.call(p.noteRefusals); noteErr != nil && err == nil {
		err = noteErr
	}
	return err
}

// fetch fetches the octets of the given messages. The fetcher tells what it did not get.
func (p *pass) fetch(ctx context.Context, list []session.Meta) (*fetcher, error) {
	wants := make([]*want, len(list))
	err := p.store.call(func() error {
		k := p.key
		for i := range list {
			wants[i] = &want{Meta: list[i], before: p.plan.refused[list[i].UID]}
			k.UID = list[i].UID
			if known := p.catalog.Message(k); known != nil {
				wants[i].short, wants[i].shorts = known.Sum, 1 // came like that before
			}
		}
		return nil
	})
	t := newTransfer(p, wants)
	f := &fetcher{transfer: t, link: p.link, opened: p.listing.opened}
	if err == nil {
		p.crew.add(t)
		err = f.run(ctx)
		t.end()
	}
	p.doubt(f.doubt)
	return f, err
}

// doubt notes why the server's answers are not believed; the first reason stays.
func (p *pass) doubt(text string) {
	if p.result.Changed == "" {
		p.result.Changed = text
	}
}

// noteRefusals records what the server would not give.
func (p *pass) noteRefusals() error {
	for _, w := range p.refused {
		k := p.key
		k.UID = w.UID
		if err := p.store.w.Refuse(k, w.text); err != nil {
			return &stopError{fmt.Errorf("record refusal of %q UID %d: %w", p.result.Name, w.UID, err)}
		}
	}
	return nil
}

// setState notes that the mailbox is wholly copied but for refused messages.
func (p *pass) setState() error {
	if p.result.Changed != "" {
		return nil
	}
	sel := p.listing.selected
	if slices.ContainsFunc(p.listing.messages, func(m session.Meta) bool { return m.NoFlags }) {
		sel.HighestModSeq = 0 // flags that were not told may change unseen
	}
	err := p.store.w.SetState(p.key, archive.State{
		Time: p.opts.Now(), Exists: sel.Exists, UIDNext: sel.UIDNext, HighestModSeq: sel.HighestModSeq,
	})
	if err != nil {
		return &stopError{fmt.Errorf("record state of %q: %w", p.result.Name, err)}
	}
	return nil
}

// account fills in what is left over and compares the figures, which were counted on the way, with
// what the archive has now.
func (p *pass) account() error {
	f := &p.result.Figures
	f.Vanished, f.Refused = len(p.gone), len(p.refused)
	f.Left = f.Listed - f.Before - f.Now - f.Vanished - f.Refused
	if p.listing == nil || p.plan == nil {
		return nil
	}
	have := 0
	settled := make(map[uint32]bool, f.Vanished+f.Refused)
	for _, w := range slices.Concat(p.gone, p.refused) {
		settled[w.UID] = true
	}
	k := p.key
	for _, meta := range p.listing.messages {
		k.UID = meta.UID
		if p.catalog.Message(k) != nil {
			have++
		} else if !settled[meta.UID] {
			f.LeftOctets += max(meta.Size, 0)
		}
	}
	if !f.addUp(have) || p.ended && f.Left != 0 {
		return &FiguresError{Mailbox: p.result.Name, Figures: *f, Have: have}
	}
	return nil
}
