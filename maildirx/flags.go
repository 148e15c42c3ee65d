package maildirx

import (
	"slices"
	"strings"

	"github.com/emersion/go-maildir"
)

// MaxKeywords is how many keywords of one mailbox can have a letter.
const MaxKeywords = 26

// forwarded is the keyword of RFC 5788 that says what Maildir's P says.
const forwarded = "$Forwarded"

type flagLetter struct {
	letter byte
	flag   string
}

// flagLetters are the system flags of RFC 9051, section 2.3.2, that have a letter, in order of it.
func flagLetters() []flagLetter {
	return []flagLetter{
		{byte(maildir.FlagDraft), `\Draft`},
		{byte(maildir.FlagFlagged), `\Flagged`},
		{byte(maildir.FlagReplied), `\Answered`},
		{byte(maildir.FlagSeen), `\Seen`},
		{byte(maildir.FlagTrashed), `\Deleted`},
	}
}

// Flags turns IMAP flags, compared without case, into letters for a file name: D F R S T for the system
// flags, and for a keyword what keywordLetter says, if that is one of a to z; nil knows no keywords. What
// has no letter is left out. The letters are in ASCII order, each once, as Dovecot writes them. P is never
// written: Dovecot serves it as no flag, so $Forwarded is a keyword like others.
func Flags(flags []string, keywordLetter func(string) (byte, bool)) string {
	var letters []byte
	for _, flag := range flags {
		if strings.HasPrefix(flag, `\`) {
			for _, known := range flagLetters() {
				if strings.EqualFold(flag, known.flag) {
					letters = append(letters, known.letter)
				}
			}
			continue
		}
		if keywordLetter == nil {
			continue
		}
		if c, ok := keywordLetter(flag); ok && isLower(c) {
			letters = append(letters, c)
		}
	}
	return sortedLetters(letters)
}

// sortedLetters keeps the letters among the octets, each once, in ASCII order.
func sortedLetters(octets []byte) string {
	var letters []byte
	for _, c := range octets {
		if isLetter(c) {
			letters = append(letters, c)
		}
	}
	slices.Sort(letters)
	return string(slices.Compact(letters))
}

// SystemFlags turns the letters D F R S T into IMAP system flags, and P, which other programs write,
// into the keyword $Forwarded. Other letters are left out.
func SystemFlags(letters string) []string {
	var flags []string
	for _, letter := range []byte(letters) {
		if letter == byte(maildir.FlagPassed) {
			flags = append(flags, forwarded)
		}
		for _, known := range flagLetters() {
			if letter == known.letter {
				flags = append(flags, known.flag)
			}
		}
	}
	return flags
}

// Keywords turns the letters a to z into keywords; table[0] is a. A letter without a keyword in the
// table is left out.
func Keywords(letters string, table []string) []string {
	var keywords []string
	for _, c := range []byte(letters) {
		if i := int(c) - 'a'; isLower(c) && i < len(table) && table[i] != "" {
			keywords = append(keywords, table[i])
		}
	}
	return keywords
}
