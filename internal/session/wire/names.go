package wire

import (
	"bytes"
	"errors"
	"strings"
)

// maxNames is how many octets of mailbox names one listing may hold.
const maxNames = 64 << 20

// ErrTooManyNames ends a connection whose server lists names that would fill the memory.
var ErrTooManyNames = errors.New("mailbox names of more than 64 MiB")

// names gathers the mailbox names of LIST answers as they are on the wire: the client above decodes
// them, and two may decode alike. Only the reader touches it.
type names struct {
	list   []string
	octets int
	open   bool   // the name is a literal and still to come
	name   []byte // what came of it
}

// GatherNames begins to gather the names of LIST and LSUB answers.
func (c *Conn) GatherNames() { c.gather.Store(&names{}) }

// Names ends the gathering and gives the names in the order of arrival. It is to be called when the
// command is answered.
func (c *Conn) Names() []string {
	n := c.gather.Swap(nil)
	if n == nil {
		return nil
	}
	c.mu.Lock() // against a name that comes unasked
	defer c.mu.Unlock()
	return n.list
}

// takeName sees each line, takeNameLiteral each piece of a literal.
func (c *Conn) takeName(l []byte, start bool) {
	n := c.gather.Load()
	if n == nil {
		return
	}
	if n.open {
		n.open = false
		c.addName(n, string(n.name))
	}
	if !start {
		return
	}
	rest, ok := cutWord(l, "* LIST ")
	if !ok {
		if rest, ok = cutWord(l, "* LSUB "); !ok {
			return
		}
	}
	if n.name = nil; c.in.within {
		n.open = true
		return
	}
	c.addName(n, listedName(rest))
}

func (c *Conn) takeNameLiteral(octets []byte) {
	if n := c.gather.Load(); n != nil && n.open {
		n.name = append(n.name, octets...)
	}
}

func (c *Conn) addName(n *names, name string) {
	c.mu.Lock()
	n.list = append(n.list, name)
	c.mu.Unlock()
	if n.octets += len(name); n.octets > maxNames {
		_ = c.Fail(ErrTooManyNames)
	}
}

// listedName reads the mailbox of "(attributes) delimiter mailbox" (RFC 9051, section 9,
// mailbox-list) and returns "" for what it does not understand.
func listedName(l []byte) string {
	_, l, ok := bytes.Cut(l, []byte(") "))
	if !ok {
		return ""
	}
	if _, l, ok = cutString(l); !ok {
		return ""
	}
	name, _, _ := cutString(bytes.TrimPrefix(l, []byte(" ")))
	return name
}

// cutString cuts an atom or a quoted string off the front.
func cutString(l []byte) (s string, rest []byte, ok bool) {
	if len(l) == 0 || l[0] != '"' {
		end := bytes.IndexAny(l, " \r\n")
		if end <= 0 {
			return "", nil, false
		}
		return string(l[:end]), l[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(l); i++ {
		switch {
		case l[i] == '"':
			return b.String(), l[i+1:], true
		case l[i] == '\\' && i+1 < len(l):
			i++
		}
		b.WriteByte(l[i])
	}
	return "", nil, false
}
