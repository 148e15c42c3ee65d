package wire

import (
	"bytes"
	"strings"
)

const (
	hidden = "…" // stands where a secret was
	// shortestPart is the length in octets from which on the beginning of a secret at the end of a text
	// counts as one: servers cut what they echo.
	shortestPart = 4
)

// Conceal takes words out of everything the server says from now on in plain text: servers echo a
// command they do not understand, the password in it. Empty words are passed over.
func (c *Conn) Conceal(secrets ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range secrets {
		if s != "" {
			c.secrets = append(c.secrets, s)
		}
	}
}

// Redact takes the concealed words out of a text.
func (c *Conn) Redact(text string) string {
	c.mu.Lock()
	secrets := c.secrets
	c.mu.Unlock()
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, hidden)
	}
	for _, s := range secrets {
		for n := len(s) - 1; n >= shortestPart; n-- {
			if cut, ok := strings.CutSuffix(text, s[:n]); ok {
				text = cut + hidden
				break
			}
		}
	}
	return text
}

// redactStatus takes the concealed words out of the text of a status response before anybody reads it.
// What stands in the brackets of a response code is for machines and stays (a password may well be
// "12345", and so may a UID), unless the code itself is the password. So does what follows a "+": it is
// for the sign-in to read, and nobody shows it.
func (c *Conn) redactStatus(l []byte) []byte {
	c.mu.Lock()
	nothing := len(c.secrets) == 0
	c.mu.Unlock()
	if nothing || !isStatus(l) || l[0] == '+' {
		return l
	}
	line := string(bytes.TrimRight(l, "\r\n"))
	head, text := cutText(line)
	if inner, after, ok := cutCode(text); ok {
		text = after
		if c.isSecretCode(inner) {
			inner = "X"
		}
		head += "[" + inner + "]"
	}
	text = c.Redact(text)
	return []byte(head + text + string(l[len(line):]))
}

// cutText splits a status response before its text.
func cutText(line string) (head, text string) {
	tag, rest, _ := strings.Cut(line, " ")
	kind, text, ok := strings.Cut(rest, " ")
	if !ok {
		return line, ""
	}
	return tag + " " + kind + " ", text
}

// isSecretCode reports whether the first word in the brackets is a concealed word, in whatever case.
func (c *Conn) isSecretCode(inner string) bool {
	code, _, _ := strings.Cut(inner, " ")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.secrets {
		if strings.EqualFold(s, code) {
			return true
		}
	}
	return false
}

// Forget drops what the server said besides its answers. What it said of the sign-in is no reason for
// anything that happens later.
func (c *Conn) Forget() {
	c.note(func(s *Seen) { s.Alert, s.Complaint = "", "" })
}
