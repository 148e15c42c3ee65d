package wire

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// repairList makes of a LIST answer what go-imap can read: "* LIST (attributes) delimiter mailbox" (RFC 9051, section
// 7.3.1). A line that is in order stays as it is.
//
//   - LIST-01: the delimiter "" means NIL.
//   - LIST-08: a quote in a quoted name that is not escaped; the name ends with the last quote of the line.
//   - LIST-11, LIST-12, LIST-13: a name that go-imap cannot read or write again gets an alias.
//   - LIST-14: a name without quotes that is no atom goes to the end of the line.
//   - LIST-26: attributes that are none, a lone backslash, are left out.
func repairList(c *Conn, l []byte) []byte {
	rest, ok := cutWord(l, "* LIST ")
	if !ok {
		return l
	}
	listed, ok := parseListed(trimEnd(rest))
	if !ok {
		return l
	}
	c.gatherName(listed.name)
	if !listed.odd && Sayable(listed.name) {
		return l
	}
	name := listed.name
	if !Sayable(name) {
		name = Alias(name)
	}
	return slices.Concat([]byte("* LIST ("), bytes.Join(listed.attrs, []byte(" ")), []byte(") "), listed.delim,
		[]byte(" "), quote(name), []byte("\r\n"))
}

// listedName is a LIST answer.
type listedName struct {
	attrs [][]byte
	delim []byte // as go-imap reads it
	name  string // the octets
	odd   bool   // not in the form go-imap reads
}

func parseListed(l []byte) (n listedName, ok bool) {
	if l, ok = n.cutAttrs(l); !ok {
		return n, false
	}
	if l, ok = n.cutDelim(l); !ok {
		return n, false
	}
	var ext []byte
	n.name, ext, ok = cutMailbox(l)
	if !ok {
		n.name, ext, n.odd = lenientName(l), nil, true
	}
	if len(bytes.Trim(ext, " ")) > 0 && n.odd {
		return n, true // what is beside the name is not needed
	}
	return n, n.name != "" || bytes.HasPrefix(l, []byte(`""`))
}

// cutAttrs reads "(\A \B)". LIST-26 has "\" among them.
func (n *listedName) cutAttrs(l []byte) (rest []byte, ok bool) {
	if rest, ok = cutWord(l, "NIL "); ok {
		n.odd = true
		return rest, true
	}
	if len(l) == 0 || l[0] != '(' {
		return nil, false
	}
	end := bytes.Index(l, []byte(") "))
	if end < 0 {
		return nil, false
	}
	for _, word := range bytes.Split(l[1:end], []byte(" ")) {
		if isAtom(bytes.TrimPrefix(word, []byte(`\`))) {
			n.attrs = append(n.attrs, word)
		} else if end > 1 {
			n.odd = true
		}
	}
	return l[end+2:], true
}

// cutDelim reads NIL or a quoted character. LIST-01 has "", LIST-04 a backslash, which some do not escape.
func (n *listedName) cutDelim(l []byte) (rest []byte, ok bool) {
	if bytes.HasPrefix(l, []byte(`"\" `)) {
		n.delim, n.odd = []byte(`"\\"`), true
		return l[4:], true
	}
	if len(l) > 0 && l[0] != '"' {
		word, rest, ok := bytes.Cut(l, []byte(" "))
		switch {
		case !ok:
			return nil, false
		case string(word) == "NIL":
			n.delim = word
		case len(word) == 1: // not quoted
			n.delim, n.odd = quote(string(word)), true
		default:
			n.delim, n.odd = []byte("NIL"), true
		}
		return rest, true
	}
	s, rest, ok := cutString(l)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return nil, false
	}
	if r, size := utf8.DecodeRuneInString(s); size != len(s) || r == utf8.RuneError {
		n.delim, n.odd = []byte("NIL"), true
	} else {
		n.delim = quote(s)
	}
	return rest[1:], true
}

// cutMailbox reads an astring that ends the line or is followed by a parenthesised list.
func cutMailbox(l []byte) (name string, rest []byte, ok bool) {
	if len(l) > 0 && l[0] != '"' {
		end := bytes.IndexByte(l, ' ')
		if end < 0 {
			end = len(l)
		}
		if !isAString(l[:end]) {
			return "", nil, false
		}
		name, rest = string(l[:end]), l[end:]
	} else if name, rest, ok = cutString(l); !ok {
		return "", nil, false
	}
	tail := bytes.TrimPrefix(rest, []byte(" "))
	ok = len(tail) == 0 || len(tail) < len(rest) && tail[0] == '(' && tail[len(tail)-1] == ')'
	return name, rest, ok && (l[0] == '"' || isItems(tail))
}

// isItems tells items and their values, which may follow a name, from the rest of a name in parentheses (LIST-14).
func isItems(tail []byte) bool {
	if len(tail) == 0 || string(tail) == "()" {
		return true
	}
	_, value, ok := cutString(tail[1:])
	return ok && len(value) > 1 && value[0] == ' ' && (value[1] == '(' || value[1] >= '0' && value[1] <= '9') &&
		!bytes.Contains(tail, []byte(") ("))
}

// lenientName takes the rest of the line for the name.
func lenientName(l []byte) string {
	if len(l) < 2 || l[0] != '"' {
		return string(l)
	}
	end := bytes.LastIndexByte(l, '"')
	if end == 0 {
		return string(l[1:]) // the quote that should end it is missing
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(string(l[1:end]))
}

// repairMailboxStatus gives the mailbox of a STATUS answer the name it has in the answers to LIST, and lets an answer
// pass whose list has values that are no numbers: they are left out (LIST-28: unknown, not 0).
func repairMailboxStatus(_ *Conn, l []byte) []byte {
	rest, ok := cutWord(l, "* STATUS ")
	if !ok {
		return l
	}
	rest = bytes.TrimRight(trimEnd(rest), " ")
	name, list, ok := cutMailbox(rest)
	odd := !ok || len(list) == 0
	if odd {
		at := bytes.LastIndex(rest, []byte(" ("))
		if at < 0 { // no list at all
			return nil
		}
		name, list = lenientName(rest[:at]), rest[at:]
	}
	items, clean := statusItems(list)
	if !odd && clean && Sayable(name) {
		return l
	}
	if !Sayable(name) {
		name = Alias(name)
	}
	return slices.Concat([]byte("* STATUS "), quote(name), []byte(" ("), items, []byte(")\r\n"))
}

// statusItems reads " (NAME number …)" and keeps the pairs that are numbers.
func statusItems(list []byte) (items []byte, clean bool) {
	list = bytes.TrimPrefix(list, []byte(" "))
	inner, ok := bytes.CutPrefix(list, []byte("("))
	if !ok {
		return nil, false
	}
	inner, ok = bytes.CutSuffix(inner, []byte(")"))
	if !ok {
		return nil, false
	}
	words := bytes.Fields(bytes.Trim(inner, "()"))
	var kept [][]byte
	for i := 0; i+1 < len(words); i += 2 {
		long := strings.EqualFold(string(words[i]), "HIGHESTMODSEQ") || strings.EqualFold(string(words[i]), "SIZE")
		none := string(words[i+1]) == "NIL" && strings.EqualFold(string(words[i]), "APPENDLIMIT")
		if isAtom(words[i]) && (none || isNumber(words[i+1], long)) {
			kept = append(kept, words[i], words[i+1])
		}
	}
	items = bytes.Join(kept, []byte(" "))
	return items, bytes.Equal(items, inner)
}

// isNumber reports whether a word is a decimal number that fits 32 bits, or 63 if it is long.
func isNumber(word []byte, long bool) bool {
	limit := uint64(1)<<32 - 1
	if long {
		limit = 1<<63 - 1
	}
	var n uint64
	for _, d := range word {
		if d < '0' || d > '9' || n > limit/10 {
			return false
		}
		if n = n*10 + uint64(d-'0'); n > limit {
			return false
		}
	}
	return len(word) > 0
}

// isAtomChar is what go-imap takes for one: no 8-bit octet that is a control character of C1, either.
func isAtomChar(b byte) bool {
	return b > ' ' && b < 0x7f && strings.IndexByte(`(){%*"\]`, b) < 0
}

func isAtom(word []byte) bool {
	for _, b := range word {
		if !isAtomChar(b) {
			return false
		}
	}
	return len(word) > 0
}

// isAString is isAtom for mailbox names, which may have "]" (LIST-06) and, so that an alias can be made of them, octets
// beyond ASCII.
func isAString(word []byte) bool {
	for _, b := range word {
		if !isAtomChar(b) && b != ']' && b < 0x80 {
			return false
		}
	}
	return len(word) > 0
}

// trimEnd cuts the line end off.
func trimEnd(l []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(l, []byte("\n")), []byte("\r"))
}
