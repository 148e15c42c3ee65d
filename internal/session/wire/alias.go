package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"mailark/maildirx"
)

const (
	// aliasPrefix begins the word that stands for octets which go-imap cannot read or would not write again as
	// they were.
	aliasPrefix = "mailark-raw-"
	// maxAlias is the longest alias in octets: go-imap sends longer names as literals.
	maxAlias = 4000
)

// Alias is the word by which go-imap knows a mailbox name or flag of any octets: an atom that says the octets, so
// that every connection makes the same of them and none has to remember it. What is too long for that gets a word
// that only stands for it.
func Alias(raw string) string {
	if len(raw) > maxAlias*3/4-len(aliasPrefix) {
		return fmt.Sprintf("%s.%x", aliasPrefix, sha256.Sum256([]byte(raw)))
	}
	return aliasPrefix + base64.RawURLEncoding.EncodeToString([]byte(raw))
}

// Unalias gives the octets an alias stands for, and every other word as it is.
func Unalias(word string) string {
	code, ok := strings.CutPrefix(word, aliasPrefix)
	if !ok {
		return word
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil {
		return word
	}
	return string(raw)
}

// Sayable reports whether go-imap reads a mailbox name as it is on the wire, and writes the very same octets when
// it opens the mailbox: INBOX, or modified UTF-7 in the one form allowed (RFC 3501, section 5.1.3) without
// control characters.
func Sayable(raw string) bool {
	if strings.EqualFold(raw, "INBOX") {
		return true
	}
	if strings.HasPrefix(raw, aliasPrefix) {
		return false // somebody's real name; it must not be taken for an alias
	}
	plain := true
	for i := 0; i < len(raw) && plain; i++ {
		plain = raw[i] >= ' ' && raw[i] <= '~' && raw[i] != '&'
	}
	if plain {
		return true
	}
	name, err := maildirx.DecodeUTF7(raw)
	return err == nil && utf8.ValidString(name) && strings.IndexFunc(name, isControl) < 0
}

// isControl recognises the characters of C0 and C1, and what stands for octets that are none.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }

// needsLiteral reports whether a mailbox name has octets that no quoted string has (RFC 9051, section 4.3), or that
// a server of 8-bit names may take for the end of one: the second octet of Shift_JIS can be a backslash.
func needsLiteral(raw string) bool {
	eightBit, special := false, false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == 0, c == '\r', c == '\n':
			return true
		case c >= 0x80:
			eightBit = true
		case c == '"', c == '\\':
			special = true
		}
	}
	return eightBit && special
}

// quote writes a quoted string.
func quote(s string) []byte {
	q := make([]byte, 0, len(s)+2)
	q = append(q, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			q = append(q, '\\')
		}
		q = append(q, s[i])
	}
	return append(q, '"')
}
