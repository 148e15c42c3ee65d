package wire

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"mailark/maildirx"
)

// outgoing is what goes to the server for one Write of the client.
type outgoing struct {
	octets []byte
	tag    string // of the command with a name that goes as a literal; "": there is none
	at     int    // where the literal begins
}

// takeCommands notes the commands in the client's octets, and puts the octets of mailbox names in the place of what
// go-imap makes of them.
func (c *Conn) takeCommands(p []byte) (out outgoing, err error) {
	err = c.out.Feed(p, func(l []byte, start bool) {
		if !start {
			out.octets = append(out.octets, l...)
			return
		}
		if c.lsub.Load() {
			l = listAsLSUB(l)
		}
		c.takeCommand(l)
		before, raw, after, ok := c.rawName(l)
		switch {
		case !ok:
			out.octets = append(out.octets, l...)
		case needsLiteral(raw):
			out.octets = fmt.Appendf(append(out.octets, before...), "{%d}\r\n", len(raw))
			out.at = len(out.octets)
			out.tag, _, _ = strings.Cut(string(l), " ")
			out.octets = append(append(out.octets, raw...), after...)
		default:
			out.octets = append(append(append(out.octets, before...), quote(raw)...), after...)
		}
	}, func(octets []byte) { out.octets = append(out.octets, octets...) })
	return out, err
}

// rawName finds the mailbox name in EXAMINE, SELECT and STATUS, and the octets the server knows it by where go-imap
// would not write them.
func (c *Conn) rawName(l []byte) (before []byte, raw string, after []byte, ok bool) {
	if c.opts.RawName == nil {
		return nil, "", nil, false
	}
	tag, rest, _ := bytes.Cut(l, []byte(" "))
	name, rest, _ := bytes.Cut(rest, []byte(" "))
	switch string(name) {
	case "EXAMINE", "SELECT", "STATUS":
	default:
		return nil, "", nil, false
	}
	spelt, after, ok := cutString(rest)
	if !ok {
		return nil, "", nil, false
	}
	decoded, err := maildirx.DecodeUTF7(spelt)
	if err != nil { // with IMAP4rev2, names are UTF-8 with "&-" for "&"
		decoded = strings.ReplaceAll(spelt, "&-", "&")
	}
	raw, ok = c.opts.RawName(decoded)
	return l[:len(tag)+1+len(name)+1], raw, after, ok
}

// send sends all, and waits for the server's "+" before a literal. If the server refuses the command instead, the rest
// is not sent; the client reads the refusal.
func (o *outgoing) send(c *Conn) error {
	if o.tag == "" {
		return c.send(o.octets)
	}
	call := &Call{c: c, tag: o.tag, goOn: make(chan struct{}), done: make(chan struct{})}
	goOn, err := call.Ask(o.octets[:o.at])
	if err != nil || !goOn {
		return err
	}
	return c.send(o.octets[o.at:])
}

// takeCommand notes that a command owes an answer. A line of one word is no command but a step of
// AUTHENTICATE.
func (c *Conn) takeCommand(l []byte) {
	words := strings.Fields(string(l[:min(len(l), 64)]))
	if len(words) < 2 {
		return
	}
	name := strings.ToUpper(words[1])
	if name == "UID" && len(words) > 2 {
		name = strings.ToUpper(words[2])
	}
	cmd := command{name: name}
	if name == "FETCH" {
		cmd.bodies, cmd.uid, cmd.want = bytes.Contains(l, []byte("BODY.PEEK[")), onlyUID(words), itemsIn(l)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progressed = time.Now()
	c.owed[words[0]] = cmd
	if name == "SELECT" || name == "EXAMINE" {
		c.seen.ReadOnly, c.seen.PermFlags = false, false
	}
}
