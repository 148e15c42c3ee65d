package wire

import (
	"bytes"
	"slices"
	"strings"
)

// maxItems is how many items a FETCH line may have to be looked at.
const maxItems = 24

// fetchLine is a FETCH answer (RFC 9051, section 7.5.2) in one line, up to a literal or the end.
type fetchLine struct {
	seq     uint32
	items   []fetchItem
	literal bool // the last item's value is announced
	odd     bool // not in the form go-imap reads
	opened  int  // parentheses at the beginning
	closed  int  // and at the end
}

// fetchItem is a name and its value as they are on the wire. value is nil if there is none.
type fetchItem struct{ name, value []byte }

func (i fetchItem) is(name string) bool { return strings.EqualFold(string(i.name), name) }

// isBody recognises BODY[] and parts of it.
func (i fetchItem) isBody() bool {
	return len(i.name) > 5 && strings.EqualFold(string(i.name[:5]), "BODY[")
}

// isKnown reports whether go-imap reads the item without harm.
func (i fetchItem) isKnown() bool {
	return i.isBody() || i.is("UID") || i.is("FLAGS") || i.is("INTERNALDATE") || i.is("RFC822.SIZE") || i.is("MODSEQ")
}

// isText reports whether what stands behind a literal looks more like the rest of a message than like an item.
func (i fetchItem) isText() bool {
	return !i.isKnown() && (i.value == nil || !bytes.Equal(i.name, bytes.ToUpper(i.name)))
}

func (f *fetchLine) find(name string) *fetchItem {
	for i := range f.items {
		if f.items[i].is(name) {
			return &f.items[i]
		}
	}
	return nil
}

func (f *fetchLine) uid() uint32 {
	if i := f.find("UID"); i != nil && isNumber(i.value, false) {
		return number(i.value)
	}
	return 0
}

func (f *fetchLine) hasBody() bool { return slices.ContainsFunc(f.items, fetchItem.isBody) }

// number reads what isNumber has seen.
func number(word []byte) (n uint32) {
	for _, d := range word {
		n = n*10 + uint32(d-'0')
	}
	return n
}

// parseFetch reads "* 12 FETCH (…". ok is false for what it does not understand, which is left to go-imap.
func parseFetch(l []byte, literal bool) (f fetchLine, ok bool) {
	rest, seq, ok := cutFetch(l)
	if !ok {
		return f, false
	}
	f = fetchLine{seq: seq, literal: literal}
	for len(rest) > 0 && (rest[0] == '(' || rest[0] == ' ') {
		f.opened += b2i(rest[0] == '(')
		f.odd = f.odd || f.opened > 1 || rest[0] == ' '
		rest = rest[1:]
	}
	if f.opened == 0 {
		return f, false
	}
	return f, f.parseItems(trimEnd(rest))
}

// parseTail reads what follows the literal of a body: " UID 5 FLAGS ())".
func parseTail(l []byte) (f fetchLine, ok bool) {
	if len(l) == 0 || l[0] != ' ' && l[0] != ')' {
		return f, false
	}
	rest := trimEnd(l)
	if rest[0] == ' ' {
		rest = rest[1:]
		f.odd = bytes.HasPrefix(rest, []byte(")"))
	}
	return f, f.parseItems(rest)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cutFetch cuts "* 12 FETCH " off.
func cutFetch(l []byte) (rest []byte, seq uint32, ok bool) {
	if len(l) < len("* 1 FETCH (") || l[0] != '*' || l[1] != ' ' {
		return nil, 0, false
	}
	end := bytes.IndexByte(l[2:], ' ') + 2
	if end < 3 || !isNumber(l[2:end], false) {
		return nil, 0, false
	}
	rest, ok = cutWord(l[end:], " FETCH")
	if !ok || len(rest) == 0 || rest[0] != ' ' && rest[0] != '(' {
		return nil, 0, false
	}
	return bytes.TrimPrefix(rest, []byte(" ")), number(l[2:end]), true
}

// parseItems reads items up to the closing parenthesis, or to the announcement of a literal. FETCH-67: blanks and
// parentheses more than there should be.
func (f *fetchLine) parseItems(l []byte) bool {
	for first := true; ; first = false {
		blanks := len(l) - len(bytes.TrimLeft(l, " "))
		l = l[blanks:]
		if len(l) == 0 {
			return f.literal && !first
		}
		if l[0] == ')' {
			f.odd = f.odd || blanks > 0 || len(l) > 1
			f.closed = bytes.Count(l, []byte(")"))
			return !f.literal && len(bytes.Trim(l, ") ")) == 0
		}
		f.odd = f.odd || blanks != b2i(!first)
		item, rest, ok := cutItem(l)
		if !ok || len(f.items) == maxItems {
			return false
		}
		f.odd = f.odd || item.value != nil && len(l)-len(rest) != len(item.name)+1+len(item.value)
		f.items = append(f.items, item)
		l = rest
	}
}

// cutItem cuts a name and its value off.
func cutItem(l []byte) (item fetchItem, rest []byte, ok bool) {
	end := bytes.IndexAny(l, " ()[{\"")
	if end <= 0 {
		return item, nil, false
	}
	if l[end] == '[' {
		size := bytes.IndexByte(l[end:], ']')
		if size < 0 {
			return item, nil, false
		}
		end += size + 1
		if end < len(l) && l[end] == '<' {
			size = bytes.IndexByte(l[end:], '>')
			if size < 0 {
				return item, nil, false
			}
			end += size + 1
		}
	}
	item.name = l[:end]
	if first := l[0] | 0x20; first < 'a' || first > 'z' {
		return item, nil, false
	}
	return cutValue(item, l[end:])
}

// cutValue cuts the value of an item off. FETCH-48: there is none.
func cutValue(item fetchItem, l []byte) (_ fetchItem, rest []byte, ok bool) {
	after := bytes.TrimLeft(l, " ")
	switch {
	case len(after) == 0 || after[0] == ')':
		return item, l, true
	case len(after) == len(l) && l[0] != '(' && l[0] != '"' && l[0] != '{':
		return item, nil, false
	}
	size := 0
	switch after[0] {
	case '(':
		size = listLength(after, item.is("FLAGS"))
	case '"':
		size = quotedLength(after)
	case '{':
		size = len(after) // whether it is a literal the caller knows
	default:
		if size = bytes.IndexAny(after, " )"); size < 0 {
			size = len(after)
		}
		if next := (fetchItem{name: after[:size]}); item.isBody() && next.isKnown() {
			return item, l, true
		}
	}
	if size <= 0 {
		return item, nil, false
	}
	item.value = after[:size]
	return item, after[size:], true
}

// listLength is the length of the parenthesised list at the start. Flags have no lists among them: theirs ends with
// the first parenthesis that is not quoted, or the first one.
func listLength(l []byte, flags bool) int {
	depth := 0
	for i := 0; i < len(l); i++ {
		switch l[i] {
		case '"':
			size := quotedLength(l[i:])
			if size <= 0 || flags && bytes.IndexByte(l[i:i+size], ' ') >= 0 {
				if flags {
					return bytes.IndexByte(l, ')') + 1
				}
				return 0
			}
			i += size - 1
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 || flags {
				return i + 1
			}
		}
	}
	return 0
}

func quotedLength(l []byte) int {
	for i := 1; i < len(l); i++ {
		switch l[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// render writes the items in go-imap's order, UID first, with one blank between them.
func (f *fetchLine) render(out []byte) []byte {
	slices.SortStableFunc(f.items, func(a, b fetchItem) int { return b2i(b.is("UID")) - b2i(a.is("UID")) })
	for i, item := range f.items {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(append(append(out, item.name...), ' '), item.value...)
	}
	if !f.literal {
		out = append(out, ')')
	}
	return append(out, "\r\n"...)
}
