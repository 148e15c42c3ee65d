package wire

import (
	"bytes"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// The reasons to end a connection rather than to guess what a FETCH answer means.
var (
	ErrAbsurdLiteral = errors.New("the server announces a message of an impossible size")
	ErrOtherUID      = errors.New("the server named another UID behind a message than before it")
	ErrNoUID         = errors.New("the server left out which UID a message has")
)

// An itemRule repairs one kind of item in a FETCH answer. It reports whether it changed anything.
type itemRule struct {
	name string
	fix  func(c *Conn, f *fetchLine) bool
}

// itemRules are applied to every FETCH answer that is not of the plainest shape, in this order.
func itemRules() []itemRule {
	return []itemRule{
		{"body-without-value", nilBody},
		{"no-fetch-item", dropItems},
		{"odd-flags", repairFlags},
		{"odd-date", repairDate},
		{"odd-size", repairSize},
		{"uid-first", uidFirst},
	}
}

// nilBody gives BODY[] without a value the value NIL (FETCH-48, Yandex), and writes nil in capitals (LIST-27).
func nilBody(_ *Conn, f *fetchLine) (changed bool) {
	for i := range f.items {
		v := f.items[i].value
		if f.items[i].isBody() && (v == nil || bytes.EqualFold(v, []byte("NIL")) && string(v) != "NIL") {
			f.items[i].value, changed = []byte("NIL"), true
		}
	}
	return changed
}

// dropItems leaves out what go-imap would end the connection over: items nobody asked for (X-GM-LABELS), a UID or MODSEQ
// that is none (FETCH-77: MODSEQ (-1), Zoho), items without a value.
func dropItems(_ *Conn, f *fetchLine) bool {
	before := len(f.items)
	last := before - 1
	index := -1
	f.items = slices.DeleteFunc(f.items, func(i fetchItem) bool {
		index++
		switch {
		case f.literal && index == last:
			return false
		case !i.isKnown() || i.value == nil:
			return true
		case i.is("UID"):
			return !isNumber(i.value, false) || number(i.value) == 0
		case i.is("MODSEQ"):
			inner, open := bytes.CutPrefix(i.value, []byte("("))
			inner, closed := bytes.CutSuffix(inner, []byte(")"))
			return !open || !closed || !isNumber(inner, true)
		}
		return false
	})
	return len(f.items) < before
}

// repairFlags mends the list of FLAGS; see cleanFlags. A list that is none (NIL) becomes empty.
func repairFlags(_ *Conn, f *fetchLine) bool {
	i := f.find("FLAGS")
	if i == nil || i.value == nil || f.literal && i == &f.items[len(f.items)-1] {
		return false
	}
	list, changed := cleanFlags(i.value, false)
	i.value = list
	return changed
}

// imapDate is date-time of RFC 9051, section 9, as go-imap reads it.
const imapDate = "_2-Jan-2006 15:04:05 -0700"

// repairDate writes an INTERNALDATE that is a date after all as IMAP does, and leaves out one that is none (FETCH-72:
// "00-Jan-0000 00:00:00 +0000", FETCH-73: NIL): the message then has no date.
func repairDate(c *Conn, f *fetchLine) bool {
	i := f.find("INTERNALDATE")
	if i == nil || i.value == nil || f.literal && i == &f.items[len(f.items)-1] {
		return false
	}
	text := strings.Trim(string(i.value), `"`)
	if _, err := time.Parse(imapDate, text); err == nil && i.value[0] == '"' {
		return false
	}
	if t, ok := lenientDate(strings.TrimSpace(text)); ok {
		i.value = []byte(`"` + t.Format("02-Jan-2006 15:04:05 -0700") + `"`)
		return true
	}
	c.log.Info("a date that is none is left out", "date", clean(text))
	f.items = slices.DeleteFunc(f.items, func(i fetchItem) bool { return i.is("INTERNALDATE") })
	return true
}

// lenientDate reads the forms of dates that servers mistake for date-time. All have a zone in figures, or UTC's name.
func lenientDate(text string) (time.Time, bool) {
	for _, layout := range []string{
		imapDate, "_2-Jan-2006 15:04:05 Z0700", "_2-Jan-2006 15:04:05 UTC", "_2-Jan-2006 15:04:05 GMT", "_2 Jan 2006 15:04:05 -0700",
		"_2-Jan-2006 15:04:05 -07:00", time.RFC3339, "2006-01-02 15:04:05 -0700",
	} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 0 {
			return t, true
		}
	}
	t, err := mail.ParseDate(text)
	_, offset := t.Zone()
	named := offset == 0 && !strings.Contains(text, "+0000") && !strings.Contains(text, "-0000")
	if err != nil || t.Year() <= 0 || named && !strings.Contains(text, "GMT") && !strings.Contains(text, "UT") {
		return time.Time{}, false // the offset of a zone's name would be made up
	}
	return t, true
}

// repairSize takes an RFC822.SIZE below zero, or what is no number, for unknown (FETCH-77).
func repairSize(_ *Conn, f *fetchLine) bool {
	i := f.find("RFC822.SIZE")
	if i == nil || i.value == nil || isNumber(i.value, true) || f.literal && i == &f.items[len(f.items)-1] {
		return false
	}
	i.value = []byte("0")
	return true
}

// uidFirst says that a line must be written anew because its UID comes after a body: go-imap would not know whose body
// it is (X-UIDLAST).
func uidFirst(_ *Conn, f *fetchLine) bool {
	body := slices.IndexFunc(f.items, fetchItem.isBody)
	uid := slices.IndexFunc(f.items, func(i fetchItem) bool { return i.is("UID") })
	return body >= 0 && uid > body
}

// repairFetch makes of a FETCH answer what go-imap can read. Lines of the shape that all servers use pass unread.
func repairFetch(c *Conn, l []byte) []byte {
	if at, ok := plainBody(l); ok && c.in.within {
		c.behind = at
		return l
	}
	if !isFetch(l) {
		return l
	}
	asked := c.asked()
	if !c.in.within && isAbsurdLiteral(l) {
		c.breakOff(ErrAbsurdLiteral)
		return nil
	}
	f, ok := parseFetch(l, c.in.within)
	if !ok {
		c.behind = behind{open: c.in.within}
		return l
	}
	changed := f.odd
	for _, rule := range c.items {
		changed = rule.fix(c, &f) || changed
	}
	hasBody := f.hasBody()
	if hasBody && f.uid() == 0 && asked.bodies {
		changed = c.nameUID(&f, &asked) || changed
	}
	if c.in.within {
		c.behind = behind{open: true, uid: f.uid(), lacked: c.behind.lacked, guessed: c.behind.guessed, extra: f.opened - 1}
	} else if !hasBody {
		c.learn(f.seq, f.uid())
		return c.takeMeta(l, &f, &asked, changed)
	}
	if !changed {
		return l
	}
	return f.render(head(f.seq))
}

// isAbsurdLiteral recognises the announcement of a body whose size is no number of octets (FETCH-54): nobody knows how
// much of what follows belongs to it.
func isAbsurdLiteral(l []byte) bool {
	l, ok := bytes.CutSuffix(bytes.TrimRight(trimEnd(l), " "), []byte("}"))
	at := bytes.LastIndexByte(l, '{')
	if !ok || at < 0 || !bytes.HasSuffix(bytes.TrimRight(l[:at], " "), []byte("]")) {
		return false
	}
	return len(bytes.Trim(l[at+1:], "+-0123456789")) == 0
}
