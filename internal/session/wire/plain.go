package wire

import (
	"bytes"
	"strings"
)

// Lines in the shape that servers without quirks use are recognised here in one pass, and no rule looks at them: they are
// nearly all of what a server says, and the rules may cost 3 % of the throughput at most.

// plainBody recognises "* 1 FETCH (UID 2 BODY[] {3}".
func plainBody(l []byte) (at behind, ok bool) {
	p, ok := plainHead(l)
	if !ok || !p.word("UID ") {
		return at, false
	}
	start := p.at
	if !p.digits(9) {
		return at, false
	}
	at = behind{open: true, uid: number(p.l[start:p.at])}
	return at, at.uid != 0 && p.word(" BODY[] {") && p.digits(18) && p.rest() == "}\r\n"
}

// takePlainBody takes what plainBody recognises.
func (c *Conn) takePlainBody(l []byte) bool {
	at, ok := plainBody(l)
	if !ok || c.half != nil {
		return false
	}
	c.progress()
	c.behind = at
	c.queue = append(c.queue, l)
	return true
}

// takePlainMeta takes "* 1 FETCH (UID 2 FLAGS () INTERNALDATE "…" RFC822.SIZE 3)" with the items in any order, if all that was
// asked for is there. false: it is for the rules.
func (c *Conn) takePlainMeta(l []byte) bool {
	if c.half != nil || len(l) > maxFlag {
		return false
	}
	p, ok := plainHead(l)
	if !ok || !p.items() || p.rest() != ")\r\n" || p.uid == 0 {
		return false
	}
	if a := c.asked(); a.bodies || a.want&^p.has != 0 {
		return false
	}
	c.progress()
	c.learn(p.seq, p.uid)
	c.queue = append(c.queue, l)
	return true
}

// plain reads a line from the left.
type plain struct {
	l        []byte
	at       int
	seq, uid uint32
	has      items
}

func plainHead(l []byte) (p plain, ok bool) {
	p.l = l
	if !p.word("* ") {
		return p, false
	}
	first := p.at
	if !p.digits(9) {
		return p, false
	}
	p.seq = number(l[first:p.at])
	return p, p.word(" FETCH (")
}

func (p *plain) word(w string) bool {
	if len(p.l)-p.at < len(w) || string(p.l[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

// digits reads a number of so many digits at most.
func (p *plain) digits(most int) bool {
	first := p.at
	for p.at < len(p.l) && p.l[p.at] >= '0' && p.l[p.at] <= '9' {
		p.at++
	}
	return p.at > first && p.at-first <= most
}

func (p *plain) rest() string { return string(p.l[p.at:]) }

func (p *plain) items() bool {
	for first := true; p.at < len(p.l) && p.l[p.at] != ')'; first = false {
		if !first && !p.word(" ") {
			return false
		}
		switch {
		case p.word("UID "):
			start := p.at
			if !p.digits(9) {
				return false
			}
			p.uid = number(p.l[start:p.at])
		case p.word("FLAGS ("):
			if p.has |= itemFlags; !p.flags() {
				return false
			}
		case p.word("INTERNALDATE "):
			if p.has |= itemDate; !p.date() {
				return false
			}
		case p.word("RFC822.SIZE "):
			if p.has |= itemSize; !p.digits(18) {
				return false
			}
		case p.word("MODSEQ ("):
			if !p.digits(18) || !p.word(")") {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// flags reads a few flags that are atoms, no two alike.
func (p *plain) flags() bool {
	const most = 8
	var seen [most][]byte
	for n := 0; n < most; n++ {
		if p.word(")") {
			return true
		}
		if n > 0 && !p.word(" ") {
			return false
		}
		start := p.at
		if p.at < len(p.l) && p.l[p.at] == '\\' {
			p.at++
		}
		name := p.at
		for p.at < len(p.l) && isAtomChar(p.l[p.at]) {
			p.at++
		}
		flag := p.l[start:p.at]
		if p.at == name || len(flag) == 3 || flag[0] == aliasPrefix[0] {
			return false // none, perhaps NIL, or like an alias: the rules know
		}
		for _, other := range seen[:n] {
			if len(other) == len(flag) && bytes.EqualFold(other, flag) {
				return false
			}
		}
		seen[n] = flag
	}
	return p.word(")")
}

// date reads a date-time that is certainly one; those at the end of a month are for the rules.
func (p *plain) date() bool {
	const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
	if len(p.l)-p.at < 28 {
		return false
	}
	d := p.l[p.at : p.at+28]
	shape := d[0] == '"' && d[3] == '-' && d[7] == '-' && d[12] == ' ' && d[15] == ':' && d[18] == ':' && d[21] == ' ' && d[27] == '"'
	if !shape || d[22] != '+' && d[22] != '-' {
		return false
	}
	day, year := twoDigits(d[1:]), twoDigits(d[8:])
	if d[1] == ' ' {
		day = twoDigits([]byte{'0', d[2]})
	}
	at := strings.Index(months, string(d[4:7]))
	ok := day >= 1 && day <= 28 && year >= 1 && twoDigits(d[10:]) >= 0 && at >= 0 && at%4 == 0 &&
		isBelow(d[13:], 24) && isBelow(d[16:], 60) && isBelow(d[19:], 60) && isBelow(d[23:], 24) && isBelow(d[25:], 60)
	p.at += 28
	return ok
}

// twoDigits is the number in the first two octets, -1 for none.
func twoDigits(d []byte) int {
	if d[0] < '0' || d[0] > '9' || d[1] < '0' || d[1] > '9' {
		return -1
	}
	return int(d[0]-'0')*10 + int(d[1]-'0')
}

func isBelow(d []byte, limit int) bool {
	n := twoDigits(d)
	return n >= 0 && n < limit
}
