package wire

import (
	"bytes"
	"slices"
	"strings"
)

// repairCode mends the response code of a status response (RFC 9051, section 7.1), so that go-imap either reads it or
// takes it for text.
//
//   - LIST-27: codes in lower case are written in capitals.
//   - AUTH-110, AUTH-120: brackets that do not hold a code ([RgBSAD…==], [Error="…"]) are text.
//   - SEL-33, APP-85: a code whose number is none is text, and FETCH-74, FETCH-75: so are odd flags mended.
func repairCode(_ *Conn, l []byte) []byte {
	line := trimEnd(l)
	at := bytes.IndexByte(line, '[')
	if at < 0 || !isStatus(l) {
		return l
	}
	head, text := cutText(string(line))
	if !strings.HasPrefix(text, "[") {
		return l
	}
	inner, after, ok := cutCode(text)
	if list, rest, found := strings.Cut(text, ")]"); found && strings.HasPrefix(strings.ToUpper(text), "[PERMANENTFLAGS (") {
		inner, after, ok = list[1:]+")", rest, true // a flag may have "]" in it
	}
	code, args, _ := strings.Cut(inner, " ")
	upper := strings.ToUpper(code)
	if ok {
		args, ok = repairArgs(upper, args)
	}
	switch {
	case !ok:
		return []byte(head + "- " + text + string(l[len(line):]))
	case args != "":
		inner = upper + " " + args
	default:
		inner = upper
	}
	if whole := "[" + inner + "]" + after; whole != text {
		return []byte(head + whole + string(l[len(line):]))
	}
	return l
}

// repairArgs mends the arguments of the codes that go-imap reads. ok is false if they make no sense.
func repairArgs(code, args string) (_ string, ok bool) {
	words := strings.Fields(args)
	switch code {
	case "UIDVALIDITY", "UIDNEXT":
		return args, isNumber([]byte(args), false)
	case "HIGHESTMODSEQ":
		return args, isNumber([]byte(args), true)
	case "APPENDUID":
		return args, len(words) == 2 && isNumber([]byte(words[0]), false) && isNumber([]byte(words[1]), false)
	case "COPYUID":
		return args, len(words) == 3 && isNumber([]byte(words[0]), false)
	case "CAPABILITY":
		return strings.Join(capabilityWords(words), " "), len(words) > 0
	case "PERMANENTFLAGS":
		list, _ := cleanFlags([]byte(args), true)
		return string(list), true
	}
	return args, true
}

// capabilityWords leaves out of a list of capabilities what is no atom (AUTH-112).
func capabilityWords(words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !isAtom([]byte(w)) })
}

// repairCapability mends the list of an untagged CAPABILITY (AUTH-112).
func repairCapability(_ *Conn, l []byte) []byte {
	list, ok := cutWord(l, "* CAPABILITY ")
	if !ok {
		return l
	}
	words := strings.Fields(string(trimEnd(list)))
	before := len(words)
	if words = capabilityWords(words); len(words) == before {
		return l
	}
	return []byte("* CAPABILITY " + strings.Join(words, " ") + "\r\n")
}

// repairFlagsLine mends the FLAGS line of SELECT (FETCH-74, FETCH-75): go-imap would end the connection, and no mailbox could
// be opened.
func repairFlagsLine(_ *Conn, l []byte) []byte {
	list, ok := cutWord(l, "* FLAGS ")
	if !ok {
		return l
	}
	list = bytes.TrimRight(trimEnd(list), " ")
	mended, changed := cleanFlags(list, true)
	if !changed {
		return l
	}
	return slices.Concat([]byte("* FLAGS "), mended, []byte("\r\n"))
}

// repairNamespace writes the delimiter "" of a namespace as NIL (LIST-01, LIST-02), and nil in capitals (LIST-27).
func repairNamespace(_ *Conn, l []byte) []byte {
	if _, ok := cutWord(l, "* NAMESPACE "); !ok {
		return l
	}
	parts := bytes.Split(l, []byte(`"`))
	for i := 0; i < len(parts); i += 2 { // outside of quotes
		parts[i] = bytes.ReplaceAll(parts[i], []byte("nil"), []byte("NIL"))
	}
	return bytes.ReplaceAll(bytes.Join(parts, []byte(`"`)), []byte(`" "")`), []byte(`" NIL)`))
}

// tagSearch names the command in an ESEARCH answer that leaves that out (RFC 4731, section 3.1, allows it; go-imap does not),
// and hides one that answers nothing.
func tagSearch(c *Conn, l []byte) []byte {
	rest, ok := cutWord(l, "* ESEARCH")
	if !ok || bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("(")) {
		return l
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var tags []string
	for tag, cmd := range c.owed {
		if cmd.name == "SEARCH" {
			tags = append(tags, tag)
		}
	}
	if len(tags) != 1 {
		return nil
	}
	return slices.Concat([]byte("* ESEARCH (TAG "), quote(tags[0]), []byte(")"), rest)
}

// repairNumberLine cuts EXISTS, RECENT and EXPUNGE down to what they are, and hides those without a number of 32 bits.
func repairNumberLine(c *Conn, l []byte) []byte {
	words := bytes.Fields(l[:min(len(l), 64)])
	if len(words) < 3 {
		return l
	}
	name := strings.ToUpper(string(words[2]))
	if string(words[0]) != "*" || name != "EXISTS" && name != "RECENT" && name != "EXPUNGE" {
		return l
	}
	if name == "EXPUNGE" {
		c.forgetNumbers()
	}
	if !isNumber(words[1], false) {
		return nil
	}
	if len(words) == 3 {
		return l
	}
	return slices.Concat([]byte("* "), words[1], []byte(" "+name+"\r\n"))
}

// cleanFlags mends a parenthesised list of flags: quotes are taken off, NIL and what was named already are left out
// (FETCH-75), and a flag that is no atom gets an alias (FETCH-74: control characters, UTF-8). `\*` stands only where the
// flags of a mailbox are told.
func cleanFlags(list []byte, permanent bool) (mended []byte, changed bool) {
	inner, open := bytes.CutPrefix(list, []byte("("))
	inner, closed := bytes.CutSuffix(inner, []byte(")"))
	if !open || !closed {
		return []byte("()"), true
	}
	seen := make(map[string]bool)
	var flags [][]byte
	for rest := inner; len(rest) > 0; {
		var flag []byte
		flag, rest = cutFlag(rest)
		flag = flagWord(flag, permanent)
		key := string(flag)
		if strings.HasPrefix(key, `\`) {
			key = strings.ToLower(key)
		}
		if len(flag) > 0 && !seen[key] {
			seen[key] = true
			flags = append(flags, flag)
		}
	}
	joined := bytes.Join(flags, []byte(" "))
	if bytes.Equal(joined, inner) {
		return list, false
	}
	return slices.Concat([]byte("("), joined, []byte(")")), true
}

// cutFlag cuts a word or a quoted string off, and the blanks behind it.
func cutFlag(l []byte) (flag, rest []byte) {
	if l[0] == '"' {
		if size := quotedLength(l); size > 0 {
			return l[1 : size-1], bytes.TrimLeft(l[size:], " ")
		}
	}
	flag, rest, _ = bytes.Cut(l, []byte(" "))
	return flag, bytes.TrimLeft(rest, " ")
}

// flagWord is the word go-imap reads for a flag, nil for none.
func flagWord(flag []byte, permanent bool) []byte {
	flag = bytes.ReplaceAll(flag, []byte(`\\`), []byte(`\`)) // quoted by the book
	name := bytes.TrimPrefix(flag, []byte(`\`))
	switch {
	case len(name) == 0, string(name) == "NIL":
		return nil
	case string(flag) == `\*`:
		if permanent {
			return flag
		}
		return nil
	case isAtom(name) && !bytes.HasPrefix(name, []byte(aliasPrefix)):
		return flag
	}
	return []byte(Alias(string(flag)))
}
