package exporter

import (
	"context"
	"fmt"
	"maps"

	"mailark/archive"
	"mailark/internal/humane"
)

// FinalResult is what the passes of the day of the cut-over have come to.
type FinalResult struct {
	Passes []*Result
	Agreed bool // the last two saw the same, and the last one had nothing to do
}

// Last is the last pass.
func (f *FinalResult) Last() *Result { return f.Passes[len(f.Passes)-1] }

// ExitCode is 0 only if two passes in a row have agreed and everything is in the archive.
func (f *FinalResult) ExitCode() int {
	last := f.Last()
	if last.Err == nil && !f.Agreed {
		return exitChanged
	}
	return last.ExitCode()
}

// Line is the verdict.
func (f *FinalResult) Line() string {
	switch code := f.ExitCode(); {
	case f.Last().Err != nil:
		return "NOT FINAL: stopped by an error. Run the same command again when it is mended."
	case code == exitComplete:
		return fmt.Sprintf("Final: passes %d and %d agree, and all is in the archive%s.",
			len(f.Passes)-1, len(f.Passes), f.leftOut())
	case f.Agreed:
		return "NOT COMPLETE: two passes agree, but what is listed above could not be copied."
	}
	return fmt.Sprintf("NOT FINAL: the server was still changing in pass %d. Stop what delivers or changes mail there, "+
		"and run the same command again.", len(f.Passes))
}

// leftOut says how many mailboxes the verdict is not about.
func (f *FinalResult) leftOut() string {
	if n := f.Last().Skipped + f.Last().Foreign; n > 0 {
		return fmt.Sprintf(" but for %s left out", humane.Plural(n, "mailbox"))
	}
	return ""
}

// Final runs again and again until two passes in a row agree: the second one found nothing new, nothing changed and
// nothing gone, and the archive's picture of the server is the same after both. Every pass compares everything. passes
// is how many there are at most, at least 2; told is called after each, with its number from 1.
func Final(ctx context.Context, options Options, passes int, told func(n int, r *Result)) (*FinalResult, error) {
	options.Full = true
	ctx, count := options.Limits.Watch(ctx)
	defer count.Stop()
	options.count = count
	f := new(FinalResult)
	var before picture
	for n := 1; n <= max(passes, 2); n++ {
		result, err := Run(ctx, options)
		f.Passes = append(f.Passes, result)
		told(n, result)
		if err != nil {
			return f, err
		}
		after, err := takePicture(&options)
		if err != nil {
			result.Err = err
			return f, err
		}
		if f.Agreed = result.quiet() && before != nil && maps.Equal(before, after); f.Agreed {
			return f, nil
		}
		before = after
	}
	return f, nil
}

// quiet reports whether a pass had nothing to do, but for what it could not do.
func (r *Result) quiet() bool {
	t := r.Total()
	renumbered := r.which(func(m *Mailbox) bool { return m.NewEpoch })
	code := r.ExitCode()
	return (code == exitComplete || code == exitPartial) && !r.Created && !r.DryRun && r.Unseen == 0 &&
		len(r.Unlisted)+len(renumbered) == 0 && t.Now+t.Vanished+t.FlagsChanged+t.Gone+t.Back == 0
}

// picture is what the archive knows of the server, by Mailbox.ID.
type picture map[uint32]pictured

// pictured is what the archive knows of one mailbox.
type pictured struct {
	raw, roles         string
	subscribed, listed bool
	epoch, validity    uint32
	whole              bool // it was copied whole
	exists, next       uint32
	messages           int
}

// takePicture reads it from the archive itself, which is what counts in the end.
func takePicture(o *Options) (picture, error) {
	opts := o.Archive
	r, err := archive.Open(o.Dir, &opts)
	if err != nil {
		return nil, fmt.Errorf("open archive %s: %w", o.Dir, err)
	}
	defer func() { _ = r.Close() }() // was only read
	p := make(picture)
	for _, m := range r.Mailboxes() {
		now := pictured{
			raw: m.Raw, roles: roles(&m.MailboxInfo), subscribed: m.Subscribed, listed: m.Listed, messages: len(r.Current(m.ID)),
		}
		if e := r.Epoch(m.ID); e != nil {
			now.epoch, now.validity = e.N, e.UIDValidity
			if st := e.State; st != nil {
				now.whole, now.exists, now.next = true, st.Exists, st.UIDNext
			}
		}
		p[m.ID] = now
	}
	return p, nil
}
