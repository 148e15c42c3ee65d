package exporter

import (
	"context"
	"fmt"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// store is the side of the run that writes. It belongs to the goroutine that called Run; the
// archive is used by no other.
type store struct {
	w        *archive.Writer // nil until there is an archive, and in a dry run
	free     chan *spool.Spool
	bodies   chan body
	tick     time.Duration
	progress func(Progress)
	at       Progress

	// Of the mailbox in hand:
	key     archive.Key // UID 0
	figures *Figures
	other   bool // a known UID has turned out to have other octets
	busy    bool // something was stored since the last tick
}

// during lets op talk to the server in a goroutine of its own and meanwhile stores what op sends
// to s.bodies. After a silence it commits what has come, so that slow mail is safe too. When the archive
// fails, op is cancelled and the archive's error returned. When ctx is cancelled, what has come whole is stored.
func (s *store) during(ctx context.Context, op func(ctx context.Context) error) error {
	opCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- op(opCtx) }()
	tick := time.NewTicker(s.tick)
	defer tick.Stop()

	var failed error
	take := func(b body) {
		if failed == nil {
			if failed = s.take(context.WithoutCancel(ctx), b); failed != nil {
				cancel(failed)
			}
		}
		s.free <- b.octets
	}
	for {
		select {
		case b := <-s.bodies:
			take(b)
		case <-tick.C:
			if failed == nil {
				if failed = s.commitInSilence(); failed != nil {
					cancel(failed)
				}
			}
		case err := <-done:
			for len(s.bodies) > 0 {
				take(<-s.bodies)
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
	k := s.key
	k.UID = b.want.UID
	if known := s.w.Message(k); known != nil {
		s.other = s.other || known.Sum != archive.Sum(b.octets.Sum())
		return nil
	}
	size := b.octets.Size()
	linked, err := s.w.Add(ctx, k, b.want.InternalDate, b.want.Flags, b.octets)
	if err != nil {
		return fmt.Errorf("archive UID %d of %q: %w", k.UID, s.at.Mailbox, err)
	}
	s.busy = true
	f := s.figures
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
