package exporter

import "context"

// look lists the mailbox; twice if it has lost most of its messages, for a server in trouble shows
// fewer than there are. If the two looks disagree, the listing is not sound.
func (p *pass) look(ctx context.Context) error {
	first, err := p.lookAtChanges(ctx)
	if first == nil && err == nil {
		first, err = p.lookOnce(ctx)
	}
	if err != nil {
		return err
	}
	p.listing = first
	shrunk := false
	err = p.store.call(func() error {
		shrunk = p.shrunk(first)
		return nil
	})
	if err != nil || !shrunk {
		return err
	}
	second, err := p.lookOnce(ctx)
	if err != nil {
		return err
	}
	if second.selected.UIDValidity != first.selected.UIDValidity {
		return errRenumbered
	}
	second.messages = sortMessages(append(second.messages, first.messages...))
	p.listing = second
	return nil
}

// lookAtChanges lists what has changed since the last run. No listing and no error: it has to be listed in full.
func (p *pass) lookAtChanges(ctx context.Context) (*listing, error) {
	var b *base
	err := p.store.call(func() error {
		b = p.base(p.from.id)
		return nil
	})
	if b == nil || err != nil {
		return nil, err
	}
	return p.link.listChanges(ctx, p.from.Name, b)
}

func (p *pass) lookOnce(ctx context.Context) (*listing, error) {
	p.link.leave() // the figures of EXAMINE are to be fresh
	return p.link.list(ctx, p.from.Name)
}

// shrunk reports whether the mailbox has lost most of what the archive takes to be in it.
func (p *pass) shrunk(l *listing) bool {
	epoch := p.catalog.Epoch(p.from.id)
	if epoch == nil || epoch.UIDValidity == 0 || epoch.UIDValidity != l.selected.UIDValidity {
		return false
	}
	had, gone := 0, 0
	for m := range p.catalog.Messages(p.from.id) {
		if m.Epoch == epoch.N && !m.Gone {
			had++
			gone += b2i(!l.has(m.UID))
		}
	}
	return gone > manyGone && 2*gone > had
}
