package wire

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
)

// An answerRule repairs one kind of answer. It is given the first line of a response and returns the
// line to be read by the client instead, or nil to hide it.
type answerRule struct {
	name     string
	numbered bool // for responses that begin with a number; else for all others
	literals bool // fit for a line that announces a literal
	fix      func(c *Conn, l []byte) []byte
}

// answerRules are applied to every response, in this order.
func answerRules() []answerRule {
	return []answerRule{
		{"number-line", true, false, repairNumberLine},
		{"absurd-flags", true, true, dropAbsurdFlags},
		{"stray", true, true, hideStray},
		{"fetch", true, true, repairFetch},

		{"stray", false, true, hideStray},
		{"id-nil", false, false, hideIdentity},
		{"response-code", false, false, repairCode},
		{"odd-capability", false, false, repairCapability},
		{"one-imap-version", false, false, hideIMAP4rev2},
		{"lsub-as-list", false, true, readLSUBAsList},
		{"list", false, false, repairList},
		{"status", false, false, repairMailboxStatus},
		{"flags", false, false, repairFlagsLine},
		{"namespace", false, false, repairNamespace},
		{"search-tag", false, false, tagSearch},
		{"odd-challenge", false, false, normalChallenge},
	}
}

// hideIdentity rewrites "* ID (…)" to "* ID NIL". go-imap's readID leaves an error in its decoder
// after any list, and every later error of the connection then reads "expected atom, got (".
func hideIdentity(c *Conn, l []byte) []byte {
	rest, ok := cutWord(l, "* ID ")
	if !ok {
		return l
	}
	identity := clean(c.Redact(string(rest)))
	c.note(func(s *Seen) { s.Identity = identity })
	return []byte("* ID NIL\r\n")
}

// hideIMAP4rev2 takes IMAP4rev2 out of a capability list that has IMAP4rev1 too, and puts in the
// extensions it stands for. Such a server speaks rev1 until ENABLE (RFC 9051, appendix A), but go-imap
// would send mailbox names in UTF-8 at once.
func hideIMAP4rev2(_ *Conn, l []byte) []byte {
	_, list := cutWord(l, "* CAPABILITY ")
	list = list || isStatus(l) && bytes.Contains(l, []byte("[CAPABILITY "))
	if !list || !bytes.Contains(bytes.ToUpper(l), []byte("IMAP4REV1")) {
		return l
	}
	const included = "NAMESPACE UIDPLUS LIST-EXTENDED LIST-STATUS ESEARCH SPECIAL-USE UNSELECT ENABLE LITERAL-"
	return regexp.MustCompile(`(?i)\bIMAP4rev2\b`).ReplaceAll(l, []byte(included))
}

// readLSUBAsList lets go-imap, which knows no LSUB, read its answers (RFC 3501, section 7.2.3). The
// command itself is made by listAsLSUB.
func readLSUBAsList(_ *Conn, l []byte) []byte {
	if rest, ok := cutWord(l, "* LSUB "); ok {
		return append([]byte("* LIST "), rest...)
	}
	return l
}

// maxString is the longest literal in octets that is taken where go-imap collects it in memory.
const maxString = 1 << 20

// ErrStringTooLong ends a connection whose server announces a string that would fill the memory.
var ErrStringTooLong = errors.New("string longer than 1 MiB where no message is due")

// isBounded reports whether a line announces a short literal, or that of a body, which is streamed.
func isBounded(l []byte, literal int64) bool {
	if literal <= maxString {
		return true
	}
	body := regexp.MustCompile(`(?i)[ (]BODY\[[^]"]*\](<\d+>)? \{\d+\} ?\r?\n$`)
	return body.Match(l) && bytes.Count(l, []byte(`"`))%2 == 0
}

// isFetch recognises "* 12 FETCH (".
func isFetch(l []byte) bool {
	words := bytes.SplitN(l, []byte(" "), 4)
	return len(words) == 4 && string(words[0]) == "*" && strings.EqualFold(string(words[2]), "FETCH")
}

// listAsLSUB turns the client's LIST (SUBSCRIBED) into LSUB for a server without LIST-EXTENDED.
func listAsLSUB(l []byte) []byte {
	tag, _, ok := bytes.Cut(l, []byte(` LIST (SUBSCRIBED) "" "*"`))
	if !ok {
		return l
	}
	return append(bytes.Clone(tag), ` LSUB "" "*"`+"\r\n"...)
}

// cutWord cuts a prefix without regard to case.
func cutWord(l []byte, prefix string) (rest []byte, ok bool) {
	if len(l) < len(prefix) || !strings.EqualFold(string(l[:len(prefix)]), prefix) {
		return nil, false
	}
	return l[len(prefix):], true
}
