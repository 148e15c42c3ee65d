package importer

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// flagFilter chooses the flags that can be sent with a message.
type flagFilter struct {
	anyKeyword bool
	keywords   map[string]bool // in lower case
}

// newFlagFilter takes PERMANENTFLAGS, nil if the server sent none. With `\*` all keywords are taken,
// else those listed. Without PERMANENTFLAGS none is: RFC 9051, section 7.1, says all flags can be
// changed then, but servers that leave it out are those that refuse a message for a keyword.
func newFlagFilter(permanent []string) *flagFilter {
	f := &flagFilter{keywords: make(map[string]bool)}
	for _, flag := range permanent {
		switch {
		case flag == `\*`:
			f.anyKeyword = true
		case !strings.HasPrefix(flag, `\`):
			f.keywords[strings.ToLower(flag)] = true
		}
	}
	return f
}

// choice is what becomes of a message's flags.
type choice struct {
	send     []string
	keywords []string // the target does not take
	unknown  []string // are no flags IMAP knows
}

// choose sends the five system flags always, keywords as the target takes them, \Recent and every
// other name with a backslash never. bare: no keywords.
func (f *flagFilter) choose(flags []string, bare bool) choice {
	var c choice
	for _, flag := range flags {
		switch {
		case strings.EqualFold(flag, `\Recent`):
		case isSystemFlag(flag):
			c.send = append(c.send, flag)
		case !isKeyword(flag):
			c.unknown = append(c.unknown, flag)
		case bare || !f.anyKeyword && !f.keywords[strings.ToLower(flag)]:
			c.keywords = append(c.keywords, flag)
		default:
			c.send = append(c.send, flag)
		}
	}
	return c
}

// hasKeywords reports whether a choice holds keywords.
func hasKeywords(flags []string) bool { return slices.ContainsFunc(flags, isKeyword) }

// isSystemFlag knows the flags of RFC 9051, section 2.3.2, but \Recent.
func isSystemFlag(flag string) bool {
	for _, known := range []string{`\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`} {
		if strings.EqualFold(flag, known) {
			return true
		}
	}
	return false
}

// isKeyword recognises flag-keyword, an atom (RFC 9051, section 9). Old servers invent others, and
// such a word in a command would be something else.
func isKeyword(flag string) bool {
	return flag != "" && utf8.ValidString(flag) && strings.IndexFunc(flag, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	}) < 0
}

// maxNames bounds how many different names are counted: a hostile archive can hold millions.
const maxNames = 1000

// tally counts names.
func tally(counts map[string]int, names []string) map[string]int {
	for _, name := range names {
		if counts == nil {
			counts = make(map[string]int)
		}
		if _, known := counts[name]; !known && len(counts) >= maxNames {
			name = "(others)"
		}
		counts[name]++
	}
	return counts
}
