package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mailark/internal/session"
)

// createAll makes the mailboxes the target lacks, parents first, sees that all are there, notes
// in the ledger where everything goes, and subscribes. A mailbox the target refuses is given up alone.
func (r *run) createAll(ctx context.Context) error {
	var missing []*box
	for _, b := range r.boxes {
		empty := r.place.hasAttr(b.to, `\Noselect`) || r.place.hasAttr(b.to, `\NonExistent`)
		if !b.exists || empty && len(b.items) > 0 {
			missing = append(missing, b)
		}
	}
	slices.SortStableFunc(missing, func(a, b *box) int { return len(a.mbox.Path) - len(b.mbox.Path) })
	for _, b := range missing {
		if err := r.create(ctx, b); err != nil {
			if err := b.giveUp(err); err != nil {
				return err
			}
			continue
		}
		b.res.Created = true
	}
	if len(missing) > 0 {
		if err := r.look(ctx); err != nil {
			return err
		}
		r.checkCreated()
	}
	var maps []mapping
	for _, b := range r.boxes {
		if b.res.Reason != "" {
			continue
		}
		maps = append(maps, mapping{dir: b.mbox.Dir, from: b.name, to: b.to})
	}
	if err := r.led.mapMailboxes(maps); err != nil {
		return err
	}
	return r.subscribe(ctx)
}

// create makes one mailbox. Where the target refuses the name, a plainer one is tried.
func (r *run) create(ctx context.Context, b *box) error {
	err := r.createAs(ctx, b.to, b.role)
	if err == nil || !refusal(err) {
		return err
	}
	plain := r.place.plainName(b.to)
	// A mailbox that is there is somebody else's, or another's of the archive.
	if plain == b.to || r.owners[plain] != "" || r.place.have[plain] != nil || r.createAs(ctx, plain, b.role) != nil {
		return err
	}
	r.note("%s is %s on the target, which refuses its own name: %s", b.name, plain, words(err))
	b.rename(plain)
	return nil
}

// createAs makes a mailbox of that name, and the levels above it where the server does not do so by itself.
func (r *run) createAs(ctx context.Context, to, role string) error {
	try := func(name, role string) error {
		return r.link.do(ctx, func(t *session.Target) error { return t.Create(ctx, name, role) })
	}
	err := try(to, role)
	if err == nil || r.place.delim == "" || lost(err) || ctx.Err() != nil {
		return err
	}
	made := false
	for i := range to {
		if strings.HasPrefix(to[i:], r.place.delim) && i > 0 && r.place.have[to[:i]] == nil {
			made = try(to[:i], "") == nil || made
		}
	}
	if !made {
		return err
	}
	return try(to, role)
}

// rename gives a mailbox another name on the target.
func (b *box) rename(to string) {
	b.owners[to] = b.mbox.Dir
	b.to, b.res.Target = to, to
}

// checkCreated finds out whether every mailbox is now listed, and gives up those that are not: nobody
// would find the mail. A target whose names have no case may list one in other letters; two mailboxes that
// are one there would be mixed.
func (r *run) checkCreated() {
	for _, b := range r.boxes {
		if b.res.Reason != "" || b.to == inbox || r.place.have[b.to] != nil {
			continue
		}
		b.res.Reason = "the target does not list it, though it was created"
		for name := range r.place.have {
			if !strings.EqualFold(name, b.to) {
				continue
			}
			if dir := r.owners[name]; dir != "" && dir != b.mbox.Dir {
				b.res.Reason = fmt.Sprintf("%q and %q are the same mailbox on the target, which does not tell capitals "+
					"from small letters", name, b.to)
				continue
			}
			b.res.Reason = ""
			b.rename(name)
			break
		}
	}
}

// subscribe subscribes to what was subscribed at the source. A refusal is only noted: no mail hangs on it.
func (r *run) subscribe(ctx context.Context) error {
	for _, b := range r.boxes {
		have := r.place.have[b.to]
		if b.res.Reason != "" || !b.mbox.Subscribed || have != nil && have.Subscribed {
			continue
		}
		err := r.link.do(ctx, func(t *session.Target) error { return t.Subscribe(ctx, b.to) })
		switch {
		case err == nil:
		case refusal(err):
			r.note("%s: the target refuses the subscription: %s", b.name, words(err))
		default:
			return err
		}
	}
	return nil
}

func (r *run) note(format string, args ...any) {
	r.sum.Notes = append(r.sum.Notes, fmt.Sprintf(format, args...))
}
