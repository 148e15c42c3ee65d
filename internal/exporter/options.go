package exporter

import (
	"context"
	"log/slog"
	"time"

	"mailark/archive"
	"mailark/internal/limit"
	"mailark/internal/session"
)

// Options say what to copy and where to. Dir is needed, and host and user of Session, or Maildir; every other
// zero value means the default.
type Options struct {
	Session session.Options
	Maildir string          // the root of a Maildir tree to copy in place of an IMAP account
	Dir     string          // of the archive; made if it is missing or empty
	Archive archive.Options // Log, Now and Program are taken from here and Session where they are not set

	Include []string // patterns of package glob for mailbox names, levels joined by "/"; none: all
	Exclude []string // patterns of mailboxes to leave out; they win

	DryRun       bool // only find out what would be copied; the archive is not touched
	Full         bool // list every mailbox, also where the server's figures say that nothing has changed
	OtherSource  bool // allow an archive that was begun from another host or user
	BelieveEmpty bool // take a mailbox that has become empty for emptied, and mark its messages as gone

	Limits limit.Limits // after which the run ends, with a *limit.Error

	// Connections is how many connections are used at most, up to MaxConnections; 0: DefaultConnections. Further
	// ones than the first are made when there is enough to do for them.
	Connections int

	Log      *slog.Logger     // nil: silent
	Now      func() time.Time // nil: time.Now
	Progress func(Progress)   // called often, from one goroutine; nil: nobody is told
	Done     func(Mailbox)    // called for each mailbox when it is through, from the same goroutine; nil: nobody is told
	Retry    Retry

	count   *limit.Count  // of a run that is part of a larger one, whose limits are watched already
	tick    time.Duration // silence after which what has come is committed; 0: 20 s
	enough  int64         // octets still to come that are worth a further connection; 0: 4 MiB
	portion int64         // octets at least that are asked for at once of a mailbox several connections share; 0: 16 MiB
}

// Progress says where a run stands. The planned figures grow as mailboxes are listed.
type Progress struct {
	Mailbox         string // being copied; levels joined by "/"
	Mailboxes       int    // done
	MailboxesOf     int    // to copy in all
	Messages        int    // archived by this run
	MessagesPlanned int
	Octets          int64 // of mail archived by this run, before compression
	OctetsPlanned   int64 // after the server's own estimate
	Foreseen        bool  // the figures of STATUS are known for all mailboxes that are not listed yet
	MessagesAhead   int   // that those figures promise
}

// Retry says how patient a run is.
type Retry struct {
	// Attempts is how often a message is asked for alone, or a mailbox is opened or listed, before it
	// is given up; 0: 3.
	Attempts int
	// Losses is how many connections may be lost over one mailbox without one message copied, before
	// the rest of it is left for another run, or cannot be made before the run ends; 0: 20.
	Losses int
	// InVain is how many messages in a row may be refused or passed over before the rest of the
	// mailbox is left for another run; 0: 100.
	InVain int
	// Backoff is the pause before the first new connection. It doubles with each further one in a
	// row, up to a minute. 0: half a second.
	Backoff time.Duration
	// Wait is the pause when the server asks for patience before it lets us do anything. It doubles up
	// to ten minutes. When it asks in place of giving messages, it is the longest pause. 0: 30 s.
	Wait time.Duration
	// Sleep waits, or returns the context's error; nil: by the clock.
	Sleep func(ctx context.Context, d time.Duration) error
}

// How many connections a run uses if nothing is said, and at most.
const (
	DefaultConnections = 4
	MaxConnections     = 32
)

const (
	defaultAttempts = 3
	defaultLosses   = 20
	defaultInVain   = 100
	defaultBackoff  = 500 * time.Millisecond
	defaultWait     = 30 * time.Second
	defaultTick     = 20 * time.Second

	defaultEnough  = 4 << 20
	defaultPortion = 16 << 20

	maxBackoff = time.Minute
	maxWait    = 10 * time.Minute

	// spools is how many messages may be between the wires and the archive, beside one for each connection. Each
	// costs spool.MemoryLimit at most.
	spools = 8
	// maxAskedForPatience is how many requests for bodies in a row may be answered by a call for
	// patience before the rest of the mailbox is left.
	maxAskedForPatience = 30
	// maxLostMailboxes is how many mailboxes in a row may be left without one message copied because
	// the connection was lost again and again, before the run ends.
	maxLostMailboxes = 10
	// fewVanished is how many messages may be missing from one later look at a mailbox to be taken for vanished.
	fewVanished = 3
	// enoughShort is how many messages of a mailbox, shorter than told, are asked for twice before the
	// server's sizes count as estimates.
	enoughShort = 20
	// fewUnlisted is how many known mailboxes may be missing from one LIST to be taken for gone.
	fewUnlisted = 2
	// manyGone is how many messages may be missing from one look at a mailbox that has lost more than
	// half to be taken for gone.
	manyGone = 20
	// maxName is how many octets the name and attributes of a mailbox may have. An archive takes more.
	maxName = 64 << 10
	// renumberings is how often a mailbox is begun again because its UIDVALIDITY changed meanwhile.
	renumberings = 3
)

func (o *Options) withDefaults() Options {
	opts := *o
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	if opts.Done == nil {
		opts.Done = func(Mailbox) {}
	}
	if opts.Connections <= 0 {
		opts.Connections = DefaultConnections
	}
	opts.Connections = min(opts.Connections, MaxConnections)
	if opts.tick <= 0 {
		opts.tick = defaultTick
	}
	if opts.enough <= 0 {
		opts.enough = defaultEnough
	}
	if opts.portion <= 0 {
		opts.portion = defaultPortion
	}
	if opts.Session.Log == nil {
		opts.Session.Log = opts.Log
	}
	if opts.Archive.Log == nil {
		opts.Archive.Log = opts.Log
	}
	if opts.Archive.Now == nil {
		opts.Archive.Now = opts.Now
	}
	if opts.Archive.Program == "" {
		opts.Archive.Program = opts.Session.Program
	}
	opts.Retry = opts.Retry.withDefaults()
	return opts
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = defaultAttempts
	}
	if r.Losses <= 0 {
		r.Losses = defaultLosses
	}
	if r.InVain <= 0 {
		r.InVain = defaultInVain
	}
	if r.Backoff <= 0 {
		r.Backoff = defaultBackoff
	}
	if r.Wait <= 0 {
		r.Wait = defaultWait
	}
	if r.Sleep == nil {
		r.Sleep = sleep
	}
	return r
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// doubled is base × 2^n, at most limit.
func doubled(base time.Duration, n int, limit time.Duration) time.Duration {
	for range n {
		if base *= 2; base >= limit {
			return limit
		}
	}
	return min(base, limit)
}
