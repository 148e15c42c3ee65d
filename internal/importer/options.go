package importer

import (
	"context"
	"log/slog"
	"time"

	"mailark/internal/durable"
	"mailark/internal/limit"
	"mailark/internal/progress"
	"mailark/internal/session"
)

// Options say what to upload, and where. The zero value of every field but Archive and Target is
// right for everyday use.
type Options struct {
	Archive string          // directory of the archive; only read
	Target  session.Options // the account to fill

	Ledger  string   // file; "": <archive>/imports/<user>@<host>.jsonl
	Include []string // globs on mailbox names, levels joined by "/"; none: all
	Exclude []string // globs; they win

	IncludeGone  bool // also mail that had left the old server when it was last looked at
	RetryRefused bool // send again what the target refused in an earlier run
	DryRun       bool // only plan: nothing is sent, created or written

	Limits limit.Limits // after which the run ends, with a *limit.Error

	Settle     time.Duration // before a message in doubt counts as not stored; 0: 5 s, negative: none
	Grace      time.Duration // for answers still due when ctx is cancelled; 0: 5 s
	Reconnects int           // lost or refused connections in a row without progress; 0: 8

	Log      *slog.Logger                               // nil: silent
	Now      func() time.Time                           // nil: time.Now
	Sleep    func(context.Context, time.Duration) error // nil: a timer; returns early with ctx's error
	FS       *durable.FS                                // steps of the ledger on the disk; nil: no hook
	Progress func(Progress)                             // called now and then, never concurrently; may be nil
	Done     func(MailboxResult)                        // called for each mailbox when it is through, as Progress; may be nil
	Program  string                                     // written into the ledger, e.g. "mailark 0.1.0"
}

// Progress is where a run stands. Messages and Octets count what is settled, one way or another.
type Progress struct {
	Mailbox       string // name for people
	Messages      int
	MessagesTotal int
	Octets        int64
	OctetsTotal   int64
}

// State is the progress for people and programs.
func (p *Progress) State() progress.State {
	return progress.State{
		What:     p.Mailbox,
		Messages: int64(p.Messages), MessagesTotal: int64(p.MessagesTotal),
		Octets: p.Octets, OctetsTotal: p.OctetsTotal,
	}
}

const (
	defaultSettle     = 5 * time.Second
	defaultGrace      = 5 * time.Second
	defaultReconnects = 8

	// A window this wide keeps a line of 50 ms and 100 Mbit/s busy; what is in it must be looked for
	// when the connection is lost.
	windowMessages = 32
	windowOctets   = 16 << 20
)

func (o Options) withDefaults() Options {
	if o.Settle == 0 {
		o.Settle = defaultSettle
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Reconnects <= 0 {
		o.Reconnects = defaultReconnects
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.FS == nil {
		o.FS = durable.New(nil)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Done == nil {
		o.Done = func(MailboxResult) {}
	}
	if o.Program == "" {
		o.Program = "mailark"
	}
	if o.Target.Log == nil {
		o.Target.Log = o.Log
	}
	if o.Target.Program == "" {
		o.Target.Program = o.Program
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
