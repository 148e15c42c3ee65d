package importer

import (
	"cmp"
	"fmt"
	"slices"

	"mailark/archive"
	"mailark/internal/glob"
	"mailark/internal/humane"
)

// wanted is one mailbox of the archive, what is wanted of it, and where it goes.
type wanted struct {
	mbox    *archive.Mailbox
	name    string // for people, levels joined by "/"
	items   []*item
	undated int // dates that had to be dropped

	to     string // on the target
	role   string // to be asked for when it is created
	exists bool
	chosen bool // for this run
}

// octets is the sum of all sizes.
func (w *wanted) octets() (sum int64) {
	for _, it := range w.items {
		sum += it.msg.Size
	}
	return sum
}

// choose lists the mailboxes that can be uploaded, those that were listed at the last look or hold mail:
// INBOX first, then in the order of the archive. Those the globs let through are chosen. Errors: ErrUsage.
func choose(cat *archive.Catalog, opts *Options) ([]*wanted, error) {
	set := glob.NewSet(opts.Include, opts.Exclude)
	var list []*wanted
	for _, mbox := range cat.Mailboxes() {
		msgs := messages(cat, mbox.ID, opts.IncludeGone)
		if len(msgs) == 0 && (!mbox.Listed || !selectable(mbox)) {
			continue
		}
		w := &wanted{mbox: mbox, name: mbox.Name(), items: make([]*item, len(msgs)), chosen: set.Has(mbox.Name())}
		for i, msg := range msgs {
			date, dropped := validDate(msg.InternalDate)
			w.items[i] = &item{msg: msg, date: date}
			if dropped {
				w.undated++
			}
		}
		list = append(list, w)
	}
	if err := set.Unused(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	slices.SortStableFunc(list, func(a, b *wanted) int {
		return cmp.Compare(inboxFirst(a.mbox.Path), inboxFirst(b.mbox.Path))
	})
	return list, nil
}

func inboxFirst(path []string) int {
	if isInbox(path) {
		return 0
	}
	return 1
}

// selectable is false for a name that is only a level above others (RFC 9051, section 7.3.1).
func selectable(m *archive.Mailbox) bool {
	return !m.HasAttr(`\Noselect`) && !m.HasAttr(`\NonExistent`)
}

// messages is what is wanted of a mailbox, by epoch and UID: what it held when it was last looked at
// and, if gone is asked for, what it had held before, as far as no message with the same octets is
// wanted already. Of older epochs, too, only what the newer ones lack.
func messages(cat *archive.Catalog, mailbox uint32, gone bool) []*archive.Message {
	current := cat.Current(mailbox)
	if !gone {
		return current
	}
	chosen := make(map[*archive.Message]bool, len(current))
	for _, msg := range current {
		chosen[msg] = true
	}
	var epochs [][]*archive.Message // what is not chosen yet, oldest first
	for msg := range cat.Messages(mailbox) {
		for int(msg.Epoch) > len(epochs) {
			epochs = append(epochs, nil)
		}
		if !chosen[msg] {
			epochs[msg.Epoch-1] = append(epochs[msg.Epoch-1], msg)
		}
	}
	all := slices.Clone(current)
	for _, epoch := range slices.Backward(epochs) {
		all = append(all, surplus(epoch, all)...)
	}
	slices.SortFunc(all, func(a, b *archive.Message) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.UID, b.UID))
	})
	return all
}

// goneMessages counts what messages leaves out if gone is not asked for, in all mailboxes.
func goneMessages(cat *archive.Catalog) (n int) {
	for _, mbox := range cat.Mailboxes() {
		n += len(messages(cat, mbox.ID, true)) - len(messages(cat, mbox.ID, false))
	}
	return n
}

// damageKnown says what the archive is known to have lost, as far as opening it shows.
func damageKnown(arc *archive.Reader) string {
	if err := arc.Damage(); err != nil {
		return fmt.Sprintf("%v: some of its mail may be out of reach (mailark verify --repair %s, then export again)", err, arc.Dir())
	}
	awaited, lost := arc.PutAside()
	if n := len(awaited) + len(lost); n > 0 {
		return fmt.Sprintf("the octets of %s were damaged and put aside: export again while the old server is there",
			humane.Plural(n, "message"))
	}
	return ""
}

// surplus is what is in more of which have has no partner with the same octets.
func surplus(more, have []*archive.Message) []*archive.Message {
	count := make(map[archive.Sum]int, len(have))
	for _, msg := range have {
		count[msg.Sum]++
	}
	var rest []*archive.Message
	for _, msg := range more {
		if count[msg.Sum] > 0 {
			count[msg.Sum]--
			continue
		}
		rest = append(rest, msg)
	}
	return rest
}

// sourceState says what is wrong with the archive's last export; "" if it was complete.
func sourceState(cat *archive.Catalog) string {
	runs := cat.Runs()
	if len(runs) == 0 {
		return "the archive has no record of an export: it may lack mail"
	}
	last := runs[len(runs)-1]
	switch {
	case last.End.IsZero():
		return fmt.Sprintf("the last export into the archive, begun %s, never ended: the archive may lack mail",
			last.Start.Format("2006-01-02 15:04 -0700"))
	case last.Exit != exitComplete:
		return fmt.Sprintf("the last export into the archive, ended %s, was not complete (exit code %d, %s)",
			last.End.Format("2006-01-02 15:04 -0700"), last.Exit, last.Summary)
	}
	return ""
}
