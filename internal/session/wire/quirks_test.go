package wire

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	fetchBodies = "T1 UID FETCH 1:9 (UID BODY.PEEK[])\r\n"
	fetchSeven  = "T1 UID FETCH 7 (UID BODY.PEEK[])\r\n"
	fetchMeta   = "T2 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n"
	fetchFlags  = "T2 UID FETCH 1:* (UID FLAGS)\r\n"
	dated       = `INTERNALDATE " 1-Feb-2003 04:05:06 +0900" RFC822.SIZE 5`
)

// TestQuirks: one row for each odd answer, by the id in ../shared/research/quirks.md.
func TestQuirks(t *testing.T) {
	for _, c := range quirkTable() {
		t.Run(c.id, func(t *testing.T) {
			for _, size := range []int{1, 50_000} {
				for _, step := range []int{1, 7, 100_000} {
					r := &stepReader{r: strings.NewReader(c.server), step: step}
					_, got := relay(t, r, size, c.commands...)
					if got != c.client {
						t.Fatalf("read by %d, arriving by %d: got\n%q, want\n%q", size, step, got, c.client)
					}
				}
			}
		})
	}
}

type quirkRow struct {
	id             string
	commands       []string
	server, client string // what one says and the other reads
}

func quirkTable() []quirkRow {
	return slices.Concat(listRows(), statusRows(), metaRows(), bodyRows(), strayRows())
}

func listRows() []quirkRow {
	alias := func(raw string) string { return `"` + Alias(raw) + `"` }
	return []quirkRow{
		{"LIST-01", nil, "* LIST () NIL \"a\"\r\n", "* LIST () NIL \"a\"\r\n"},
		{"LIST-01-EMPTY", nil, "* LIST (\\HasNoChildren) \"\" \"a b\"\r\n", "* LIST (\\HasNoChildren) NIL \"a b\"\r\n"},
		{"LIST-02", nil, "* NAMESPACE ((\"\" \"\")) NIL NIL\r\n", "* NAMESPACE ((\"\" NIL)) NIL NIL\r\n"},
		{"LIST-04", nil, `* LIST () "\\" a` + "\r\n", `* LIST () "\\" a` + "\r\n"},
		{"LIST-04-BARE", nil, `* LIST () "\" a` + "\r\n", `* LIST () "\\" "a"` + "\r\n"},
		{"LIST-06", nil, "* LIST () \".\" bar[baz]\r\n", "* LIST () \".\" bar[baz]\r\n"},
		{"LIST-07", nil, `* LIST () "/" "a\"b\\c"` + "\r\n", `* LIST () "/" "a\"b\\c"` + "\r\n"},
		{"LIST-08", nil, `* LIST () "." "ab"cd"` + "\r\n", `* LIST () "." "ab\"cd"` + "\r\n"},
		{"LIST-08-END", nil, `* LIST () "." "ab""` + "\r\n", `* LIST () "." "ab\""` + "\r\n"},
		{"LIST-08-OPEN", nil, `* LIST () "." "ab` + "\r\n", `* LIST () "." "ab"` + "\r\n"},
		{"LIST-10", nil, "* LIST () \".\" {5}\r\na\"b*c\r\n", `* LIST () "." "a\"b*c"` + "\r\n"},
		{"LIST-10-LINES", nil, "* LIST () \".\" {4}\r\na\r\nb\r\n", "* LIST () \".\" " + alias("a\r\nb") + "\r\n"},
		{"LIST-10-STATUS", nil, "* STATUS {3}\r\na\"b (MESSAGES 3)\r\n", `* STATUS "a\"b" (MESSAGES 3)` + "\r\n"},
		{"LIST-11", nil, "* LIST () \"/\" \"受信\"\r\n", "* LIST () \"/\" " + alias("受信") + "\r\n"},
		{"LIST-11-STATUS", nil, "* STATUS 受信 (MESSAGES 3)\r\n", "* STATUS " + alias("受信") + " (MESSAGES 3)\r\n"},
		{"LIST-11-SJIS", nil, "* LIST () \"/\" \"\x8e\xf3\"\r\n", "* LIST () \"/\" " + alias("\x8e\xf3") + "\r\n"},
		{"LIST-11-SJIS-BACKSLASH", nil, "* LIST () \"/\" \"\x95\\\"\r\n", "* LIST () \"/\" " + alias("\x95\\") + "\r\n"},
		{"LIST-12", nil, "* LIST () \"/\" \"R&D\"\r\n", "* LIST () \"/\" " + alias("R&D") + "\r\n"},
		{"LIST-12-GOOD", nil, "* LIST () \"/\" R&-D\r\n", "* LIST () \"/\" R&-D\r\n"},
		{"LIST-13", nil, "* LIST () \"/\" a&AC8-b\r\n", "* LIST () \"/\" " + alias("a&AC8-b") + "\r\n"},
		{"LIST-13-NUL", nil, "* LIST () \"/\" &AAA-\r\n", "* LIST () \"/\" " + alias("&AAA-") + "\r\n"},
		{"LIST-13-ALIAS", nil, "* LIST () \"/\" " + aliasPrefix + "\r\n", "* LIST () \"/\" " + alias(aliasPrefix) + "\r\n"},
		{"LIST-14", nil, "* LIST () \"/\" foo\tbar\r\n", "* LIST () \"/\" " + alias("foo\tbar") + "\r\n"},
		{"LIST-14-BLANK", nil, "* LIST () \"/\" foo (bar\r\n", "* LIST () \"/\" \"foo (bar\"\r\n"},
		{"LIST-14-PARENTHESES", nil, "* LIST () \"/\" foo (bar)\r\n", "* LIST () \"/\" \"foo (bar)\"\r\n"},
		{"LIST-14-STATUS", nil, "* STATUS foo (bar) (MESSAGES 3)\r\n", "* STATUS \"foo (bar)\" (MESSAGES 3)\r\n"},
		{"LIST-15", nil, "* LIST () \"/\" \" a \"\r\n", "* LIST () \"/\" \" a \"\r\n"},
		{"LIST-26", nil, "* LIST (\\HasNoChildren \\) \".\" a\r\n", "* LIST (\\HasNoChildren) \".\" \"a\"\r\n"},
		{"LIST-26-NIL", nil, "* LIST NIL \".\" a\r\n", "* LIST () \".\" \"a\"\r\n"},
		{"LIST-27", nil, "* List (\\HasNoChildren) \"/\" \"INBOX\"\r\n", "* List (\\HasNoChildren) \"/\" \"INBOX\"\r\n"},
		{"LIST-27-NIL", nil, "* namespace ((\"nil\" nil)) nil nil\r\n", "* namespace ((\"nil\" NIL)) NIL NIL\r\n"},
		{"LIST-28", nil, "* STATUS \"INBOX\" ()\r\n", "* STATUS \"INBOX\" ()\r\n"},
		{"LIST-28-NONE", nil, "* STATUS \"INBOX\"\r\n", ""},
		{"LIST-28-ODD", nil, "* STATUS a b (MESSAGES -1 UIDNEXT 4)\r\n", "* STATUS \"a b\" (UIDNEXT 4)\r\n"},
		{
			"LIST-EXTENDED", nil, "* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
			"* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
		},
	}
}

func statusRows() []quirkRow {
	same := func(id, line string) quirkRow { return quirkRow{id, []string{"T1 EXAMINE a\r\n"}, line, line} }
	with := func(id, server, client string) quirkRow {
		return quirkRow{id, []string{"T1 EXAMINE a\r\n"}, server, client}
	}
	return []quirkRow{
		with("LIST-27-CODE", "* OK [uidvalidity 7] x\r\nT1 ok [read-only] y\r\n", "* OK [UIDVALIDITY 7] x\r\nT1 ok [READ-ONLY] y\r\n"),
		with("LIST-27-CAPS", "* ok [capability imap4rev1 idle] x\r\n", "* ok [CAPABILITY imap4rev1 idle] x\r\n"),
		same("SEL-33", "* OK [UIDNEXT 0] x\r\n"),
		with("SEL-33-NIL", "* OK [UIDNEXT NIL] x\r\n* OK [UIDVALIDITY -1]\r\n", "* OK - [UIDNEXT NIL] x\r\n* OK - [UIDVALIDITY -1]\r\n"),
		same("SEL-36", "* NO [UIDNOTSTICKY] x\r\n"),
		same("SEL-42", "* OK [HIGHESTMODSEQ 4711]\r\nT1 OK\r\n"),
		with("FETCH-74-FLAGS", "* FLAGS (\\Seen \x04Junk Caf\xc3\xa9)\r\n", "* FLAGS (\\Seen "+Alias("\x04Junk")+" "+Alias("Café")+")\r\n"),
		with("FETCH-74-PERMANENT", "* OK [PERMANENTFLAGS (\\Seen [x] \\*)] ok\r\n", "* OK [PERMANENTFLAGS (\\Seen "+Alias("[x]")+" \\*)] ok\r\n"),
		with("FETCH-75-FLAGS", "* FLAGS (\"\\Seen\" NIL \\SEEN \\*)\r\n", "* FLAGS (\\Seen \\*)\r\n"),
		with("FETCH-75-NIL", "* FLAGS NIL\r\n", "* FLAGS ()\r\n"),
		with("AUTH-110", "* OK Exchange is ready. [RgBSAD==]\r\n* OK [RgBSAD==] hi\r\n", "* OK Exchange is ready. [RgBSAD==]\r\n* OK - [RgBSAD==] hi\r\n"),
		same("AUTH-112", "* CAPABILITY IMAP4rev1 LITERAL + IMAPSIEVE=sieve://x\r\n"),
		with("AUTH-112-QUOTE", "* CAPABILITY IMAP4rev1 \"x\" IDLE (\r\n", "* CAPABILITY IMAP4rev1 IDLE\r\n"),
		with("AUTH-120", "T1 OK [Error=\"a b\" Proxy=x] done\r\n", "T1 OK - [Error=\"a b\" Proxy=x] done\r\n"),
		with("AUTH-120-OPEN", "T1 OK [ALERT done\r\n", "T1 OK - [ALERT done\r\n"),
		same("AUTH-125", "T1 NO [BADCHARSET (US-ASCII)] x\r\n"),
		with("FETCH-83", "T1 BYE Logging out\r\n", "* BYE Logging out\r\n"),
		with("APP-85", "T1 OK [APPENDUID 0 ] x\r\n", "T1 OK - [APPENDUID 0 ] x\r\n"),
	}
}

func metaRows() []quirkRow {
	row := func(id, in, out string) quirkRow {
		return quirkRow{id, []string{fetchMeta}, "* 1 FETCH (" + in + ")\r\nT2 OK\r\n", "* 1 FETCH (" + out + ")\r\nT2 OK\r\n"}
	}
	rest := "UID 1 FLAGS () " + dated
	return []quirkRow{
		row("FETCH-CLEAN", rest, rest),
		row("FETCH-67", "UID 1  FLAGS () "+dated+" ", rest),
		row("FETCH-67-DOUBLE", "("+rest+")", rest),
		row("FETCH-71", `UID 1 FLAGS () INTERNALDATE "7-Nov-2016 18:49:23 +0200" RFC822.SIZE 5`, `UID 1 FLAGS () INTERNALDATE "7-Nov-2016 18:49:23 +0200" RFC822.SIZE 5`),
		row("FETCH-72", `UID 1 FLAGS () RFC822.SIZE 5 INTERNALDATE "00-Jan-0000 00:00:00 +0000"`, "UID 1 FLAGS () RFC822.SIZE 5"),
		row("FETCH-72-DAY", strings.Replace(rest, " 1-Feb", "31-Feb", 1), "UID 1 FLAGS () RFC822.SIZE 5"),
		row("FETCH-72-HOUR", strings.Replace(rest, "04:05:06", "24:05:06", 1), "UID 1 FLAGS () RFC822.SIZE 5"),
		row("FETCH-72-RFC2822", `UID 1 FLAGS () RFC822.SIZE 5 INTERNALDATE "Mon, 7 Nov 2016 18:49:23 +0200"`, `UID 1 FLAGS () RFC822.SIZE 5 INTERNALDATE "07-Nov-2016 18:49:23 +0200"`),
		row("FETCH-72-ZONE", `UID 1 FLAGS () RFC822.SIZE 5 INTERNALDATE "7-Nov-2016 18:49:23 JST"`, "UID 1 FLAGS () RFC822.SIZE 5"),
		row("FETCH-73", "UID 1 FLAGS () RFC822.SIZE 5 INTERNALDATE NIL", "UID 1 FLAGS () RFC822.SIZE 5"),
		row("FETCH-73-MISSING", "UID 1 FLAGS () RFC822.SIZE 5", "UID 1 FLAGS () RFC822.SIZE 5"),
		row("FETCH-74", "UID 1 FLAGS (\\Seen \x04Junk Café) "+dated, "UID 1 FLAGS (\\Seen "+Alias("\x04Junk")+" "+Alias("Café")+") "+dated),
		row("FETCH-75", `UID 1 FLAGS ("\Seen" NIL \SEEN \* a a) `+dated, `UID 1 FLAGS (\Seen a) `+dated),
		row("FETCH-75-QUOTES", `UID 1 FLAGS (a"b "my flag") `+dated, `UID 1 FLAGS (`+Alias(`a"b`)+` `+Alias("my flag")+`) `+dated),
		row("FETCH-77", "UID 1 RFC822.SIZE -1 MODSEQ (-1) FLAGS () X-GM-LABELS (NIL \"+x\")", "UID 1 RFC822.SIZE 0 FLAGS ()"),
		row("X-UIDLAST-META", "FLAGS () "+dated+" UID 1", "FLAGS () "+dated+" UID 1"),
		{
			"FETCH-46-SPLIT", []string{fetchMeta}, "* 1 FETCH (UID 1 FLAGS (a))\r\n* 1 FETCH (UID 1 " + dated + ")\r\nT2 OK\r\n",
			"* 1 FETCH (UID 1 " + dated + " FLAGS (a))\r\nT2 OK\r\n",
		},
		{
			"FETCH-55-UID", []string{fetchMeta}, "* 1 FETCH (UID 1 FLAGS (a))\r\n* 1 FETCH (UID 1 FLAGS () " + dated + ")\r\nT2 OK\r\n",
			"* 1 FETCH (UID 1 FLAGS () " + dated + ")\r\nT2 OK\r\n",
		},
		{
			"FETCH-55-OTHER", []string{fetchMeta}, "* 1 FETCH (UID 1 FLAGS (a))\r\n* 3 EXISTS\r\n* 2 FETCH (UID 2 FLAGS () " + dated + ")\r\n",
			"* 1 FETCH (UID 1 FLAGS (a))\r\n* 3 EXISTS\r\n* 2 FETCH (UID 2 FLAGS () " + dated + ")\r\n",
		},
		{"FETCH-FLAGS", []string{fetchFlags}, "* 1 FETCH (UID 1 FLAGS (a))\r\n", "* 1 FETCH (UID 1 FLAGS (a))\r\n"},
	}
}

func bodyRows() []quirkRow {
	rows := func(id string, command string, server, client string) quirkRow {
		return quirkRow{id, []string{command}, server, client}
	}
	const body = "* 3 FETCH (UID 7 BODY[] {2}\r\nab)\r\n"
	return []quirkRow{
		rows("FETCH-47", fetchBodies, "* 1 FETCH (UID 1 BODY[] NIL)\r\n", "* 1 FETCH (UID 1 BODY[] NIL)\r\n"),
		rows("FETCH-47-LOWER", fetchBodies, "* 1 FETCH (UID 1 BODY[] nil)\r\n", "* 1 FETCH (UID 1 BODY[] NIL)\r\n"),
		rows("FETCH-48", fetchBodies, "* 1 FETCH (UID 1 BODY[])\r\n", "* 1 FETCH (UID 1 BODY[] NIL)\r\n"),
		rows("FETCH-48-ITEM", fetchBodies, "* 1 FETCH (BODY[] UID 1)\r\n", "* 1 FETCH (UID 1 BODY[] NIL)\r\n"),
		rows("FETCH-53", fetchBodies, "* 1 FETCH (BODY[] \"x )\" UID 1)\r\n", "* 1 FETCH (UID 1 BODY[] \"x )\")\r\n"),
		rows("FETCH-54", fetchBodies, "* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\nx)\r\n* OK\r\n", ""),
		rows("FETCH-54-ZERO", fetchBodies, "* 1 FETCH (UID 1 BODY[] {01}\r\nx)\r\n", "* 1 FETCH (UID 1 BODY[] {01}\r\nx)\r\n"),
		rows("FETCH-66-ALONE", fetchSeven, "* 3 FETCH (BODY[] {2}\r\nab FLAGS ())\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab FLAGS ())\r\n"),
		rows("FETCH-66-QUOTED", fetchSeven, "* 3 FETCH (BODY[] \"ab\")\r\n", "* 3 FETCH (UID 7 BODY[] \"ab\")\r\n"),
		rows("FETCH-66", fetchBodies, "* 3 FETCH (BODY[] {2}\r\nab)\r\n", "* 3 FETCH (BODY[] {2}\r\nab)\r\n"),
		rows("FETCH-67-TAIL", fetchBodies, "* 3 FETCH ((UID 7  BODY[] {2}\r\nab ) )\r\n", body),
		rows("FETCH-67-BLANK", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab )\r\n", body),
		rows("FETCH-67-OCTET", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab))\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab))\r\n"),
		rows("FETCH-67-OCTETS", fetchBodies, "* 3 FETCH ((UID 7 BODY[] {2}\r\nab) ))\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab) ))\r\n"),
		rows("FETCH-75-TAIL", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab FLAGS (NIL))\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab FLAGS ())\r\n"),
		rows("FETCH-77-HEAD", fetchBodies, "* 3 FETCH (X-GM-MSGID 9 UID 7 BODY[] {2}\r\nab)\r\n", body),
		rows("X-UIDLAST-ALONE", fetchSeven, "* 3 FETCH (BODY[] {2}\r\nab UID 7)\r\n", body),
		rows("X-UIDLAST-OTHER", fetchSeven, "* 3 FETCH (BODY[] {2}\r\nab UID 8)\r\n* 1 EXISTS\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab"),
		rows("X-UIDLAST-CONTRADICTS", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab UID 8)\r\n* 1 EXISTS\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab"),
		rows("X-UIDLAST-AGREES", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab UID 7)\r\n", body),
		{
			"X-UIDLAST", []string{fetchBodies}, "* 1 FETCH (UID 4)\r\n* 3 FETCH (UID 7)\r\n* 1 FETCH (BODY[] {1}\r\nx UID 4)\r\n* 3 FETCH (BODY[] {2}\r\nab UID 7)\r\n",
			"* 1 FETCH (BODY[] {1}\r\nx UID 4)\r\n" + body,
		},
		{
			"X-UIDLAST-EXPUNGED", []string{fetchBodies}, "* 3 FETCH (UID 7)\r\n* 1 FETCH (BODY[] {1}\r\nx UID 4)\r\n* 1 EXPUNGE\r\n* 3 FETCH (BODY[] {2}\r\nab UID 8)\r\n",
			"* 1 FETCH (BODY[] {1}\r\nx UID 4)\r\n* 1 EXPUNGE\r\n* 3 FETCH (BODY[] {2}\r\nab UID 8)\r\n",
		},
		{
			"X-UIDLAST-THEN-NONE", []string{fetchBodies}, "* 3 FETCH (UID 7)\r\n* 1 FETCH (BODY[] {1}\r\nx UID 4)\r\n* 3 FETCH (BODY[] {2}\r\nab)\r\nT1 OK\r\n",
			"* 1 FETCH (BODY[] {1}\r\nx UID 4)\r\n* 3 FETCH (UID 7 BODY[] {2}\r\nab",
		},
		rows("FETCH-77-TAIL", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab X-GM-LABELS (a) X-GM-MSGID 9)\r\n", body),
		rows("FETCH-51-WORDS", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab see you)\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab see you)\r\n"),
		rows("FETCH-51-WORD", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nab BYE)\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nab BYE)\r\n"),
		rows("FETCH-51-TAIL", fetchBodies, "* 3 FETCH (UID 7 BODY[] {2}\r\nabcd)\r\n", "* 3 FETCH (UID 7 BODY[] {2}\r\nabcd)\r\n"),
	}
}

func strayRows() []quirkRow {
	examine := []string{"T1 EXAMINE a\r\n"}
	return []quirkRow{
		{"FETCH-79", examine, "[COPYUID 9 1 4]\r\n\r\nhello\r\nT9 OK nobody asked\r\nT1 OK\r\n", "T1 OK\r\n"},
		{"FETCH-79-BODIES", []string{fetchBodies}, "[COPYUID 9 1 4]\r\nof a message\r\nT1 OK\r\n", "of a message\r\nT1 OK\r\n"},
		{"FETCH-80", examine, "* NOOP\r\n* XFOO {3}\r\nabc x\r\n* 4 VANISHED\r\n* 1 EXISTS now\r\n* -1 EXISTS\r\nT1 OK\r\n", "* 1 EXISTS\r\nT1 OK\r\n"},
		{"ESEARCH", []string{"T7 UID SEARCH RETURN (ALL) ALL\r\n"}, "* ESEARCH UID ALL 1:3\r\n", "* ESEARCH (TAG \"T7\") UID ALL 1:3\r\n"},
		{"ESEARCH-STRAY", examine, "* ESEARCH UID ALL 1:3\r\n", ""},
		{"FETCH-60", examine, "* 0 FETCH (FLAGS (\\Seen))\r\n", "* 0 FETCH (FLAGS (\\Seen))\r\n"},
		{"BLANKS", examine, "*   3 EXISTS\r\n*\tOK hi\r\n", "* 3 EXISTS\r\n* OK hi\r\n"},
	}
}

// TestNumbersBounded: a server that makes up message numbers does not fill the memory.
func TestNumbersBounded(t *testing.T) {
	n := &fakeNet{r: strings.NewReader("")}
	c := New(n, n, Options{})
	for seq := uint32(maxAhead); seq < 100*maxAhead; seq += maxAhead {
		c.learn(seq, 1)
	}
	if len(c.numbers.uids) > maxNumber || c.numbers.find(maxAhead) != 1 || c.numbers.find(50*maxAhead) != 0 {
		t.Errorf("%d numbers are remembered", len(c.numbers.uids))
	}
}

// TestNamesOut: a mailbox is opened by the octets it was listed with.
func TestNamesOut(t *testing.T) {
	raws := map[string]string{"受信": "受信", "R&D": "R&D", "表": "\x95\\", "two lines": "a\r\nb"}
	for _, c := range []struct{ client, server string }{
		{"T1 EXAMINE \"&U9dP4Q-\"\r\n", "T1 EXAMINE \"受信\"\r\n"},
		{"T1 EXAMINE \"R&-D\" (CONDSTORE)\r\n", "T1 EXAMINE \"R&D\" (CONDSTORE)\r\n"},
		{"T1 STATUS \"R&-D\" (MESSAGES)\r\n", "T1 STATUS \"R&D\" (MESSAGES)\r\n"},
		{"T1 EXAMINE \"two lines\"\r\n", "T1 EXAMINE {4}\r\na\r\nb\r\n"},
		{"T1 EXAMINE \"&iGg-\"\r\n", "T1 EXAMINE {2}\r\n\x95\\\r\n"},
		{"T1 EXAMINE \"R&AD-\"\r\nT2 NOOP\r\n", "T1 EXAMINE \"R&AD-\"\r\nT2 NOOP\r\n"},
		{"T1 EXAMINE INBOX\r\n", "T1 EXAMINE INBOX\r\n"},
	} {
		n := &fakeNet{r: strings.NewReader("")}
		conn := New(n, n, Options{RawName: func(name string) (string, bool) { raw, ok := raws[name]; return raw, ok }})
		if strings.Contains(c.server, "{") {
			n.r = strings.NewReader("+ go\r\n")
			go func() {
				for !conn.asks() {
				}
				_, _ = conn.Read(make([]byte, 100))
			}()
		}
		if _, err := conn.Write([]byte(c.client)); err != nil {
			t.Fatal(err)
		}
		if got := n.w.String(); got != c.server {
			t.Errorf("sent %q, want %q", got, c.server)
		}
	}
}

func (c *Conn) asks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asking != nil
}

var announcement = regexp.MustCompile(`\{\d{1,18}\+?\} ?\r?\n$`)

// FuzzRules: whatever a line is, the rules make at most one line of it, with a line end, and announce the literal that
// was announced.
func FuzzRules(f *testing.F) {
	for _, row := range quirkTable() {
		for line := range strings.SplitAfterSeq(row.server, "\r\n") {
			f.Add([]byte(line), uint8(len(row.commands)))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte, mode uint8) {
		line = append(bytes.ReplaceAll(line, []byte("\n"), []byte("?")), "\r\n"...)
		c := New(&fakeNet{r: strings.NewReader("")}, &fakeNet{}, Options{})
		if mode%4 > 0 {
			c.takeCommand([]byte([]string{fetchBodies, fetchSeven, fetchMeta}[mode%4-1]))
		}
		c.numbers = numbers{uids: []uint32{4, 5, 6}, trailed: mode%8 > 3}
		c.takeLine([]byte("* 2 FETCH (UID 5 BODY[] {1}\r\n"), true)
		c.queue = nil
		if taken := c.takePlainMeta(line); taken { // what passes unread must be what the rules leave alone
			c.queue = nil
			if c.takeResponse(bytes.Clone(line)); len(c.queue) != 1 || !bytes.Equal(c.queue[0], line) {
				t.Errorf("%q passes unread, but is %q by the rules", line, c.queue)
			}
			c.queue = nil
		}
		for _, start := range []bool{true, false} {
			c.behind.open = !start
			_, c.in.within = literalSize(line)
			c.in.within = c.in.within && !isStatus(line)
			wasLiteral := c.in.within
			c.takeLine(bytes.Clone(line), start)
			c.in.within = false
			c.flushHalf()
			if len(c.queue) > 1 {
				t.Fatalf("%q became %q", line, c.queue)
			}
			for _, out := range c.queue {
				if !bytes.HasSuffix(out, []byte("\n")) || bytes.Count(out, []byte("\n")) != 1 {
					t.Errorf("%q became %q", line, out)
				}
				if is := announcement.Match(out) && !isStatus(out); wasLiteral && !is {
					t.Errorf("%q announced a literal, %q does not", line, out)
				}
			}
			c.queue, c.hidden, c.whole = nil, false, nil
		}
	})
}
