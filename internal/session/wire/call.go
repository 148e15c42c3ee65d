package wire

import (
	"context"
	"fmt"
	"time"
)

// Call is a command sent past the client. Its tagged answer and its continuation requests are taken
// off the stream; the client never sees them.
type Call struct {
	c      *Conn
	tag    string
	goOn   chan struct{} // closed by a continuation request
	done   chan struct{} // closed by the tagged answer
	answer Status        // valid when done is closed
}

// Start waits until nobody is in the middle of a command, and begins one. The caller writes the whole
// command, beginning with Tag, and calls End.
func (c *Conn) Start(ctx context.Context) (*Call, error) {
	select {
	case c.turn <- struct{}{}:
	case <-c.lost:
		return nil, c.err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.turn
		return nil, c.causeLocked()
	}
	c.tags++
	call := &Call{
		c: c, tag: fmt.Sprintf("M%d", c.tags),
		goOn: make(chan struct{}), done: make(chan struct{}),
	}
	c.calls[call.tag] = call
	c.progressed = time.Now()
	c.owed[call.tag] = command{name: "CALL"}
	return call, nil
}

// Tag is the first word of the command.
func (call *Call) Tag() string { return call.tag }

// Write sends octets of the command. An error has ended the connection.
func (call *Call) Write(p []byte) (int, error) {
	if err := call.c.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Ask sends the line that announces a synchronising literal and waits for the server's "+". go is
// false if the server gave its final answer instead: the literal must not be sent.
func (call *Call) Ask(line []byte) (goOn bool, err error) {
	call.c.mu.Lock()
	call.c.asking = call
	call.c.mu.Unlock()
	if _, err := call.Write(line); err != nil {
		return false, err
	}
	select {
	case <-call.goOn:
	case <-call.done:
	case <-call.c.lost:
	}
	// Several may be true by now. A server that said "+" waits for the literal; an answer that came
	// in the same breath as the end still counts.
	switch {
	case ended(call.goOn):
		return true, nil
	case ended(call.done):
		call.c.opts.Tape.refused()
		return false, nil
	}
	return false, call.c.err()
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// End lets others speak. The command must be complete, or the connection lost.
func (call *Call) End() { <-call.c.turn }

// Answered reports whether the tagged answer has come, without waiting.
func (call *Call) Answered() bool { return ended(call.done) }

// Wait returns the tagged answer. The error is the cause of a lost connection, or ctx's; the
// connection survives the latter, and Wait may be called again.
func (call *Call) Wait(ctx context.Context) (Status, error) {
	select {
	case <-call.done:
	case <-call.c.lost:
	case <-ctx.Done():
	}
	switch { // an answer that came in time counts, whatever else is true by now
	case ended(call.done):
		return call.answer, nil
	case ended(call.c.lost):
		return Status{}, call.c.err()
	}
	return Status{}, context.Cause(ctx)
}
