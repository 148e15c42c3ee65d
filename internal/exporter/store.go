package exporter

import (
	"context"
	"fmt"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// store is the side of the run that writes. It belongs to the goroutine that called Run; the
// archive is used by no other. Workers send it jobs, which it does in the order in which they were sent.
type store struct {
	w        *archive.Writer // nil until there is an archive, and in a dry run
	free     chan *spool.Spool
	jobs     chan job
	tick     time.Duration
	progress func(Progress)
	at       Progress
	busy     bool // something was stored since the last tick
}

// job is a message to store, or something else to do with the archive.
type job struct {
	body body
	do   func()
}

// body is a whole message on its way from a goroutine that reads to the one that writes. Without want only its spool
// goes back.
type body struct {
	pass   *pass
	want   *want
	octets *spool.Spool
}

// call has the archive's goroutine carry out do behind all jobs sent before, and returns its error. It always is carried
// out, also when the run is being stopped, so that what has come is accounted for. To be called from within during.
func (s *store) call(do func() error) error {
	done := make(chan error, 1)
	s.jobs <- job{do: func() { done <- do() }}
	return <-done
}

// during lets op talk to servers in goroutines of its own and meanwhile does what op sends to
// s.jobs. After a silence it commits what has come, so that slow mail is safe too. When the archive
// fails, op is cancelled and the archive's error returned. When ctx is cancelled, what has come whole is stored.
func (s *store) during(ctx context.Context, op func(ctx context.Context) error) error {
	opCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- op(opCtx) }()
	tick := time.NewTicker(s.tick)
	defer tick.Stop()

	var failed error
	fail := func(err error) {
		if failed == nil && err != nil {
			failed = err
			cancel(err)
		}
	}
	carryOut := func(j job) {
		if j.do != nil {
			j.do()
			return
		}
		if failed == nil {
			fail(s.take(context.WithoutCancel(ctx), j.body))
		}
		s.free <- j.body.octets
	}
	for {
		select {
		case j := <-s.jobs:
			carryOut(j)
		case <-tick.C:
			if failed == nil {
				fail(s.commitInSilence())
			}
		case err := <-done:
			for len(s.jobs) > 0 {
				carryOut(<-s.jobs)
			}
			if failed != nil {
				return failed
			}
			return err
		}
	}
}

// take stores one message, or compares it with the one archived under its key, and empties its spool.
func (s *store) take(ctx context.Context, b body) error {
	if b.want != nil {
		if err := s.add(ctx, b); err != nil {
			return &stopError{err}
		}
	}
	if err := b.octets.Reset(); err != nil {
		return &stopError{err}
	}
	return nil
}

func (s *store) add(ctx context.Context, b body) error {
	p := b.pass
	k := p.key
	k.UID = b.want.UID
	if known := s.w.Message(k); known != nil {
		p.other = p.other || known.Sum != archive.Sum(b.octets.Sum())
		return nil
	}
	size := b.octets.Size()
	linked, err := s.w.Add(ctx, k, b.want.InternalDate, b.want.Flags, b.octets)
	if err != nil {
		return fmt.Errorf("archive UID %d of %q: %w", k.UID, p.result.Name, err)
	}
	s.busy = true
	f := &p.result.Figures
	f.Now++
	f.Octets += size
	f.Linked += b2i(linked)
	f.SizeDiffers += b2i(size != b.want.Size && !b.want.Estimate)
	s.at.Messages++
	s.at.Octets += size
	s.progress(s.at)
	return nil
}

// commitInSilence commits if nothing was stored since the last tick. While mail comes in, the
// archive commits by itself.
func (s *store) commitInSilence() error {
	if s.w == nil {
		return nil
	}
	if s.busy {
		s.busy = false
		return nil
	}
	if err := s.w.Commit(); err != nil {
		return &stopError{err}
	}
	return nil
}
