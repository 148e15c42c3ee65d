package wire

import (
	"bytes"
	"encoding/base64"
)

// normalChallenge makes of an empty challenge of AUTHENTICATE, or one that is not base64 ("+ Username:"),
// the empty challenge that go-imap passes on (quirks.md AUTH-114). It gives up over the others and leaves
// the server waiting.
func normalChallenge(c *Conn, l []byte) []byte {
	text, ok := bytes.CutPrefix(l, []byte("+"))
	if !ok || !c.isSigningIn() {
		return l
	}
	text = bytes.TrimSpace(text)
	if _, err := base64.StdEncoding.DecodeString(string(text)); err != nil || len(text) == 0 {
		return []byte("+ =\r\n")
	}
	return append(append([]byte("+ "), text...), '\r', '\n')
}

// isSigningIn reports whether AUTHENTICATE has no answer yet.
func (c *Conn) isSigningIn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isOwedLocked("AUTHENTICATE")
}
