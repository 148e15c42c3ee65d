package importer

import "context"

// adopt finds wanted messages that are in the target already and belong to no entry: an earlier tool
// has put them there, or the ledger was lost. Once per mailbox and run, before the first upload, and only
// if the target holds more than the ledger knows of.
func (b *box) adopt(ctx context.Context) error {
	if b.adopted {
		return nil
	}
	var idle []*item
	for _, it := range b.items {
		if it.state == todo && it.entry == nil {
			idle = append(idle, it)
		}
	}
	if len(idle) > 0 && b.holdsUnclaimed() {
		if err := b.adoptItems(ctx, idle); err != nil {
			return err
		}
	}
	b.adopted = true
	return nil
}

// holdsUnclaimed reports whether the selected mailbox can hold messages no entry claims.
func (b *box) holdsUnclaimed() bool {
	claimed := 0
	for _, e := range b.led.list(b.to, stored, adopted) {
		if e.at.UID != 0 && e.at.UIDValidity != b.sel.UIDValidity {
			// The mailbox was made anew or numbered anew: its entries may or may not be there.
			return b.sel.Exists > 0
		}
		claimed++
	}
	return int(b.sel.Exists) > claimed
}

func (b *box) adoptItems(ctx context.Context, idle []*item) error {
	b.opts.Log.Info("looking for mail that is there already", "mailbox", b.name, "messages", b.sel.Exists)
	s, err := b.newSearch(ctx, 1, idle)
	if err != nil {
		return err
	}
	if err := s.exact(ctx, s.takeAdopted); err != nil {
		return err
	}
	if err := s.altered(ctx, false); err != nil {
		return err
	}
	return s.takeAdopted()
}

// takeAdopted writes down what has been found since the last call.
func (s *search) takeAdopted() error {
	var found []*item
	var entries []*entry
	for _, cl := range s.needs {
		it := s.items[cl]
		if cl.found == nil || it.state != todo {
			continue
		}
		e := s.newEntry(it)
		e.status, e.at = adopted, s.receipt(cl.found.uid)
		found, entries = append(found, it), append(entries, e)
		it.state = foundNow
	}
	if err := s.led.settle(entries...); err != nil {
		for _, it := range found {
			it.state = todo
		}
		return err
	}
	for _, it := range found {
		s.finished(it, foundNow)
	}
	return nil
}
