package importer

import (
	"context"
	"errors"
	"fmt"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/limit"
	"mailark/internal/progress"
	"mailark/internal/session"
)

// run is one upload.
type run struct {
	opts   Options
	arc    *archive.Reader
	led    *ledger
	link   *link
	sum    *Summary
	place  *place
	boxes  []*box
	supply *supply
	prog   Progress
	shapes map[archive.Sum]*digest // of messages in the archive, as far as they were needed
	count  *limit.Count            // of octets uploaded
	file   *progress.File          // for those who look on

	taken  int               // messages the target has taken in this run
	streak int               // messages it has refused since it last took one
	owners map[string]string // directory of the mailbox a target mailbox is for
	halted error             // why mailboxes were given up for now, of all
}

// Run uploads an archive. The Summary is never nil; it tells what was done also when the run ended
// early, and holds the error then. Cancelling ctx ends the run in good order: what is under way has
// Options.Grace to be answered.
//
// Errors: ErrUsage, archive.ErrNotArchive, *archive.DamageError (of the catalog), ErrLedgerLocked,
// ErrLedgerOther, ErrLedgerDamaged, ErrTargetFull, ErrGaveUp, those of session.DialTarget, and the cause of ctx.
// Summary.ExitCode has the exit code.
func Run(ctx context.Context, opts Options) (*Summary, error) {
	r := &run{opts: opts.withDefaults(), sum: &Summary{}, shapes: make(map[archive.Sum]*digest)}
	defer r.close()
	ctx, r.count = opts.Limits.Watch(ctx)
	defer r.count.Stop()
	r.sum.Start, r.sum.DryRun = r.opts.Now(), r.opts.DryRun
	r.sum.Target = r.opts.Target.User + "@" + targetHost(&r.opts.Target)
	err := r.prepare(ctx)
	if err == nil && !r.opts.DryRun {
		err = r.work(ctx)
		if syncErr := r.led.Sync(); err == nil {
			err = syncErr
		}
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err) // whatever broke on the way out
	}
	err = errors.Join(err, r.account())
	r.sum.Duration = r.opts.Now().Sub(r.sum.Start)
	if r.sum.Err = err; err != nil {
		r.sum.Reason = err.Error()
	}
	return r.sum, err
}

// prepare opens archive, ledger and connection, and plans.
func (r *run) prepare(ctx context.Context) error {
	var err error
	if r.arc, err = archive.Open(r.opts.Archive, &archive.Options{Log: r.opts.Log}); err != nil {
		return err
	}
	r.sum.Source, r.sum.Damage = sourceState(&r.arc.Catalog), damageKnown(r.arc)
	all, err := choose(&r.arc.Catalog, &r.opts)
	if err != nil {
		return err
	}
	if err := r.openLedger(); err != nil {
		return err
	}
	r.sum.Ledger = r.led.path
	r.supply = newSupply(r.arc, r.newSpool())
	r.link = newLink(&r.opts)
	if err := r.look(ctx); err != nil {
		return err
	}
	r.sum.Notes = assignNames(all, r.place, r.led.targets())
	list := r.keepChosen(all)
	if n := goneMessages(&r.arc.Catalog); n > 0 && !r.opts.IncludeGone {
		r.note("%s had left the old server when it was last copied and %s left out (--include-gone takes them too)",
			humane.Plural(n, "message"), map[bool]string{true: "was", false: "were"}[n == 1])
	}
	r.sum.Mailboxes = make([]MailboxResult, len(list))
	for i, w := range list {
		r.sum.Mailboxes[i] = MailboxResult{
			Name: w.name, Target: w.to, Wanted: len(w.items), DatesDropped: w.undated,
			Created: r.opts.DryRun && !w.exists,
		}
		r.prog.MessagesTotal += len(w.items)
		r.prog.OctetsTotal += w.octets()
	}
	for i, w := range list {
		b := &box{run: r, wanted: w, res: &r.sum.Mailboxes[i]}
		b.recall()
		r.boxes = append(r.boxes, b)
	}
	r.tell()
	return nil
}

// keepChosen leaves out what is not for this run, and says so. Names that are in use stay known.
func (r *run) keepChosen(all []*wanted) []*wanted {
	r.owners = make(map[string]string)
	for dir, to := range r.led.targets() {
		r.owners[to] = dir
	}
	var list []*wanted
	for _, w := range all {
		r.owners[w.to] = w.mbox.Dir
		if w.chosen {
			list = append(list, w)
			continue
		}
		r.note("%s was left out (--mailbox, --exclude): %s", w.name, humane.Plural(len(w.items), "message"))
	}
	return list
}

func (r *run) openLedger() error {
	host := targetHost(&r.opts.Target)
	path := r.opts.Ledger
	if path == "" {
		path = ledgerPath(r.opts.Archive, r.opts.Target.User, host)
	}
	path, err := realPath(path)
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	who := identity{
		archive: r.arc.Info().ID, host: host, user: r.opts.Target.User, program: r.opts.Program,
	}
	if r.opts.DryRun {
		r.led, err = peekLedger(path, who, &r.opts)
	} else {
		r.led, err = openLedger(path, who, &r.opts)
	}
	if err == nil && !r.opts.DryRun {
		r.file = progress.Create(path+RunningSuffix, "import", r.opts.Program, r.opts.Now, r.opts.Log)
	}
	return err
}

// look learns the target's names.
func (r *run) look(ctx context.Context) error {
	return r.link.do(ctx, func(t *session.Target) error {
		list, err := t.Mailboxes(ctx)
		if err != nil {
			return err
		}
		r.place = newPlace(t.Delim(), t.Prefix(), list)
		return nil
	})
}

// work creates all mailboxes, then fills one after the other.
func (r *run) work(ctx context.Context) error {
	if err := r.createAll(ctx); err != nil {
		return err
	}
	for _, b := range r.boxes {
		if b.res.Reason != "" {
			continue
		}
		r.prog.Mailbox = b.name
		r.tell()
		if err := b.fill(ctx); err != nil {
			return errors.Join(err, r.halted)
		}
		r.opts.Done(*b.res)
	}
	return r.halted
}

// account counts what is left, lists the messages that were not uploaded, and compares the numbers
// of each mailbox with its items and with the ledger.
func (r *run) account() error {
	var errs []error
	for _, b := range r.boxes {
		b.recallRefused()
		for _, it := range b.items {
			kind := ""
			switch it.state {
			case todo, inDoubt:
				b.res.Left++
				if it.entry != nil {
					kind = "in doubt"
					b.res.InDoubt++
				}
				if kind != "" && it.text == "" {
					it.text = "it was sent, and the target has not been searched for it yet"
				}
				if kind == "" && it.noes+it.alone > 0 {
					kind = "left to do"
				}
			case refusedBy:
				kind = "refused"
			case damagedIn:
				kind = "damaged"
			case doneEarly, doneNow, foundNow:
			}
			if kind != "" {
				r.sum.Problems = append(r.sum.Problems, Problem{
					Mailbox: b.name, Key: it.msg.Key, Kind: kind, Text: it.text, Earlier: it.early,
				})
			}
		}
		if !b.res.addsUp() || !b.agreesWithLedger() {
			errs = append(errs, fmt.Errorf("mailbox %q: %w", b.name, errArithmetic))
		}
	}
	return errors.Join(errs...)
}

func (r *run) close() {
	r.file.Close()
	if r.link != nil {
		r.link.drop()
	}
	if r.led != nil {
		// What was written is durable or can be found out again; an error has been seen by Sync.
		_ = r.led.Close()
	}
	if r.supply != nil {
		_ = r.supply.stock.Close() // only held copies
	}
	if r.arc != nil {
		_ = r.arc.Close() // was only read
	}
}

// settled counts one message more.
func (r *run) settled(it *item) {
	r.prog.Messages++
	r.prog.Octets += it.msg.Size
	r.tell()
}

// tell tells how far the run is.
func (r *run) tell() {
	r.opts.Progress(r.prog)
	r.file.Tell(r.prog.State())
}

// shape is the digest of a message in the archive. Damage is an error.
func (r *run) shape(ctx context.Context, msg *archive.Message) (*digest, error) {
	if d := r.shapes[msg.Sum]; d != nil {
		return d, nil
	}
	sp := r.newSpool()
	defer func() { _ = sp.Close() }() // only held a copy
	if err := r.arc.Load(ctx, msg, sp); err != nil {
		return nil, err
	}
	d, err := digestOf(sp.Open())
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	r.shapes[msg.Sum] = d
	return d, nil
}

// damaged reports whether an error condemns a message of the archive and nothing else.
func damaged(err error) bool {
	var damage *archive.DamageError
	return errors.As(err, &damage)
}
