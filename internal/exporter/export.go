package exporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/session"
	"mailark/internal/spool"
)

// export is one run.
type export struct {
	opts    Options
	dial    dialer
	link    *link // the first
	crew    *crew
	store   *store
	reader  *archive.Reader  // in a dry run, if there is an archive
	catalog *archive.Catalog // of the archive, or empty
	begun   bool             // the archive has a record of this run
	source  archive.Source   // as the archive names it
	start   time.Time
	result  *Result

	watch       *watch // over limits, and for those who look on
	statusAsked bool   // LIST told the figures of the mailboxes, as far as the server has them

	chosen  []source    // mailboxes to copy
	copied  []*Mailbox  // what was done for each of them; nil: it was not begun
	refused [][]Refused // of each of them

	// For the archive's goroutine:
	lostInRow  int   // mailboxes in a row that were left because the connection was lost
	miscounted error // FiguresErrors so far
}

// Run copies. The result is never nil and tells what was done, also when an error has ended the run
// early; its Err is that error. When ctx is cancelled, what has come whole is committed, and the error matches
// context.Canceled or context.DeadlineExceeded.
func Run(ctx context.Context, options Options) (*Result, error) {
	x := newExport(options)
	ctx = x.watch.begin(ctx, &x.opts)
	err := x.run(ctx)
	if w := x.store.w; w != nil {
		err = w.ExplainFull(err)
	}
	x.finish(err)
	return x.result, x.result.Err
}

func newExport(options Options) *export {
	opts := options.withDefaults()
	between := max(spools, opts.Connections+spools/2)
	x := &export{
		opts:    opts,
		watch:   &watch{show: opts.Progress},
		crew:    newCrew(&opts),
		catalog: new(archive.Catalog),
		start:   opts.Now(),
		store: &store{
			free: make(chan *spool.Spool, between), jobs: make(chan job, between),
			tick: opts.tick,
		},
		source: opts.source(),
		result: &Result{Dir: opts.Dir, DryRun: opts.DryRun, Source: opts.shown()},
	}
	x.store.progress = x.watch.tell
	x.link = x.newLink()
	x.link.first, x.link.entered = true, false
	return x
}

// newLink is a further connection, which is not made yet.
func (x *export) newLink() *link {
	return &link{dial: x.dial, retry: x.opts.Retry, log: x.opts.Log, crew: x.crew, entered: true}
}

func (x *export) run(ctx context.Context) error {
	if err := x.openArchive(); err != nil {
		return err
	}
	x.dial = x.opts.dialer(x.catalog, x.opts.DryRun)
	x.link.dial = x.dial
	listed, err := x.listMailboxes(ctx)
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
	if err := x.askStatuses(ctx, chosen); err != nil {
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
	if !x.opts.OtherSource && !x.isSource(begun) {
		return &SourceError{Archive: begun, Asked: x.source}
	}
	// What one server said proves nothing of another, whose figures may be the same.
	if slices.ContainsFunc(x.catalog.Runs(), func(r archive.Run) bool { return !x.isSource(r.Source) }) {
		x.opts.Full = true
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

// isSource reports whether the account asked for is the one an archive was begun from. Archives of
// old have no port for the loopback.
func (x *export) isSource(begun archive.Source) bool {
	return strings.EqualFold(begun.User, x.source.User) &&
		(strings.EqualFold(begun.Host, x.source.Host) || strings.EqualFold(begun.Host, x.opts.Session.Host))
}

// sourceHost names the source's host in the archive: with the port if it is the loopback, where
// tunnels end, so that the port alone tells one server from another.
func sourceHost(o *session.Options) string {
	ip := net.ParseIP(o.Host)
	if o.Port == 0 || !strings.EqualFold(o.Host, "localhost") && (ip == nil || !ip.IsLoopback()) {
		return o.Host
	}
	return net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
}

// beginRun makes the archive if there is none, and records that a run has begun.
func (x *export) beginRun() error {
	if x.opts.DryRun {
		return nil
	}
	if x.store.w == nil {
		opts := x.opts.Archive
		w, err := archive.Create(x.opts.Dir, x.source, &opts)
		if err != nil {
			return fmt.Errorf("make archive %s: %w", x.opts.Dir, err)
		}
		x.store.w, x.catalog = w, &w.Catalog
	}
	for _, octets := range spool.NewSet(x.store.w.SpoolDir(), cap(x.store.free)) {
		x.store.free <- octets
	}
	if err := x.store.w.BeginRun(x.source); err != nil {
		return fmt.Errorf("begin run: %w", err)
	}
	x.begun = true
	x.watch.publish(&x.opts)
	return nil
}

// finish ends the run in the archive and completes the result. What came whole is committed whatever
// has ended the run, unless that was the archive itself.
func (x *export) finish(err error) {
	r := x.result
	r.Err = err
	for i, m := range x.copied {
		if m != nil {
			r.Mailboxes = append(r.Mailboxes, *m)
			r.Refused = append(r.Refused, x.refused[i]...)
		}
	}
	r.Unseen = x.store.at.MailboxesOf - len(r.Mailboxes)
	x.watch.end()
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
	x.opts.Done(*m)
	f := &m.Figures
	x.opts.Log.Info("mailbox", "name", m.Name, "listed", f.Listed, "before", f.Before, "now", f.Now, "linked", f.Linked,
		"vanished", f.Vanished, "refused", f.Refused, "left", f.Left, "unchanged", m.Unchanged, "flags", f.FlagsChanged, "gone", f.Gone, "back", f.Back,
		"octets", f.Octets, "size differs", f.SizeDiffers, "failed", m.Failed, "changed", m.Changed)
}
