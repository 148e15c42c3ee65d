// Package limit ends a run that has moved enough mail or lasted long enough.
//
// It keeps nothing: a run that a limit has ended is one that was interrupted, and goes on when it is
// started again.
package limit

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"mailark/internal/humane"
)

// Limits bound a run. A zero field means no limit.
type Limits struct {
	Transfer int64         // octets of mail moved
	Duration time.Duration // from Watch on
}

// Error is the cause of a context that a limit has ended (exit code 8). It is also context.Canceled.
type Error struct {
	Flag  string // that set the limit
	Value string // for people
}

func (e *Error) Error() string { return fmt.Sprintf("stopped at %s %s", e.Flag, e.Value) }

// Is makes the error match context.Canceled.
func (e *Error) Is(target error) bool { return target == context.Canceled }

// Watch returns a context that ends with an *Error as its cause when a limit is reached, and the
// count of what is moved. The caller must call Stop of that.
func (l Limits) Watch(ctx context.Context) (context.Context, *Count) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &Count{limit: l.Transfer, cancel: cancel, stop: func() bool { return true }}
	if l.Duration > 0 {
		c.stop = time.AfterFunc(l.Duration, func() {
			cancel(&Error{Flag: "--max-duration", Value: duration(l.Duration)})
		}).Stop
	}
	return ctx, c
}

// duration leaves out the zeros with which time.Duration ends.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Count adds up what a run moves. It is safe for several goroutines. A nil Count knows no limit.
type Count struct {
	limit  int64
	moved  atomic.Int64
	cancel context.CancelCauseFunc
	stop   func() bool
}

// Add counts a message that has been moved whole. One message is moved whatever its size, so that
// each run comes nearer to the end.
func (c *Count) Add(octets int64) {
	if c == nil {
		return
	}
	if moved := c.moved.Add(octets); c.limit > 0 && moved >= c.limit {
		c.cancel(&Error{Flag: "--max-transfer", Value: humane.Octets(c.limit)})
	}
}

// Stop ends the watch, and the context.
func (c *Count) Stop() {
	if c == nil {
		return
	}
	c.stop()
	c.cancel(nil)
}
