package wire

import (
	"bytes"
	"strings"
	"time"
)

// chatter is how many Options.Timeout long a server may talk without a word that answers anything:
// "* OK still here" keeps a connection, but not for ever.
const chatter = 10

// progress says that something happened that an owed answer consists of.
func (c *Conn) progress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progressed = time.Now()
}

// pause and resume take out of the reckoning the time in which the client does not read: whoever takes
// long to store a message must not find the server guilty.
func (c *Conn) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = time.Now()
}

func (c *Conn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.progressed.Before(c.paused) {
		c.progressed = c.progressed.Add(time.Since(c.paused))
	} else { // by what the client has read since
		c.progressed = time.Now()
	}
}

// takeProgress sees every line of the server.
func (c *Conn) takeProgress(l []byte, start bool) {
	if !start || isProgress(l) {
		c.progress()
	}
}

// isProgress reports whether a response can be part of an answer. Untagged status responses, requests
// to go on and news of the mailbox come at any time (RFC 9051, section 7).
func isProgress(l []byte) bool {
	words := bytes.Fields(l[:min(len(l), 64)])
	if len(words) < 2 {
		return false
	}
	switch tag := string(words[0]); {
	case tag == "+":
		return false
	case tag != "*":
		return true
	case statusKind(words[1]) != "":
		return false
	case len(words) > 2:
		switch strings.ToUpper(string(words[2])) {
		case "EXISTS", "RECENT", "EXPUNGE":
			return false
		}
	}
	return true
}

// silence gives the cause of a loss where the clock ran out; nil: it was set anew meanwhile.
func (c *Conn) silence() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait, ok := c.patienceLocked()
	switch {
	case !ok || time.Now().Before(c.deadline):
		return nil
	case c.chatterLeftLocked() <= 0:
		return &SilentError{After: chatter * c.opts.Timeout, Chatter: true}
	}
	return &SilentError{After: wait}
}

func (c *Conn) chatterLeftLocked() time.Duration {
	return time.Until(c.progressed.Add(chatter * c.opts.Timeout))
}
