package importer

import (
	"context"
	"errors"

	"mailark/internal/session"
)

// verify sees, when all is sent, whether what this run has stored is still there, and whether a mailbox
// that was made or numbered anew still holds what was stored before. Only numbers, dates and sizes are
// compared. What is missing then is not uploaded again, but the run is not complete.
func (b *box) verify(ctx context.Context) error {
	if len(b.led.list(b.to, stored, adopted)) == 0 {
		return nil
	}
	stale, exists := 0, 0
	err := b.link.do(ctx, func(*session.Target) (err error) {
		if err = b.enter(ctx); err != nil {
			return err
		}
		exists = int(b.sel.Exists)
		stale, err = b.vanished(ctx)
		return err
	})
	switch {
	case err == nil:
	case refusal(err), errors.Is(err, errShort):
		b.res.Reason = "what it holds cannot be seen: " + words(err)
		return nil
	default:
		return err
	}
	short := 0
	if b.met {
		short = b.start + b.res.Uploaded - exists
	}
	if b.res.Missing = max(short, stale, 0); b.res.Missing > 0 {
		b.note("%s: %d messages that the target had taken are not there any more; they are not uploaded again by "+
			"themselves (to upload what is missing, run once more without the ledger %s)",
			b.name, b.res.Missing, b.led.path)
	}
	return nil
}

// vanished counts entries whose UID is of another UIDVALIDITY and that no message there can be: none has
// their date and about their size, or exactly their size.
func (b *box) vanished(ctx context.Context) (int, error) {
	stale := b.stale()
	if len(stale) == 0 {
		return 0, nil
	}
	pool, err := b.unclaimed(ctx)
	if err != nil {
		return 0, err
	}
	byDate := make(map[int64][]*candidate)
	bySize := make(map[int64][]*candidate)
	for _, c := range pool {
		byDate[c.date.Unix()] = append(byDate[c.date.Unix()], c)
		bySize[c.size] = append(bySize[c.size], c)
	}
	var rest []*entry
	for _, e := range stale {
		if !takeFirst(byDate[e.date.Unix()], looselyAlike(e.size)) {
			rest = append(rest, e)
		}
	}
	missing := 0
	for _, e := range rest {
		if !takeFirst(bySize[e.size], span{e.size, e.size}) {
			missing++
		}
	}
	return missing, nil
}

// takeFirst takes a free candidate of a fitting size.
func takeFirst(list []*candidate, fits span) bool {
	for _, c := range list {
		if !c.taken && fits.has(c.size) {
			c.taken = true
			return true
		}
	}
	return false
}

// stale is the entries with a UID that means nothing in the selected mailbox.
func (b *box) stale() []*entry {
	var list []*entry
	for _, e := range b.led.list(b.to, stored, adopted) {
		if e.at.UID != 0 && e.at.UIDValidity != b.sel.UIDValidity {
			list = append(list, e)
		}
	}
	return list
}
