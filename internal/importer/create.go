package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mailark/internal/session"
)

// createAll makes the mailboxes the target lacks, parents first, sees that all are there, notes
// in the ledger where everything goes, and subscribes. Nothing has been uploaded when it fails.
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
			return fmt.Errorf("%w (nothing was uploaded; --exclude %q leaves this mailbox out)", err, b.name)
		}
		b.res.Created = true
	}
	if len(missing) > 0 {
		if err := r.look(ctx); err != nil {
			return err
		}
		if err := r.checkCreated(); err != nil {
			return err
		}
	}
	var maps []mapping
	for _, b := range r.boxes {
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
	taken := slices.ContainsFunc(r.boxes, func(other *box) bool { return other != b && other.to == plain })
	if plain == b.to || taken || r.createAs(ctx, plain, b.role) != nil {
		return err
	}
	r.note("%s is %s on the target, which refuses its own name: %s", b.name, plain, words(err))
	b.to, b.res.Target = plain, plain
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

// checkCreated finds out whether every mailbox is now listed. A target whose names have no case may
// list it in other letters; two mailboxes that are one there would be mixed.
func (r *run) checkCreated() error {
	owner := make(map[string]*box)
	for _, b := range r.boxes {
		if r.place.have[b.to] != nil {
			owner[b.to] = b
		}
	}
	for _, b := range r.boxes {
		if r.place.have[b.to] != nil {
			continue
		}
		for name := range r.place.have {
			if !strings.EqualFold(name, b.to) {
				continue
			}
			if other := owner[name]; other != nil {
				return fmt.Errorf("create mailbox: %q and %q are the same mailbox on the target, which does not "+
					"tell capitals from small letters; nothing was uploaded", other.to, b.to)
			}
			owner[name] = b
			b.to, b.res.Target = name, name
			break
		}
	}
	return nil
}

// subscribe subscribes to what was subscribed at the source. A refusal is only noted: no mail hangs on it.
func (r *run) subscribe(ctx context.Context) error {
	for _, b := range r.boxes {
		have := r.place.have[b.to]
		if !b.mbox.Subscribed || have != nil && have.Subscribed {
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
