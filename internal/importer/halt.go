package importer

import (
	"errors"
	"fmt"
)

// halt ends a mailbox of which the target takes none of the messages that are left. Those it did not take
// while it took others are refused. So are the rest, if they are few, but not for runs to come;
// else the fault is more likely the server's than theirs, and they are left to do.
func (b *box) halt(cause error) error {
	text := ""
	for _, it := range b.items {
		if it.state != todo || it.entry != nil || !it.down {
			continue
		}
		switch text = it.text; {
		case b.taken > it.passed:
			if err := b.record(it); err != nil {
				return err
			}
		case cause == nil && b.streak < maxStreak:
			b.finished(it, refusedBy)
		}
	}
	if !b.unfinished() {
		return nil
	}
	if cause == nil {
		cause = fmt.Errorf("%w: %d in a row (the server says: %s)", errRefusing, b.streak, text)
	}
	b.res.Reason = cause.Error()
	b.opts.Log.Warn("mailbox given up for now", "mailbox", b.name, "reason", cause)
	b.halted = errors.Join(b.halted, fmt.Errorf("%w: mailbox %q: %w", ErrGaveUp, b.name, cause))
	return nil
}

// record refuses a message that has no open intent.
func (b *box) record(it *item) error {
	e := b.newEntry(it)
	if err := b.led.intend([]*entry{e}); err != nil {
		return err
	}
	it.entry = e
	return b.refuse(it, it.text)
}

// allDown reports whether all that is left to do are messages the target does not take.
func (b *box) allDown() bool {
	left := false
	for _, it := range b.items {
		if it.state == todo {
			if left = true; !it.down || it.entry != nil {
				return false
			}
		}
	}
	return left
}
