package imaptest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quirks are the odd ways that can meet an exporter, in the order of their ids.
func Quirks() []Quirk {
	all := slices.Concat(listQuirks(), nameQuirks(), selectQuirks(), bodyQuirks(), lineQuirks(), dataQuirks(), lossQuirks(), enterQuirks())
	slices.SortStableFunc(all, func(a, b Quirk) int {
		groupA, nA := a.place()
		groupB, nB := b.place()
		return cmp.Or(groupA-groupB, nA-nB)
	})
	return all
}

// place splits an id into its group and its number in quirks.md; those without come last.
func (q *Quirk) place() (group, number int) {
	name, rest, _ := strings.Cut(q.ID, "-")
	digits, _, _ := strings.Cut(rest, "-")
	number, err := strconv.Atoi(digits)
	if err != nil {
		number = math.MaxInt
	}
	return slices.Index([]string{"LIST", "SEL", "FETCH", "X", "AUTH"}, name), number
}

// named renames the mailboxes. old and raw alternate with what people read: old name, raw name, name to be shown.
func named(renames ...string) func([]*QuirkMailbox) []*QuirkMailbox {
	return func(boxes []*QuirkMailbox) []*QuirkMailbox {
		for i := 0; i < len(renames); i += 3 {
			for _, m := range boxes {
				if m.Name == renames[i] {
					m.Raw, m.Name = renames[i+1], renames[i+2]
				}
			}
		}
		return boxes
	}
}

// listedAs gives some mailboxes a LIST answer of their own, by their raw names.
func listedAs(answers map[string]string) func(*QuirkMailbox) string {
	return func(m *QuirkMailbox) string { return answers[m.Raw] }
}

func listQuirks() []Quirk {
	all := func(form string) func(*QuirkMailbox) string {
		return func(m *QuirkMailbox) string { return fmt.Sprintf(form, m.Raw) }
	}
	flat := named("Archive/2021", "Archive-2021", "Archive-2021")
	return []Quirk{
		{ID: "LIST-01", Does: "Hierarchy delimiter is NIL", account: flat, list: all(`() NIL "%s"`)},
		{ID: "LIST-01-EMPTY", Does: `Hierarchy delimiter is the empty string ""`, account: flat, list: all(`() "" "%s"`)},
		{ID: "LIST-02", Does: "The namespace has no delimiter", space: `* NAMESPACE (("" "")) NIL NIL`},
		{
			ID: "LIST-03", Does: `Personal namespace is "INBOX.", everything hangs under it`, space: `* NAMESPACE (("INBOX." ".")) (("user." ".")) (("" "."))`,
			account: named("Sent", "INBOX.Sent", "INBOX/Sent", "Archive/2021", "INBOX.Archive.2021", "INBOX/Archive/2021", "Drafts", "INBOX.Drafts",
				"INBOX/Drafts", "お知らせ", "INBOX.&MEp35TCJMFs-", "INBOX/お知らせ", "Empty", "INBOX.Empty", "INBOX/Empty"),
			list: all(`() "." "%s"`),
		},
		{
			ID: "LIST-04", Does: "Hierarchy delimiter is a backslash, in quoted strings escaped", account: named("Archive/2021", `Archive\2021`, "Archive/2021"),
			list: func(m *QuirkMailbox) string { return `() "\\" "` + strings.ReplaceAll(m.Raw, `\`, `\\`) + `"` },
		},
		{ID: "LIST-04-BARE", Does: "Hierarchy delimiter is a backslash, not escaped", account: flat, list: all(`() "\" "%s"`)},
		{ID: "LIST-05", Does: "INBOX is spelt Inbox", list: listedAs(map[string]string{"INBOX": `() "/" Inbox`})},
		{
			ID: "LIST-06", Does: "Brackets in unquoted mailbox names", account: named("Sent", "[Sent]", "[Sent]", "Drafts", "bar[baz", "bar[baz"),
			list: listedAs(map[string]string{"[Sent]": `() "/" [Sent]`, "bar[baz": `() "/" bar[baz`}),
		},
		{ID: "LIST-07", Does: "Quote and backslash in a name, escaped", account: named("Sent", `a"b\c`, `a"b\c`)},
		{
			ID: "LIST-08", Does: "A quote inside a quoted name is not escaped", account: named("Sent", `my "new" mail`, `my "new" mail`),
			list: listedAs(map[string]string{`my "new" mail`: `() "/" "my "new" mail"`}),
		},
		{ID: "LIST-09", Does: "Wildcards in names", account: named("Sent", "*_%", "*_%")},
		{
			ID: "LIST-10", Does: "Mailbox names sent as literals", account: named("Sent", `a"b*c`, `a"b*c`),
			list: func(m *QuirkMailbox) string { return fmt.Sprintf("() \"/\" {%d}\r\n%s", len(m.Raw), m.Raw) },
		},
		{
			ID: "LIST-20", Does: `\Noselect on a mailbox that can be selected and holds mail`,
			list: listedAs(map[string]string{"Archive/2021": `(\Noselect) "/" "Archive/2021"`}),
		},
		{ID: "LIST-21", Does: "Wrong child flags", list: all(`(\HasNoChildren \Noinferiors) "/" "%s"`)},
		{ID: "LIST-22", Does: "The same mailbox is listed twice", list: listedAs(map[string]string{"Sent": "() \"/\" Sent\r\n* LIST () \"/\" \"Sent\""})},
		{
			ID: "LIST-25", Does: `LIST "" "" is refused, and there is no NAMESPACE`, caps: "IMAP4rev1 AUTH=PLAIN",
			command: func(c *quirkConn, name, args string) bool {
				if name != "LIST" || args != `"" ""` {
					return false
				}
				c.status("BAD", "", "Error in IMAP command LIST: Invalid reference")
				return true
			},
		},
		{ID: "LIST-26", Does: `Malformed attribute: (\HasNoChildren \)`, list: all(`(\HasNoChildren \) "/" "%s"`)},
		{ID: "LIST-27", Does: "Response names, item names and codes in lower case", lower: true},
		{
			ID: "LIST-29", Does: "LIST-EXTENDED, SPECIAL-USE and LIST-STATUS are offered but answered BAD", caps: "IMAP4rev1 AUTH=PLAIN LIST-EXTENDED SPECIAL-USE LIST-STATUS",
			command: func(c *quirkConn, name, args string) bool {
				if name != "LIST" || !strings.Contains(args, "RETURN") && !strings.HasPrefix(args, "(") {
					return false
				}
				c.status("BAD", "", "expected mailbox")
				return true
			},
		},
	}
}

func nameQuirks() []Quirk {
	return []Quirk{
		{
			ID: "LIST-32", Does: "Names that differ only in case or Unicode form",
			account: named("Sent", "trash", "trash", "Drafts", "Trash", "Trash", "Archive/2021", "caf&AOk-", "caf\u00e9", "お知らせ", "cafe&AwE-", "cafe\u0301"),
		},
		{
			ID: "LIST-300", Does: "A mailbox 300 levels deep",
			account: named("Sent", strings.Repeat("d/", 299)+"d", strings.Repeat("d/", 299)+"d"),
		},
		{ID: "LIST-11", Does: "Raw UTF-8 mailbox name; modified UTF-7 is not known", account: named("お知らせ", "お知らせ", "お知らせ")},
		{
			ID: "LIST-11-BOTH", Does: "The same name once in raw UTF-8 and once in modified UTF-7",
			account: named("Sent", "お知らせ", `お知らせ (written "\u304a\u77e5\u3089\u305b")`),
		},
		{
			ID: "LIST-11-SJIS", Does: "Raw Shift_JIS mailbox names, one of which ends in the octet of a backslash",
			account: named("お知らせ", "\x82\xa8\x92m\x82\xe7\x82\xb9", "お知らせ", "Sent", "\x94\xad\x95\x5c", "発表"),
			list:    func(m *QuirkMailbox) string { return `() "/" "` + m.Raw + `"` },
		},
		{ID: "LIST-12", Does: `Broken modified UTF-7 ("R&D", "A&B-")`, account: named("Sent", "R&D", "R&D", "Drafts", "A&B-", "A&B-")},
		{
			ID: "LIST-13", Does: `Modified UTF-7 that hides "/", ".." and NUL`,
			account: named("Sent", "a&AC8-b", "a&AC8-b", "Drafts", "&AC4ALg-/x", "&AC4ALg-/x", "お知らせ", "n&AAA-l", "n&AAA-l"),
		},
		{ID: "LIST-13-DOTS", Does: `Names that lead out of a directory: "../../x", "."`, account: named("Sent", "../../x", "../../x", "Drafts", ".", ".")},
		{
			ID: "LIST-14", Does: "TAB in an unquoted mailbox name", account: named("Sent", "foo\tbar", "foo=09bar"),
			list: listedAs(map[string]string{"foo\tbar": "() \"/\" foo\tbar"}),
		},
		{ID: "LIST-15", Does: "Names with blanks before and behind", account: named("Sent", " Sent ", " Sent ")},
		{
			ID: "LIST-16", Does: "One mailbox kills the session on EXAMINE", account: named("Sent", "Reports ", "Reports "), Closed: []string{"Reports "},
			command: func(c *quirkConn, name, args string) bool {
				if name != "EXAMINE" || !strings.HasPrefix(args, `"Reports "`) {
					return false
				}
				c.hangUp()
				return true
			},
		},
		{ID: "LIST-18", Does: "A delimiter at the end of a name", account: named("Sent", "Sent/", "Sent")},
		{
			ID: "LIST-19", Does: `A \Noselect level that cannot be opened`,
			account: func(boxes []*QuirkMailbox) []*QuirkMailbox {
				return append(boxes, &QuirkMailbox{Name: "[Gmail]", Raw: "[Gmail]", Attrs: `\Noselect \HasChildren`})
			},
			command: func(c *quirkConn, name, args string) bool {
				if name != "EXAMINE" || !strings.HasPrefix(args, `"[Gmail]"`) {
					return false
				}
				c.status("NO", "NONEXISTENT", "Unknown Mailbox: [Gmail] (Failure)")
				return true
			},
		},
	}
}

func selectQuirks() []Quirk {
	figures := func(validity, next uint32) func(*quirkConn, *QuirkMailbox) string {
		return func(_ *quirkConn, m *QuirkMailbox) string { return openedText(m, validity, next) }
	}
	return []Quirk{
		{ID: "SEL-33", Does: "UIDNEXT is 0", opened: func(_ *quirkConn, m *QuirkMailbox) string { return openedText(m, m.Validity, 0) }},
		{ID: "SEL-33-NIL", Does: "UIDNEXT is NIL", opened: func(_ *quirkConn, m *QuirkMailbox) string {
			return strings.Replace(openedText(m, m.Validity, 0), "UIDNEXT 0", "UIDNEXT NIL", 1)
		}},
		{ID: "SEL-34", Does: "UIDVALIDITY is 0", opened: figures(0, 99)},
		{ID: "SEL-36", Does: "UIDVALIDITY changes on every EXAMINE, UIDNOTSTICKY", opened: func(c *quirkConn, m *QuirkMailbox) string {
			validity := uint32(1_600_000_000 + c.s.times("EXAMINE")) //nolint:gosec // G115: a few dozen
			return openedText(m, validity, 99) + "* NO [UIDNOTSTICKY] Non-persistent UIDs\r\n"
		}},
		{ID: "SEL-37", Does: "UIDs above 2^31, up to 4294967295", account: func(boxes []*QuirkMailbox) []*QuirkMailbox {
			for i := range boxes[0].Messages {
				boxes[0].Messages[i].UID = uint32(4294967295 - len(boxes[0].Messages) + 1 + i) //nolint:gosec // G115: a few dozen
			}
			return boxes
		}},
		{ID: "SEL-39", Does: "No EXISTS line for an empty mailbox", opened: func(_ *quirkConn, m *QuirkMailbox) string {
			return strings.Replace(openedText(m, m.Validity, m.next()), "* 0 EXISTS\r\n", "", 1)
		}},
		{ID: "SEL-40", Does: "No PERMANENTFLAGS", opened: func(_ *quirkConn, m *QuirkMailbox) string {
			return strings.Replace(openedText(m, m.Validity, m.next()), "* OK [PERMANENTFLAGS ()] none\r\n", "", 1)
		}},
		{ID: "SEL-41", Does: "EXAMINE is refused until the client has sent ID", command: needsID},
		{ID: "SEL-41-HIDDEN", Does: "… and ID is not offered", caps: "IMAP4rev1 AUTH=PLAIN", command: needsID},
		{ID: "SEL-42", Does: "Response codes without any text after them", code: func(kind, code, text string) string {
			if code != "" {
				return kind + " [" + code + "]"
			}
			return kind + " " + text
		}},
		{ID: "SEL-43", Does: "EXAMINE of one listed mailbox answers NO", Closed: []string{"Archive/2021"}},
	}
}

func needsID(c *quirkConn, name, _ string) bool {
	if name != "EXAMINE" || c.hasID {
		return false
	}
	c.status("NO", "", "EXAMINE Unsafe Login. Please contact kefu@188.com for help")
	return true
}

// dateless takes the date of some messages of INBOX for one that makes no sense.
func dateless(seqs ...int) func([]*QuirkMailbox) []*QuirkMailbox {
	return func(boxes []*QuirkMailbox) []*QuirkMailbox {
		for _, seq := range seqs {
			boxes[0].Messages[seq-1].InternalDate = time.Time{}
		}
		return boxes
	}
}
