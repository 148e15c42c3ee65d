package exporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/glob"
	"mailark/internal/session"
	"mailark/internal/spool"
)

// export is one run.
type export struct {
	opts    Options
	link    *link
	store   *store
	reader  *archive.Reader  // in a dry run, if there is an archive
	catalog *archive.Catalog // of the archive, or empty
	begun   bool             // the archive has a record of this run
	start   time.Time
	result  *Result
}

// Run copies. The result is never nil and tells what was done, also when an error has ended the run
// early; its Err is that error. When ctx is cancelled, what has come whole is committed, and the error matches
// context.Canceled or context.DeadlineExceeded.
func Run(ctx context.Context, options Options) (*Result, error) {
	x := newExport(options)
	err := x.run(ctx)
	x.finish(err)
	return x.result, x.result.Err
}

func newExport(options Options) *export {
	opts := options.withDefaults()
	x := &export{
		opts:    opts,
		link:    &link{opts: opts.Session, retry: opts.Retry, log: opts.Log},
		catalog: new(archive.Catalog),
		start:   opts.Now(),
		store: &store{
			free: make(chan *spool.Spool, spools), bodies: make(chan body, spools),
			tick: opts.tick, progress: opts.Progress,
		},
		result: &Result{Dir: opts.Dir, DryRun: opts.DryRun, Source: archive.Source{
			Host: opts.Session.Host, User: opts.Session.User,
		}},
	}
	return x
}

func (x *export) run(ctx context.Context) error {
	if err := x.openArchive(); err != nil {
		return err
	}
	var listed []session.Mailbox
	err := x.store.during(ctx, func(ctx context.Context) error {
		return x.link.do(ctx, func(src *session.Source) (err error) {
			listed, err = src.Mailboxes(ctx)
			return err
		})
	})
	if err != nil {
		return err
	}
	chosen, err := x.choose(listed)
	if err != nil {
		return err
	}
	if err := x.beginRun(); err != nil {
		return err
	}
	if err := x.noteMailboxes(listed, chosen); err != nil {
		return err
	}
	return x.copyAll(ctx, chosen)
}

// openArchive opens the archive if there is one. A new one is made only when the server has let us
// in, so that a wrong password leaves nothing behind.
func (x *export) openArchive() error {
	if x.opts.Dir == "" {
		return &UsageError{"no archive given"}
	}
	opts := x.opts.Archive
	var err error
	if x.opts.DryRun {
		if x.reader, err = archive.Open(x.opts.Dir, &opts); err == nil {
			x.catalog = &x.reader.Catalog
		}
	} else {
		if x.store.w, err = archive.OpenWriter(x.opts.Dir, &opts); err == nil {
			x.catalog = &x.store.w.Catalog
		}
	}
	switch {
	case errors.Is(err, archive.ErrNotArchive) && mayBecomeArchive(x.opts.Dir):
		x.result.Created = true
		return nil
	case err != nil:
		return fmt.Errorf("open archive %s: %w", x.opts.Dir, err)
	}
	begun := x.catalog.Info().Source
	if !x.opts.OtherSource && !sameSource(begun, x.result.Source) {
		return &SourceError{Archive: begun, Asked: x.result.Source}
	}
	return nil
}

// mayBecomeArchive reports whether a directory that holds no archive is missing, empty, or what an
// interrupted creation has left, which begins with the lock. archive.Create has the last word.
func mayBecomeArchive(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == name })
	}
	return len(entries) == 0 || has("lock") && !has("archive.json")
}

func sameSource(a, b archive.Source) bool {
	return strings.EqualFold(a.Host, b.Host) && strings.EqualFold(a.User, b.User)
}

// choose applies the patterns. INBOX comes first, the others in the server's order.
func (x *export) choose(listed []session.Mailbox) ([]source, error) {
	set := glob.NewSet(x.opts.Include, x.opts.Exclude)
	var chosen []source
	for _, m := range listed {
		info := mailboxInfo(&m)
		if set.Has(info.Name()) {
			chosen = append(chosen, source{Mailbox: m, info: info})
		}
	}
	if err := set.Unused(); err != nil {
		return nil, &UsageError{fmt.Sprintf("%v; %s", err, knownNames(listed))}
	}
	if len(chosen) == 0 {
		return nil, &UsageError{"the patterns leave no mailbox to copy"}
	}
	x.result.Skipped = len(listed) - len(chosen)
	slices.SortStableFunc(chosen, func(a, b source) int {
		return b2i(b.info.Name() == "INBOX") - b2i(a.info.Name() == "INBOX")
	})
	return chosen, nil
}

// knownNames tells a user who mistyped a name what there is.
func knownNames(listed []session.Mailbox) string {
	const some = 20
	var names []string
	for i := range listed {
		info := mailboxInfo(&listed[i])
		names = append(names, fmt.Sprintf("%q", info.Name()))
	}
	slices.Sort(names)
	if len(names) > some {
		names = append(names[:some], "…")
	}
	return "there are " + strings.Join(names, ", ")
}

// mailboxInfo is a LIST answer as the archive takes it.
func mailboxInfo(m *session.Mailbox) archive.MailboxInfo {
	return archive.MailboxInfo{
		Path: levels(m.Name, m.Delim), Raw: m.Raw, Delim: m.Delim, Attrs: m.Attrs, Subscribed: m.Subscribed,
	}
}

// levels splits a name. A delimiter at the end makes no level of its own; INBOX, which is compared
// without case (RFC 9051, section 5.1), is always written in capitals.
func levels(name, delim string) []string {
	if strings.EqualFold(name, "INBOX") {
		return []string{"INBOX"}
	}
	if delim == "" {
		return []string{name}
	}
	path := strings.Split(name, delim)
	for len(path) > 1 && path[len(path)-1] == "" {
		path = path[:len(path)-1]
	}
	return path
}

// beginRun makes the archive if there is none, and records that a run has begun.
func (x *export) beginRun() error {
	if x.opts.DryRun {
		return nil
	}
	if x.store.w == nil {
		opts := x.opts.Archive
		w, err := archive.Create(x.opts.Dir, x.result.Source, &opts)
		if err != nil {
			return fmt.Errorf("make archive %s: %w", x.opts.Dir, err)
		}
		x.store.w, x.catalog = w, &w.Catalog
	}
	for range spools {
		x.store.free <- spool.New(x.store.w.SpoolDir())
	}
	if err := x.store.w.BeginRun(x.result.Source); err != nil {
		return fmt.Errorf("begin run: %w", err)
	}
	x.begun = true
	return nil
}

// noteMailboxes records what LIST said and gives each chosen mailbox its number in the archive.
func (x *export) noteMailboxes(listed []session.Mailbox, chosen []source) error {
	if x.opts.DryRun {
		for i := range chosen {
			for _, m := range x.catalog.Mailboxes() {
				if m.Raw == chosen[i].Raw {
					chosen[i].id = m.ID
				}
			}
		}
		return nil
	}
	for i := range chosen {
		m, err := x.store.w.SetMailbox(chosen[i].info)
		if err != nil {
			return fmt.Errorf("record mailbox %q: %w", chosen[i].info.Name(), err)
		}
		chosen[i].id = m.ID
	}
	return x.noteUnlisted(listed)
}

// noteUnlisted records which mailboxes have left the server. It looks at all that are listed, not
// only at those chosen.
func (x *export) noteUnlisted(listed []session.Mailbox) error {
	there := make(map[string]bool, len(listed))
	others := 0
	for _, m := range listed {
		there[m.Raw] = true
		others += b2i(!strings.EqualFold(m.Raw, "INBOX"))
	}
	var gone []*archive.Mailbox
	for _, m := range x.catalog.Mailboxes() {
		if m.Listed && !there[m.Raw] {
			gone = append(gone, m)
		}
	}
	if len(gone) > 0 && others == 0 {
		x.result.Changed = append(x.result.Changed, fmt.Sprintf(
			"the server lists nothing but INBOX, where there were %s other mailboxes; they were not marked as gone", count(len(gone))))
		return nil
	}
	for _, m := range gone {
		if err := x.store.w.SetUnlisted(m.ID); err != nil {
			return fmt.Errorf("record that mailbox %q is gone: %w", m.Name(), err)
		}
		x.result.Unlisted = append(x.result.Unlisted, m.Name())
	}
	return nil
}

// copyAll copies the mailboxes one after the other.
func (x *export) copyAll(ctx context.Context, chosen []source) error {
	chosen = slices.DeleteFunc(chosen, func(s source) bool {
		return s.info.HasAttr(`\Noselect`) || s.info.HasAttr(`\NonExistent`)
	})
	x.store.at.MailboxesOf = len(chosen)
	for _, from := range chosen {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := x.copyMailbox(ctx, from); err != nil {
			return err
		}
		x.store.at.Mailboxes++
	}
	x.store.at.Mailbox = ""
	x.store.progress(x.store.at)
	return nil
}

// finish ends the run in the archive and completes the result. What came whole is committed whatever
// has ended the run, unless that was the archive itself.
func (x *export) finish(err error) {
	r := x.result
	r.Err = err
	r.Unseen = x.store.at.MailboxesOf - len(r.Mailboxes)
	if w := x.store.w; w != nil {
		if x.begun {
			endErr := w.EndRun(r.ExitCode(), r.line())
			if endErr != nil && (err == nil || !errors.Is(err, endErr)) {
				r.Err = errors.Join(err, fmt.Errorf("end run: %w", endErr))
			}
		}
		r.undo(w.Uncommitted())
		r.Stored = w.Stored()
		if closeErr := w.Close(); closeErr != nil && r.Err == nil {
			r.Err = fmt.Errorf("close archive %s: %w", filepath.Clean(x.opts.Dir), closeErr)
		}
	}
	if x.reader != nil {
		_ = x.reader.Close() // was only read
	}
	x.link.drop()
	r.Duration = x.opts.Now().Sub(x.start)
}

func (x *export) logMailbox(m *Mailbox) {
	f := &m.Figures
	x.opts.Log.Info("mailbox", "name", m.Name, "listed", f.Listed, "before", f.Before, "now", f.Now, "linked", f.Linked,
		"vanished", f.Vanished, "refused", f.Refused, "left", f.Left, "flags", f.FlagsChanged, "gone", f.Gone, "back", f.Back,
		"octets", f.Octets, "size differs", f.SizeDiffers, "failed", m.Failed, "changed", m.Changed)
}
