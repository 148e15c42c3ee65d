package importer

import "context"

// adopt finds wanted messages that are in the target already and belong to no entry: an earlier tool
// has put them there, or the ledger was lost. Before the first upload, and again when the target
// holds more after another SELECT than this run can have brought: somebody else is at work.
func (b *box) adopt(ctx context.Context) error {
	others := int(b.sel.Exists) - b.res.Uploaded
	if b.adopted && others <= b.others {
		return nil
	}
	var idle []*item
	for _, it := range b.items {
		if it.state == todo && it.entry == nil {
			idle = append(idle, it)
		}
	}
	if len(idle) > 0 && b.sel.Exists > 0 {
		if err := b.adoptItems(ctx, idle); err != nil {
			return err
		}
	}
	b.adopted, b.others = true, others
	return nil
}

func (b *box) adoptItems(ctx context.Context, idle []*item) error {
	b.opts.Log.Info("looking for mail that is there already", "mailbox", b.name, "messages", b.sel.Exists)
	s, err := b.newSearch(ctx, idle)
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
		e.altered = cl.found.digest.sum != e.sum
		found, entries = append(found, it), append(entries, e)
		it.state = foundNow
	}
	if err := s.led.settle(entries...); err != nil {
		for _, it := range found {
			it.state = todo
		}
		return err
	}
	for i, it := range found {
		if entries[i].altered {
			s.res.Altered++
		}
		s.finished(it, foundNow)
	}
	return nil
}
