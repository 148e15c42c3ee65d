package imaptest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// sick is the message of INBOX that most quirks are about: number 7, UID 28.
const (
	sickSeq = 7
	sickUID = 28
)

func sickKey() []Key { return []Key{{"INBOX", sickUID}} }

// ifSick makes a hook that answers otherwise for one message.
func ifSick(f func(c *quirkConn, seq int, m *Message) string) func(*quirkConn, int, *Message) string {
	return func(c *quirkConn, seq int, m *Message) string {
		if c.box.Name != "INBOX" || m.UID != sickUID {
			return ""
		}
		return f(c, seq, m)
	}
}

// bodyAs makes a hook that has the body item in another form for one message.
func bodyAs(item string) func(*quirkConn, int, *Message) string {
	return ifSick(func(_ *quirkConn, seq int, m *Message) string {
		return fmt.Sprintf("* %d FETCH (UID %d %s)\r\n", seq, m.UID, item)
	})
}

func bodyQuirks() []Quirk {
	return []Quirk{
		{ID: "FETCH-44", Does: "RFC822.SIZE is an estimate (three times too large)", meta: func(_ *quirkConn, seq int, m *Message) string {
			return strings.Replace(metaLine(seq, m), fmt.Sprintf("SIZE %d", len(m.Octets)), fmt.Sprintf("SIZE %d", 3*len(m.Octets)), 1)
		}},
		{ID: "FETCH-45", Does: "RFC822.SIZE counts no CR", meta: func(_ *quirkConn, seq int, m *Message) string {
			lines := strings.Count(string(m.Octets), "\n")
			return strings.Replace(metaLine(seq, m), fmt.Sprintf("SIZE %d", len(m.Octets)), fmt.Sprintf("SIZE %d", len(m.Octets)-lines), 1)
		}},
		{ID: "FETCH-46", Does: "The body of each third message is missing from the line at the first request", body: func(c *quirkConn, seq int, m *Message) string {
			if seq%3 == 0 && c.s.times(fmt.Sprint(c.box.Name, seq)) == 1 {
				return fmt.Sprintf("* %d FETCH (UID %d FLAGS ())\r\n", seq, m.UID)
			}
			return ""
		}},
		{
			ID: "FETCH-46-SPLIT", Does: "One message comes over two FETCH lines, both with UID",
			meta: func(_ *quirkConn, seq int, m *Message) string {
				head, rest, _ := strings.Cut(metaLine(seq, m), " INTERNALDATE")
				return fmt.Sprintf("%s)\r\n* %d FETCH (UID %d INTERNALDATE%s", head, seq, m.UID, rest)
			},
			body: func(_ *quirkConn, seq int, m *Message) string {
				return fmt.Sprintf("* %d FETCH (UID %d FLAGS ())\r\n", seq, m.UID) + bodyLine(seq, m)
			},
		},
		{ID: "FETCH-47", Does: "BODY[] NIL for one message", Lost: sickKey(), body: bodyAs("BODY[] NIL")},
		{ID: "FETCH-48", Does: "BODY[] without any value for one message", Lost: sickKey(), body: bodyAs("BODY[]")},
		{ID: "FETCH-50", Does: "Literal of zero length at the first request, RFC822.SIZE is right", body: ifSick(func(c *quirkConn, seq int, m *Message) string {
			if c.s.times("zero") > 1 {
				return ""
			}
			return fmt.Sprintf("* %d FETCH (UID %d BODY[] {0}\r\n)\r\n", seq, m.UID)
		})},
		{ID: "FETCH-51", Does: `Literal shorter than announced, then ")" and OK`, Lost: sickKey(), body: ifSick(func(_ *quirkConn, seq int, m *Message) string {
			return fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", seq, m.UID, len(m.Octets)+1000, m.Octets)
		})},
		{ID: "FETCH-53", Does: "A one-line body given as a quoted string", account: func(boxes []*QuirkMailbox) []*QuirkMailbox {
			boxes[0].Messages[sickSeq-1].Octets = []byte("Subject: x")
			return boxes
		}, body: bodyAs(`BODY[] "Subject: x"`)},
		{ID: "FETCH-54", Does: "Absurd literal count {99999999999999999999} for one message", Lost: sickKey(), body: ifSick(func(_ *quirkConn, seq int, m *Message) string {
			return fmt.Sprintf("* %d FETCH (UID %d BODY[] {99999999999999999999}\r\n%s)\r\n", seq, m.UID, m.Octets)
		})},
		{ID: "FETCH-65", Does: "The answer for one UID carries another UID and its body", Lost: sickKey(), body: ifSick(func(c *quirkConn, _ int, _ *Message) string {
			return bodyLine(sickSeq+1, &c.box.list()[sickSeq])
		})},
		{ID: "FETCH-66", Does: "UID is missing from the lines that carry a body (INBOX)", body: func(c *quirkConn, seq int, m *Message) string {
			if c.box.Name != "INBOX" {
				return ""
			}
			return fmt.Sprintf("* %d FETCH (FLAGS () BODY[] %s)\r\n", seq, literal(m))
		}},
		{ID: "FETCH-78", Does: "One message always answers NO, and so does every batch with it", Lost: sickKey(), command: func(c *quirkConn, name, args string) bool {
			set, items, _ := strings.Cut(args, " ")
			if name != "UID FETCH" || c.box.Name != "INBOX" || !strings.Contains(items, "BODY.PEEK") || !setHas(set, sickUID, false) {
				return false
			}
			c.status("NO", "UNAVAILABLE", "UID FETCH Server error while fetching messages")
			return true
		}},
		{ID: "X-UIDLAST", Does: "UID comes after the body in the FETCH line (legal)", body: func(_ *quirkConn, seq int, m *Message) string {
			return fmt.Sprintf("* %d FETCH (BODY[] %s UID %d)\r\n", seq, literal(m), m.UID)
		}},
		{ID: "X-UIDLAST-LIES", Does: "… and for one message it is another one's", Lost: sickKey(), body: func(c *quirkConn, seq int, m *Message) string {
			uid := m.UID
			if c.box.Name == "INBOX" && uid == sickUID {
				uid++
			}
			return fmt.Sprintf("* %d FETCH (BODY[] %s UID %d)\r\n", seq, literal(m), uid)
		}},
	}
}

func lineQuirks() []Quirk {
	ahead := func(text string) func(*quirkConn, int, *Message) string {
		return func(_ *quirkConn, seq int, m *Message) string { return text + bodyLine(seq, m) }
	}
	return []Quirk{
		{ID: "FETCH-55", Does: "FLAGS lines, EXISTS and RECENT between the FETCH lines (no UID in them)", body: func(c *quirkConn, seq int, m *Message) string {
			return fmt.Sprintf("* %d FETCH (FLAGS (\\Seen))\r\n* %d EXISTS\r\n* 0 RECENT\r\n", seq, len(c.box.list())) + bodyLine(seq, m)
		}},
		{
			ID: "FETCH-55-UID", Does: "A FLAGS line with UID precedes each line of the same message",
			meta: func(_ *quirkConn, seq int, m *Message) string {
				return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s))\r\n", seq, m.UID, strings.Join(m.Flags, " ")) + metaLine(seq, m)
			},
			body: func(_ *quirkConn, seq int, m *Message) string {
				return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s))\r\n", seq, m.UID, strings.Join(m.Flags, " ")) + bodyLine(seq, m)
			},
		},
		{ID: "FETCH-56", Does: "EXPUNGE in the middle of FETCH: one message vanishes", Gone: sickKey(), command: func(c *quirkConn, name, args string) bool {
			if name == "UID FETCH" && strings.Contains(args, "BODY.PEEK") && c.box.Name == "INBOX" {
				if seq := c.box.expunge(sickUID); seq > 0 {
					c.say(fmt.Sprintf("* %d EXPUNGE\r\n", seq))
				}
			}
			return false
		}},
		{ID: "FETCH-58", Does: "EXPUNGE of a number above EXISTS", body: ahead("* 999 EXPUNGE\r\n")},
		{ID: "FETCH-59", Does: "FETCH for a number above EXISTS", body: ahead("* 51 FETCH (FLAGS ())\r\n")},
		{ID: "FETCH-60", Does: `"* 0 FETCH" in the stream`, body: ahead("* 0 FETCH (FLAGS (\\Seen))\r\n")},
		{ID: "FETCH-61", Does: "FETCH lines out of order", order: func(list []int) { slices.Reverse(list) }},
		{ID: "FETCH-63", Does: `"*" in a set is not understood: OK with no data`, command: func(c *quirkConn, name, args string) bool {
			set, _, _ := strings.Cut(args, " ")
			if name != "UID FETCH" || !strings.Contains(set, "*") {
				return false
			}
			c.ok("FETCH completed")
			return true
		}},
		{
			ID: "FETCH-67", Does: `Space before the closing ")" of FETCH lines`,
			meta: func(_ *quirkConn, seq int, m *Message) string {
				return strings.Replace(metaLine(seq, m), ")\r\n", " )\r\n", 1)
			},
			body: func(_ *quirkConn, seq int, m *Message) string {
				return fmt.Sprintf("* %d FETCH (UID %d BODY[] %s )\r\n", seq, m.UID, literal(m))
			},
		},
		{
			ID: "FETCH-67-DOUBLE", Does: "FETCH lines in two pairs of parentheses",
			meta: func(_ *quirkConn, seq int, m *Message) string {
				line := strings.Replace(metaLine(seq, m), "FETCH (", "FETCH ((", 1)
				return strings.TrimSuffix(line, "\r\n") + ")\r\n"
			},
			body: func(_ *quirkConn, seq int, m *Message) string {
				return fmt.Sprintf("* %d FETCH ((UID %d BODY[] %s))\r\n", seq, m.UID, literal(m))
			},
		},
		{
			ID: "FETCH-79", Does: "Lines without tag and star in the stream", body: ahead("[COPYUID 9 1 4]\r\n"),
			meta: func(_ *quirkConn, seq int, m *Message) string { return "Still working\r\n" + metaLine(seq, m) },
		},
		{
			ID: "FETCH-80", Does: "Unknown untagged words (* NOOP, * XLIST …)", body: ahead("* NOOP\r\n* XSTATE {2}\r\nab x\r\n"),
			meta: func(_ *quirkConn, seq int, m *Message) string { return "* NOOP\r\n* 3 VANISHED\r\n" + metaLine(seq, m) },
		},
	}
}

// dataAs makes a hook that writes the metadata line of INBOX another way.
func dataAs(from func(m *Message) string, to ...string) func(*quirkConn, int, *Message) string {
	return func(c *quirkConn, seq int, m *Message) string {
		if c.box.Name != "INBOX" || seq > len(to) {
			return ""
		}
		return strings.Replace(metaLine(seq, m), from(m), to[seq-1], 1)
	}
}

func dateItem(m *Message) string {
	return fmt.Sprintf(" INTERNALDATE \"%s\"", m.InternalDate.Format(quirkDate))
}

func flagged(flags ...string) func([]*QuirkMailbox) []*QuirkMailbox {
	return func(boxes []*QuirkMailbox) []*QuirkMailbox {
		boxes[0].Messages[0].Flags = flags
		return boxes
	}
}

func dataQuirks() []Quirk {
	flags := func(m *Message) string { return "FLAGS (" + strings.Join(m.Flags, " ") + ")" }
	size := func(m *Message) string { return fmt.Sprintf("SIZE %d", len(m.Octets)) }
	openedWith := func(flags string) func(*quirkConn, *QuirkMailbox) string {
		return func(_ *quirkConn, m *QuirkMailbox) string {
			return strings.Replace(openedText(m, m.Validity, m.next()), "* FLAGS (\\Seen", "* FLAGS ("+flags+" \\Seen", 1) +
				"* OK [PERMANENTFLAGS (" + flags + " \\*)] some\r\n"
		}
	}
	return []Quirk{
		{ID: "FETCH-71", Does: "INTERNALDATE with a day of one digit and no blank", meta: func(_ *quirkConn, seq int, m *Message) string {
			return strings.Replace(metaLine(seq, m), dateItem(m), fmt.Sprintf(" INTERNALDATE \"%s\"", m.InternalDate.Format("2-Jan-2006 15:04:05 -0700")), 1)
		}},
		{
			ID: "FETCH-72", Does: "INTERNALDATE nonsense in three messages, RFC 2822 in one", account: dateless(1, 2, 3),
			meta: func(c *quirkConn, seq int, m *Message) string {
				if c.box.Name != "INBOX" || seq > 4 {
					return ""
				}
				date := []string{"00-Jan-0000 00:00:00 +0000", "31-Feb-2010 25:00:00 +0900", "7-Nov-2016 18:49:23 JST", m.InternalDate.Format(time.RFC1123Z)}[seq-1]
				return strings.Replace(metaLine(seq, m), dateItem(m), ` INTERNALDATE "`+date+`"`, 1)
			},
		},
		{
			ID: "FETCH-73", Does: "INTERNALDATE missing (2 messages) or NIL (1)", account: dateless(1, 2, 3),
			meta: dataAs(dateItem, "", "", " INTERNALDATE NIL"),
		},
		{
			ID: "FETCH-74", Does: "A flag with a control byte and a raw UTF-8 flag", account: flagged(`\Seen`, "\x04Junk", "À faire"),
			meta: dataAs(flags, "FLAGS (\\Seen \x04Junk \"À faire\")"), opened: openedWith("\x04Junk À"),
		},
		{
			ID: "FETCH-75", Does: `Quoted, NIL, doubled and \* flags`, account: flagged(`\Seen`, `\Flagged`),
			meta: dataAs(flags, `FLAGS ("\Seen" NIL \SEEN \* \Flagged)`), opened: openedWith(`"\Answered" NIL \SEEN`),
		},
		{ID: "FETCH-76", Does: `\Recent repeated`, meta: dataAs(flags, `FLAGS (\Recent \Seen \Recent $Forwarded \Recent)`)},
		{ID: "FETCH-77", Does: "RFC822.SIZE -1 for three messages, MODSEQ (-1), odd items", meta: dataAs(size, "SIZE -1", "SIZE -1 MODSEQ (-1)", "SIZE NIL X-GM-LABELS (NIL \"+x\")")},
	}
}

func lossQuirks() []Quirk {
	cut := func(times int) func(*quirkConn, int, *Message) string {
		return ifSick(func(c *quirkConn, seq int, m *Message) string {
			if times > 0 && c.s.times("cut") > times {
				return ""
			}
			line := bodyLine(seq, m)
			c.say(line[:len(line)/2])
			c.hangUp()
			return noLine
		})
	}
	return []Quirk{
		{ID: "FETCH-52", Does: "The connection ends inside a literal (twice, then it works)", body: cut(2)},
		{ID: "FETCH-52-ALWAYS", Does: "The connection ends inside the literal of one message, every time", Lost: sickKey(), body: cut(0)},
		{ID: "FETCH-82", Does: `BYE "Session expired" after every 25 bodies`, body: func(c *quirkConn, _ int, _ *Message) string {
			if c.bodies++; c.bodies <= 25 {
				return ""
			}
			c.say("* BYE Session expired, please login again.\r\n")
			c.hangUp()
			return noLine
		}},
		{ID: "FETCH-83", Does: "LOGOUT is answered by BYE again and again, never by OK or close", command: func(c *quirkConn, name, _ string) bool {
			if name != "LOGOUT" {
				return false
			}
			for range 10 {
				c.say("* BYE see you\r\n" + c.tag + " BYE Logging out\r\n")
			}
			return true
		}},
	}
}
