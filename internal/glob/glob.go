// Package glob chooses mailboxes by name. It is simpler than path.Match on purpose: mailbox names
// hold any octets, brackets and backslashes too, and none of those may need quoting.
//
// It touches no disk, so there is nothing to promise after a crash.
package glob

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// inbox is the one mailbox name that is compared without case (RFC 9051, section 5.1).
const inbox = "INBOX"

// Match reports whether a mailbox name, its levels joined by "/", fits a pattern: `*` stands for
// any octets, "/" among them, or none; `?` for one character; everything else for itself. INBOX, alone
// or as the first level, is compared without case.
func Match(pattern, name string) bool {
	p, s := pattern, name
	if underInbox(name) {
		p, s = foldInbox(pattern), foldInbox(name)
	}
	// On a mismatch only the last star needs to be tried again, one character further on.
	star, retry := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, retry = i, j
			i++
		case i < len(p) && p[i] == '?':
			_, n := utf8.DecodeRuneInString(s[j:])
			i, j = i+1, j+n
		case i < len(p) && p[i] == s[j]:
			i, j = i+1, j+1
		case star >= 0:
			_, n := utf8.DecodeRuneInString(s[retry:])
			retry += n
			i, j = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}

// underInbox reports whether the name is INBOX or has it as its first level.
func underInbox(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return strings.EqualFold(first, inbox)
}

// foldInbox writes the INBOX that a name or pattern begins with in capitals.
func foldInbox(s string) string {
	if len(s) >= len(inbox) && strings.EqualFold(s[:len(inbox)], inbox) {
		return inbox + s[len(inbox):]
	}
	return s
}

// Set is a choice of mailboxes: those that fit an include pattern, or all if there are none, and
// fit no exclude pattern. It remembers which patterns have matched something.
type Set struct {
	include, exclude []pattern
}

type pattern struct {
	text string
	used bool
}

// NewSet makes a choice of two lists of patterns.
func NewSet(include, exclude []string) *Set {
	return &Set{include: patterns(include), exclude: patterns(exclude)}
}

func patterns(texts []string) []pattern {
	list := make([]pattern, len(texts))
	for i, text := range texts {
		list[i].text = text
	}
	return list
}

// Has reports whether a mailbox is chosen.
func (s *Set) Has(name string) bool {
	included := matchAny(s.include, name) || len(s.include) == 0
	return !matchAny(s.exclude, name) && included
}

func matchAny(list []pattern, name string) bool {
	found := false
	for i := range list {
		if Match(list[i].text, name) {
			list[i].used, found = true, true
		}
	}
	return found
}

// Unused is an error that names the patterns no name given to Has has matched, or nil. A pattern
// that matches nothing is nearly always a slip of the pen, and what it was to keep out would be copied.
func (s *Set) Unused() error {
	var unused []string
	for _, list := range [][]pattern{s.include, s.exclude} {
		for _, p := range list {
			if !p.used {
				unused = append(unused, fmt.Sprintf("%q", p.text))
			}
		}
	}
	if len(unused) == 0 {
		return nil
	}
	return fmt.Errorf("no mailbox matches %s", strings.Join(unused, ", "))
}
