package importer

import (
	"context"
	"slices"
)

// resolve finds out what became of the intents without a result. What is in the target is done. What is
// not there is void and will be sent again, but only after a second look some seconds later: a server may
// still be at work on a connection it has lost. (Messages whose last octet never left this machine need no
// second look.) What cannot be decided stays in doubt and is not sent in this run.
func (b *box) resolve(ctx context.Context) error {
	doubtful := b.doubtful()
	if len(doubtful) == 0 {
		return nil
	}
	b.opts.Log.Info("looking for messages in doubt", "mailbox", b.name, "messages", len(doubtful))
	s, err := b.lookFor(ctx, doubtful)
	if err != nil {
		return err
	}
	maySettle := slices.ContainsFunc(s.missing(), func(cl *claim) bool { return s.items[cl].sent })
	if maySettle && b.opts.Settle > 0 {
		if err := b.opts.Sleep(ctx, b.opts.Settle); err != nil {
			return err
		}
		// SELECT anew: a server need not tell of new messages otherwise.
		if err := b.enter(ctx); err != nil {
			return err
		}
		if s, err = b.lookFor(ctx, b.doubtful()); err != nil {
			return err
		}
	}
	b.blame()
	for _, cl := range s.missing() {
		if err := b.conclude(ctx, s, cl); err != nil {
			return err
		}
	}
	return nil
}

// blame counts a lost connection against the first message that was under way and was not stored:
// servers take messages in the order of sending, so those behind it are innocent.
func (b *box) blame() {
	for _, f := range b.suspects {
		if f.item.state != todo || f.item.entry == nil {
			continue
		}
		if f.item.losses++; f.item.losses == 1 && f.item.noes == 0 {
			f.item.passed = b.taken
		}
		if f.alone {
			f.item.alone++
		}
		break
	}
	b.suspects = nil
}

// doubtful is the items with an open intent that this run may still decide.
func (b *box) doubtful() []*item {
	var list []*item
	for _, it := range b.items {
		if it.state == todo && it.entry != nil {
			list = append(list, it)
		}
	}
	return list
}

// lookFor searches the target for items in doubt and settles those it finds.
func (b *box) lookFor(ctx context.Context, doubtful []*item) (*search, error) {
	from := b.bound(doubtful[0].entry)
	for _, it := range doubtful {
		from = min(from, b.bound(it.entry))
	}
	s, err := b.newSearch(ctx, doubtful)
	if err != nil {
		return nil, err
	}
	s.from = from
	for {
		for _, step := range []func() error{
			func() error { return s.exact(ctx, s.takeDoubtful) },
			func() error { return s.altered(ctx, true) },
			s.takeDoubtful,
			func() error { return s.lookCloser(ctx) },
			s.takeDoubtful,
		} {
			if err := step(); err != nil {
				return nil, err
			}
		}
		if s.anywhere || len(s.missing()) == 0 {
			return s, nil
		}
		s.unbind()
	}
}

// takeDoubtful settles the items that have been found: they were stored, only the answer was lost.
func (s *search) takeDoubtful() error {
	for _, cl := range s.needs {
		it := s.items[cl]
		if cl.found == nil || it.entry == nil {
			continue
		}
		it.entry.status, it.entry.at = stored, s.receipt(cl.found.uid)
		if err := s.led.settle(it.entry); err != nil {
			return err
		}
		s.opts.Log.Info("found in the target", "mailbox", s.name, "uid", it.msg.UID, "target_uid", cl.found.uid)
		if it.ours {
			s.finished(it, doneNow)
		} else {
			s.finished(it, doneEarly)
		}
	}
	return nil
}

// conclude ends the doubt about a message that was not found.
func (b *box) conclude(ctx context.Context, s *search, cl *claim) error {
	it := s.items[cl]
	blocked, err := s.blocked(ctx, cl)
	switch {
	case err != nil:
		return err
	case blocked != "":
		it.state = inDoubt
		it.text = blocked
		b.opts.Log.Warn("message in doubt", "mailbox", b.name, "uid", it.msg.UID)
		return nil
	case it.alone >= maxAlone:
		it.down, it.text = true, describe(it)
	}
	return b.void(it)
}
