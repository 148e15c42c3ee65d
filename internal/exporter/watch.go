package exporter

import (
	"context"

	"mailark/archive"
	"mailark/internal/limit"
	"mailark/internal/progress"
)

// State is the progress for people and programs.
func (p *Progress) State() progress.State {
	s := progress.State{
		What: p.Mailbox, Mailboxes: p.Mailboxes, MailboxesTotal: p.MailboxesOf, Growing: p.Mailboxes+1 < p.MailboxesOf,
		Messages: int64(p.Messages), MessagesTotal: int64(p.MessagesPlanned),
		Octets: p.Octets, OctetsTotal: p.OctetsPlanned,
	}
	if p.Foreseen && p.MessagesPlanned > 0 { // messages not listed yet are taken to be as large as the others
		s.Growing = false
		s.MessagesTotal += int64(p.MessagesAhead)
		ahead := float64(p.OctetsPlanned) / float64(p.MessagesPlanned) * float64(p.MessagesAhead)
		s.OctetsTotal += int64(min(ahead, 1<<60)) // whatever the server says
	}
	return s
}

// foresee takes from the figures of STATUS how much there is to copy, so that the time it takes can be told before all
// mailboxes are listed.
func (x *export) foresee(mailboxes []int) {
	at := &x.store.at
	at.Foreseen = true
	for _, i := range mailboxes {
		from := &x.chosen[i]
		from.ahead = new(int)
		switch {
		case from.fault != "":
			continue
		case from.Status == nil:
			at.Foreseen = false
			continue
		}
		had := 0
		if e := x.catalog.Epoch(from.id); e != nil && e.UIDValidity == from.Status.UIDValidity {
			had = len(x.catalog.Current(from.id))
		}
		*from.ahead = max(int(from.Status.Exists)-had, 0)
		at.MessagesAhead += *from.ahead
	}
}

// arrive notes that a mailbox has been listed, or is given up: nothing has to be foreseen of it any more.
func (x *export) arrive(from *source) {
	if from.ahead != nil {
		x.store.at.MessagesAhead -= *from.ahead
		*from.ahead = 0
	}
}

// watch sees all progress of a run: it ends the run at its limits and tells those who look on. It belongs to the
// goroutine that uses the archive.
type watch struct {
	show   func(Progress)
	count  *limit.Count
	own    bool  // count ends with the run
	octets int64 // counted
	file   *progress.File
}

// begin puts the run under its limits.
func (w *watch) begin(ctx context.Context, o *Options) context.Context {
	if w.count = o.count; w.count != nil {
		return ctx
	}
	w.own = true
	ctx, w.count = o.Limits.Watch(ctx)
	return ctx
}

// watched puts what is no run, but moves mail or takes its time, under the limits. end is to be called behind it.
func watched(ctx context.Context, o *Options) (limited context.Context, end func()) {
	w := &watch{show: o.Progress}
	limited = w.begin(ctx, o)
	o.Progress = w.tell
	return limited, w.end
}

// publish lets other programs see the progress. The archive must be locked.
func (w *watch) publish(o *Options) {
	w.file = progress.Create(archive.Running(o.Dir), "export", o.Session.Program, o.Now, o.Log)
}

func (w *watch) tell(p Progress) {
	w.show(p)
	w.file.Tell(p.State())
	w.count.Add(p.Octets - w.octets)
	w.octets = p.Octets
}

// end takes everything back. The archive must still be locked.
func (w *watch) end() {
	w.file.Close()
	if w.own {
		w.count.Stop()
	}
}
