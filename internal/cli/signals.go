package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// lastNote is how long the end waits for a note that is under way to a terminal that takes nothing.
const lastNote = time.Second

// InterruptedError is the cause of a context that a signal has ended. It is also context.Canceled.
type InterruptedError struct{ Signal os.Signal }

func (e *InterruptedError) Error() string { return fmt.Sprintf("stopped by signal: %v", e.Signal) }

// Is makes the error match context.Canceled.
func (e *InterruptedError) Is(target error) bool { return target == context.Canceled }

// withSignals returns a context that the first SIGINT, SIGTERM or SIGHUP cancels. The second one ends the process,
// unless it is a SIGHUP: of a terminal that is closed two come, from the kernel and from the shell. A
// signal that was ignored when the process started (nohup) stays ignored. SIGUSR1 makes the console
// tell the progress. unpiped: SIGPIPE does not end the process.
func withSignals(parent context.Context, con *Console, unpiped bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	stops, asks, pipe := make(chan os.Signal, 4), make(chan os.Signal, 1), make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(stops, s)
		}
	}
	if list := askSignals(); len(list) > 0 {
		signal.Notify(asks, list...)
	}
	if unpiped {
		signal.Notify(pipe, syscall.SIGPIPE)
	}
	done, noted := make(chan struct{}), make(chan struct{})
	go func() {
		stopping := false
		for {
			select {
			case s := <-stops:
				switch {
				case !stopping:
					stopping = true
					cancel(&InterruptedError{Signal: s})
					go func() { // a terminal that is stopped or dying must hold up nothing
						defer close(noted)
						con.Notef("stopping: finishing what is under way; press Ctrl-C again to stop at once")
					}()
				case s != syscall.SIGHUP:
					os.Exit(ExitInterrupted) //nolint:revive // the second signal must not wait for anything
				}
			case <-asks:
				con.tellProgress()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		if ctx.Err() != nil && parent.Err() == nil {
			select {
			case <-noted:
			case <-time.After(lastNote):
			}
		}
		// The signals stay caught: one that comes now must not kill a process that is about to tell how it ended.
		close(done)
		cancel(nil)
	}
}

// tellProgress says where the run stands, because a signal has asked.
func (c *Console) tellProgress() {
	if p := c.running.Load(); p != nil {
		go p.tell()
		return
	}
	go c.Notef("nothing to tell of yet")
}
