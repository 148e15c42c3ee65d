package maildirsource

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"mailark/maildirx"
)

const inbox = "INBOX"

// delimiters are those a mailbox's name may be written with: the first that is in none of its levels.
const delimiters = "/.|^!~:;,\\\x1f\x1e\x1d\x1c"

// nameAll gives each mailbox a name that no other has. Where two directories mean the same (modified UTF-7 beside
// UTF-8, say), the one that is written as Dovecot would write it gets the plain name, and the others have added how
// they are written.
func nameAll(boxes []*box) {
	order := slices.Clone(boxes)
	slices.SortStableFunc(order, func(a, b *box) int {
		if a.usual() != b.usual() {
			if a.usual() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.dir, b.dir)
	})
	taken := make(map[string]bool, len(boxes))
	for _, b := range order {
		b.spell(b.levels)
		for n := 1; taken[b.alike()]; n++ {
			levels := slices.Clone(b.levels)
			mark := fmt.Sprintf(" (written %s)", strings.Trim(fmt.Sprintf("%+q", b.dir), `"`))
			if n > 1 {
				mark += fmt.Sprintf(" (%d)", n)
			}
			levels[len(levels)-1] += strings.ReplaceAll(mark, "/", "|")
			b.spell(levels)
		}
		taken[b.alike()] = true
	}
}

// usual reports whether the directory is written as Dovecot writes it.
func (b *box) usual() bool {
	if b.dir == "." {
		return true
	}
	nested := make([]string, len(b.levels))
	for i, s := range b.levels {
		nested[i] = maildirx.EncodeUTF7(s)
	}
	return b.dir == strings.TrimPrefix(maildirx.Dir(b.levels), maildirx.Root+"/") || b.dir == strings.Join(nested, "/")
}

// spell makes name, raw name and delimiter of levels.
func (b *box) spell(levels []string) {
	texts := make([]string, len(levels))
	for i, s := range levels {
		texts[i] = asText(s)
	}
	b.delim = "/"
	for _, d := range delimiters {
		if !slices.ContainsFunc(texts, func(s string) bool { return strings.ContainsRune(s, d) }) {
			b.delim = string(d)
			break
		}
	}
	b.name = strings.Join(texts, b.delim)
	if strings.EqualFold(b.name, inbox) {
		b.name = inbox
	}
	b.raw = maildirx.EncodeUTF7(b.name)
}

// alike is the same for two names that whoever reads them takes for one.
func (b *box) alike() string { return strings.TrimRight(b.name, b.delim) }

// asText makes UTF-8 of octets that are none, taking them for ISO 8859-1.
func asText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, 0, len(s))
	for _, c := range []byte(s) {
		runes = append(runes, rune(c))
	}
	return string(runes)
}

// markSubscribed reads the subscriptions of Dovecot and Courier. known: there was at least one file of them.
func markSubscribed(root *os.Root, boxes []*box) (known bool, err error) {
	names := make(map[string]bool)
	for _, file := range []struct {
		name  string
		parse parseNames
	}{
		{maildirx.SubscriptionsFile, maildirx.ParseSubscriptions},
		{maildirx.CourierSubscriptionsFile, maildirx.ParseCourierSubscriptions},
	} {
		found, err := readNames(root, file.name, file.parse)
		if err != nil {
			return known, fmt.Errorf("read %s: %w", file.name, err)
		}
		known = known || found != nil
		for _, levels := range found {
			names[strings.Join(levels, "/")] = true
			names[strings.Join(levels, ".")] = true // of nested directories, where a dot is like any other character
		}
	}
	for _, b := range boxes {
		b.subscribed = names[strings.Join(b.levels, "/")]
	}
	return known, nil
}
