package wire

import (
	"context"
	"log/slog"
)

// takeStatus keeps what a status response says besides the client's business. It reports whether the
// answer was for a Call and is not to be shown to the client.
func (c *Conn) takeStatus(st Status) (mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = ""
	if st.Kind == "BYE" {
		st.Tag = "*" // FETCH-83: some put a tag there
	}
	switch st.Tag {
	case "+":
		if c.asking == nil {
			return false
		}
		close(c.asking.goOn)
		c.asking = nil
		return true
	case "*":
		c.takeUntagged(st)
		return false
	}
	asked, ok := c.owed[st.Tag]
	delete(c.owed, st.Tag)
	if call := c.calls[st.Tag]; call != nil {
		delete(c.calls, st.Tag)
		if c.asking == call {
			c.asking = nil
		}
		call.answer = st
		close(call.done)
		return true
	}
	if ok {
		c.answered = st.Tag
		c.takeTagged(st, asked)
	}
	if c.asking != nil && c.asking.tag == st.Tag { // refused before the literal was sent
		close(c.asking.done)
		c.asking = nil
	}
	return false
}

func (c *Conn) takeUntagged(st Status) {
	if _, first := c.owed[greetingTag]; first {
		delete(c.owed, greetingTag)
		c.seen.Greeting = st
	}
	switch {
	case st.Kind == "BYE":
		c.seen.Bye = st.String()
		level := slog.LevelInfo // the error of the loss shows it
		if c.isOwedLocked("LOGOUT") {
			level = slog.LevelDebug
		}
		c.log.Log(context.Background(), level, "the server says goodbye", "text", st.String())
	case st.isAlert():
		c.seen.Alert = st.alert()
		c.show("message from the server", st)
	case st.Kind == "NO" || st.Kind == "BAD":
		c.seen.Complaint = st.String()
		c.show("the server warns", st)
	case st.Code == "PERMANENTFLAGS":
		c.seen.PermFlags = true
	}
}

func (c *Conn) takeTagged(st Status, asked command) {
	switch asked.name {
	case "LOGIN", "AUTHENTICATE":
		c.seen.CapsSent = st.Kind == "OK" && st.Code == "CAPABILITY"
	case "SELECT", "EXAMINE":
		c.seen.ReadOnly = st.Code == "READ-ONLY"
		c.forgetNumbers()
	}
	if st.isAlert() {
		c.seen.Alert = st.alert()
		if st.Kind == "OK" {
			c.show("message from the server", st)
		}
	}
}

// show tells the user what a person on the other side wants him to know (RFC 9051, section 7.1), once
// and not with each connection again.
func (c *Conn) show(what string, st Status) {
	level, words := slog.LevelWarn, st.alert()
	if c.opts.News != nil && !c.opts.News(words) {
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, what, "text", words)
}

// isOwedLocked reports whether a command of this name has no answer yet.
func (c *Conn) isOwedLocked(name string) bool {
	for _, cmd := range c.owed {
		if cmd.name == name {
			return true
		}
	}
	return false
}

// Seen returns what the server has said so far.
func (c *Conn) Seen() Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

func (c *Conn) note(f func(*Seen)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.seen)
}
