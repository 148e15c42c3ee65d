package exporter

import (
	"context"
	"errors"
	"slices"
	"time"

	"mailark/archive"
	"mailark/internal/session"
)

// incremental is a server that can tell what has changed, with the promises of session.Source.
type incremental interface {
	ExamineMeta(ctx context.Context, name string, opened func(*session.Selected), fn func(session.Meta) error) error
	ExamineChanged(
		ctx context.Context, name string, since uint64, opened func(*session.Selected), fn func(session.Meta) error,
	) (session.UIDSet, error)
	FetchMetaOf(ctx context.Context, uids []uint32, fn func(session.Meta) error) error
	Statuses(ctx context.Context, names []string, fn func(name string, sel *session.Selected, err error)) error
}

// state is what the server said when a mailbox was last copied whole, nil if it never was or if that is of no
// use to find out what has changed since.
func (x *export) state(mailbox uint32) (*archive.Epoch, *archive.State) {
	e := x.catalog.Epoch(mailbox)
	if x.opts.Full || e == nil || e.State == nil || e.UIDValidity == 0 || e.State.UIDNext == 0 || x.doubtedSince(e.State.Time) {
		return nil, nil
	}
	return e, e.State
}

// doubtedSince reports whether a run since then did not believe the server, and may have been about any mailbox: one that
// compares everything finds what figures do not show, and leaves the state as it was.
func (x *export) doubtedSince(t time.Time) bool {
	t = t.Truncate(time.Second) // runs are recorded to the second
	return slices.ContainsFunc(x.catalog.Runs(), func(r archive.Run) bool {
		return !r.End.IsZero() && r.Exit == exitChanged && !r.Start.Before(t)
	})
}

// askStatuses asks for the figures of the mailboxes that may turn out unchanged, where LIST did not tell them. A server that
// this is too much for, be it because of one mailbox, is not asked for more than it has told: the others are listed.
func (x *export) askStatuses(ctx context.Context, chosen []source) error {
	at := make(map[string]*source)
	var names []string
	for i := range chosen {
		from := &chosen[i]
		_, state := x.state(from.id)
		if from.Status == nil && from.fault == "" && state != nil && state.HighestModSeq > 0 {
			at[from.Name] = from
			names = append(names, from.Name)
		}
	}
	if x.statusAsked || len(names) == 0 {
		return nil
	}
	err := x.store.during(ctx, func(ctx context.Context) error {
		return x.link.do(ctx, func(src server) error {
			inc, ok := src.(incremental)
			if !ok {
				return nil
			}
			return inc.Statuses(ctx, names, func(name string, sel *session.Selected, err error) {
				if err != nil {
					x.opts.Log.Info("no figures", "mailbox", name, "reason", words(err))
					return
				}
				at[name].Status = sel
			})
		})
	})
	var stop *stopError
	if err == nil || ctx.Err() != nil || errors.As(err, &stop) {
		return err
	}
	x.opts.Log.Warn("the server does not tell which mailboxes have changed", "reason", words(err))
	return nil
}

// isUnchanged reports whether the figures prove that a mailbox holds what the archive has of it, with the same
// flags (DESIGN.md, "What is not asked again").
func (x *export) isUnchanged(from *source) bool {
	epoch, state := x.state(from.id)
	now := from.Status
	if epoch == nil || now == nil || from.fault != "" {
		return false
	}
	counted := now.HighestModSeq > 0 || now.Exists == 0
	if !counted || now.UIDValidity != epoch.UIDValidity || now.UIDNext != state.UIDNext || now.Exists != state.Exists ||
		now.Exists > 0 && now.HighestModSeq != state.HighestModSeq {
		return false
	}
	have := 0
	for m := range x.catalog.Messages(from.id) {
		have += b2i(m.Epoch == epoch.N && !m.Gone)
	}
	for _, r := range x.catalog.Refusals() {
		if r.Mailbox == from.id && r.Epoch == epoch.N {
			return false
		}
	}
	return have == int(now.Exists)
}

// passOverUnchanged settles the mailboxes that are unchanged: all that is there was archived before. It returns the others.
func (x *export) passOverUnchanged() (changed []int) {
	for i := range x.chosen {
		from := &x.chosen[i]
		if !x.isUnchanged(from) {
			changed = append(changed, i)
			continue
		}
		n := int(from.Status.Exists)
		x.copied[i] = &Mailbox{Name: from.info.Name(), Figures: Figures{Listed: n, Before: n}, Unchanged: true}
		x.logMailbox(x.copied[i])
		x.store.at.Mailboxes++
	}
	return changed
}
