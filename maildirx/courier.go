package maildirx

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Names of the files Courier IMAP keeps: UIDs (read by ParseUIDList) and the directory of keywords in a mailbox's
// directory, the subscriptions in the directory of the whole tree.
const (
	CourierUIDFile           = "courierimapuiddb"
	CourierKeywordsDir       = "courierimapkeywords"
	CourierKeywordsList      = ":list"
	CourierSubscriptionsFile = "courierimapsubscribed"
)

// maxCourierKeywords is how many keywords a list may name.
const maxCourierKeywords = 10_000

// ParseCourierKeywords reads the list of a mailbox's keywords: first all keywords, one a line, then an
// empty line, then for each message that has any the name of its file, up to the flags, a colon, and the
// numbers of its keywords, from 0. The result has the keywords by file. Errors wrap ErrFormat, but for
// those of r. (Courier's white paper, README.imapkeywords.)
func ParseCourierKeywords(r io.Reader) (map[string][]string, error) {
	var table []string
	keywords := make(map[string][]string)
	inTable := true
	err := eachLine(r, func(_ int, line string) error {
		switch {
		case inTable && line == "":
			inTable = false
			return nil
		case inTable && len(table) == maxCourierKeywords:
			return fmt.Errorf("%w: more than %d keywords", ErrFormat, maxCourierKeywords)
		case inTable:
			table = append(table, line)
			return nil
		}
		at := strings.LastIndexByte(line, ':')
		if at <= 0 {
			return fmt.Errorf("%w: %.80q", ErrFormat, line)
		}
		var its []string
		for _, word := range strings.Fields(line[at+1:]) {
			n, err := strconv.ParseUint(word, 10, 32)
			if err != nil || n >= uint64(len(table)) {
				return fmt.Errorf("%w: keyword number %.80q", ErrFormat, word)
			}
			its = append(its, table[n])
		}
		keywords[line[:at]] = its
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", CourierKeywordsDir, err)
	}
	return keywords, nil
}

// ParseCourierSubscriptions reads a courierimapsubscribed: a mailbox a line, "INBOX" or "INBOX.Work.2016". The
// levels are decoded as those of a directory's name are.
func ParseCourierSubscriptions(r io.Reader) ([][]string, error) {
	var names [][]string
	err := eachLine(r, func(_ int, line string) error {
		if line != "" {
			name := strings.TrimPrefix(line, inbox+".")
			names = append(names, foreignPath(strings.Split(name, ".")))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", CourierSubscriptionsFile, err)
	}
	return names, nil
}
