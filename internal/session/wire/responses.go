package wire

import (
	"bytes"
)

// takeLine sees every line of the server before the client does.
func (c *Conn) takeLine(l []byte, start bool) {
	if c.broken {
		return
	}
	c.record(l, start)
	if !isBounded(l, c.in.literal) {
		_ = c.Fail(ErrStringTooLong) // what is in the buffer still passes; the next read ends it
	}
	c.spend(l, start)
	if start && (c.in.within && c.takePlainBody(l) || !c.in.within && c.takePlainMeta(l)) {
		return
	}
	c.takeProgress(l, start)
	switch {
	case !start:
		c.takeRest(l)
	case c.in.within && hasMailbox(l):
		c.whole = append(beforeLiteral(l), '"')
	default:
		c.takeResponse(l)
	}
}

// takeRest takes a line that goes on after a literal.
func (c *Conn) takeRest(l []byte) {
	switch {
	case c.hidden:
		c.hidden = c.in.within
	case c.whole != nil && c.in.within:
		c.whole = append(append(append(c.whole, '"'), beforeLiteral(l)...), '"')
	case c.whole != nil:
		l = append(append(c.whole, '"'), l...)
		c.whole = nil
		c.takeResponse(l)
	case c.behind == (behind{open: true, uid: c.behind.uid}) && string(l) == ")\r\n":
		c.behind.open = false
		c.queue = append(c.queue, l)
	case c.behind.open:
		if l = c.repairTail(l); l != nil {
			c.queue = append(c.queue, l)
		}
	default:
		c.queue = append(c.queue, l)
	}
}

func (c *Conn) takeLiteral(octets []byte) {
	c.opts.Tape.heardLiteral(len(octets), c.in.Literal())
	c.progress()
	switch {
	case c.broken || c.hidden:
	case c.whole == nil:
		c.queue = append(c.queue, octets)
	case len(c.whole)+len(octets) > MaxLine:
		c.breakOff(ErrLineTooLong)
	default:
		quoted := quote(string(octets))
		c.whole = append(c.whole, quoted[1:len(quoted)-1]...)
	}
}

// hasMailbox recognises the responses whose mailbox name may be a literal (LIST-10). They are made one line.
func hasMailbox(l []byte) bool {
	for _, name := range []string{"* LIST ", "* LSUB ", "* STATUS "} {
		if _, ok := cutWord(l, name); ok {
			return true
		}
	}
	return false
}

// beforeLiteral is a copy of the line up to the announcement.
func beforeLiteral(l []byte) []byte { return bytes.Clone(l[:bytes.LastIndexByte(l, '{')]) }

// takeResponse takes the first line of a response, or the whole of one.
func (c *Conn) takeResponse(l []byte) {
	c.hidden, c.behind = false, behind{}
	if c.half != nil {
		if _, seq, ok := cutFetch(l); !ok || seq != c.half.seq || c.in.within {
			c.flushHalf()
		}
	}
	l = c.redactStatus(squeeze(l))
	if st, ok := ParseStatus(l); ok && c.takeStatus(st) {
		return
	}
	numbered := len(l) > 2 && l[0] == '*' && l[1] == ' ' && l[2] >= '0' && l[2] <= '9'
	for _, rule := range c.rules {
		if rule.numbered != numbered || c.in.within && !rule.literals {
			continue
		}
		if l = rule.fix(c, l); l == nil {
			c.hidden = c.in.within
			c.log.Debug("answer hidden from the client", "rule", rule.name)
			return
		}
	}
	c.queue = append(c.queue, l)
}

// squeeze makes one blank of those behind "*".
func squeeze(l []byte) []byte {
	if len(l) < 3 || l[0] != '*' || l[1] != '\t' && (l[1] != ' ' || l[2] != ' ' && l[2] != '\t') {
		return l
	}
	return append([]byte("* "), bytes.TrimLeft(l[1:], " \t")...)
}

// breakOff ends the connection over an answer that contradicts itself. Nothing behind it reaches the client, so that
// nobody takes the message before it for whole.
func (c *Conn) breakOff(cause error) {
	_ = c.Fail(cause)
	c.broken = true
}
