package wire

import (
	"bytes"
	"slices"
	"strings"
)

// untagged are the words behind "*" that go-imap knows (RFC 9051, section 7, and its extensions).
func untagged() []string {
	return []string{
		"OK", "NO", "BAD", "BYE", "PREAUTH", "ID", "CAPABILITY", "ENABLED", "NAMESPACE", "FLAGS", "LIST", "LSUB", "STATUS", "SEARCH", "ESEARCH",
		"SORT", "THREAD", "METADATA", "QUOTA", "QUOTAROOT", "MYRIGHTS", "ACL",
	}
}

// hideStray hides what answers nothing, over which go-imap would end the connection:
//
//   - FETCH-79: a line that begins with neither "*" nor a tag. While bodies are asked for that is a sign that octets of
//     a message are taken for lines, so then only "[COPYUID …" is hidden and anything else ends the connection.
//   - FETCH-80: untagged words nobody knows (* NOOP).
//   - FETCH-83: a BYE with a tag is one without.
func hideStray(c *Conn, l []byte) []byte {
	line := trimEnd(l)
	first, rest, _ := bytes.Cut(line, []byte(" "))
	switch {
	case string(first) == "*":
		return hideUnknown(l, rest)
	case len(first) > 0 && first[0] == '+':
		return l
	case c.isTag(string(first)):
		if kind, _, _ := bytes.Cut(rest, []byte(" ")); strings.EqualFold(string(kind), "BYE") {
			return slices.Concat([]byte("* "), l[len(first)+1:])
		}
		return l
	case !bytes.HasPrefix(first, []byte("[")) && c.asked().bodies:
		return l
	}
	return nil
}

// hideUnknown hides an untagged response whose name is not known.
func hideUnknown(l, rest []byte) []byte {
	word, args, _ := bytes.Cut(rest, []byte(" "))
	if len(word) > 0 && word[0] >= '0' && word[0] <= '9' {
		name, _, _ := bytes.Cut(args, []byte(" "))
		name, _, _ = bytes.Cut(name, []byte("("))
		if !isNumber(word, false) {
			return nil
		}
		for _, known := range []string{"EXISTS", "RECENT", "EXPUNGE", "FETCH"} {
			if strings.EqualFold(string(name), known) {
				return l
			}
		}
		return nil
	}
	for _, known := range untagged() {
		if strings.EqualFold(string(word), known) {
			return l
		}
	}
	return nil
}

// isTag reports whether a word is the tag of a command that was sent, answered or not.
func (c *Conn) isTag(word string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, owed := c.owed[word]
	return owed || word != "" && c.answered == word
}
