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
// them, and two may decode alike. Only the reader adds to it.
type names struct {
	list   []string
	octets int
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

func (c *Conn) gatherName(name string) {
	n := c.gather.Load()
	if n == nil {
		return
	}
	c.mu.Lock()
	n.list = append(n.list, name)
	c.mu.Unlock()
	if n.octets += len(name); n.octets > maxNames {
		_ = c.Fail(ErrTooManyNames)
	}
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
