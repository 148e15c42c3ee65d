package imaptest

import (
	"fmt"
	"strconv"
	"strings"
)

func (c *quirkConn) fetch(args string) {
	set, items, _ := strings.Cut(args, " ")
	if c.box == nil {
		c.status("BAD", "", "nothing is selected")
		return
	}
	var list []int
	messages := c.box.list()
	for i := range messages {
		if setHas(set, messages[i].UID, i == len(messages)-1) {
			list = append(list, i)
		}
	}
	if c.q.order != nil {
		c.q.order(list)
	}
	body := strings.Contains(items, "BODY.PEEK[")
	for _, i := range list {
		m := &messages[i]
		text := ""
		switch {
		case body && c.q.body != nil:
			text = c.q.body(c, i+1, m)
		case !body && c.q.meta != nil:
			text = c.q.meta(c, i+1, m)
		}
		switch {
		case c.closed:
			return
		case text != "":
		case body:
			text = bodyLine(i+1, m)
		default:
			text = metaLine(i+1, m)
		}
		if text != noLine {
			if c.q.lower {
				head, rest, _ := strings.Cut(text, "\r\n")
				text = strings.ToLower(head) + "\r\n" + rest
			}
			c.say(text)
		}
	}
	c.ok("FETCH completed")
}

// noLine is what a hook returns for no line at all.
const noLine = "\x00"

// setHas knows numbers, ranges, and "*" for the last message.
func setHas(set string, uid uint32, last bool) bool {
	for part := range strings.SplitSeq(set, ",") {
		first, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = first
		}
		a, errA := strconv.ParseUint(first, 10, 32)
		b, errB := strconv.ParseUint(to, 10, 32)
		if to == "*" {
			if last || errA == nil && uint64(uid) >= a {
				return true
			}
			continue
		}
		if errA == nil && errB == nil && uint64(uid) >= min(a, b) && uint64(uid) <= max(a, b) {
			return true
		}
	}
	return false
}

const quirkDate = "02-Jan-2006 15:04:05 -0700"

func metaLine(seq int, m *Message) string {
	return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s) INTERNALDATE \"%s\" RFC822.SIZE %d)\r\n",
		seq, m.UID, strings.Join(m.Flags, " "), m.InternalDate.Format(quirkDate), len(m.Octets))
}

func bodyLine(seq int, m *Message) string {
	return fmt.Sprintf("* %d FETCH (UID %d BODY[] %s)\r\n", seq, m.UID, literal(m))
}

func literal(m *Message) string { return fmt.Sprintf("{%d}\r\n%s", len(m.Octets), m.Octets) }
