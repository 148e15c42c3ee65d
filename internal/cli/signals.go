package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// InterruptedError is the cause of a context that a signal has ended. It is also context.Canceled.
type InterruptedError struct{ Signal os.Signal }

func (e *InterruptedError) Error() string { return fmt.Sprintf("stopped by signal: %v", e.Signal) }

// Is makes the error match context.Canceled.
func (e *InterruptedError) Is(target error) bool { return target == context.Canceled }

// withSignals returns a context that the first SIGINT, SIGTERM or SIGHUP cancels. The second one
// ends the process. A signal that was ignored when the process started (nohup) stays ignored.
// unpiped: SIGPIPE does not end the process.
func withSignals(parent context.Context, con *Console, unpiped bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	stops := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(stops, s)
		}
	}
	pipe := make(chan os.Signal, 1)
	if unpiped {
		signal.Notify(pipe, syscall.SIGPIPE)
	}
	done := make(chan struct{})
	go func() {
		select {
		case s := <-stops:
			con.Notef("stopping: finishing what is under way; press Ctrl-C again to stop at once")
			cancel(&InterruptedError{Signal: s})
		case <-done:
			return
		}
		select {
		case <-stops:
			os.Exit(ExitInterrupted) //nolint:revive // the second signal must not wait for anything
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(stops)
		signal.Stop(pipe)
		close(done)
		cancel(nil)
	}
}
