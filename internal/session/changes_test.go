package session_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// condstore is a server's offer of all that incremental runs want; the next tag is T3.
var condstore = preauth("IMAP4rev1 LIST-EXTENDED LIST-STATUS CONDSTORE ESEARCH") + askDelim

// talk plays a dialogue to its end.
func talk(t *testing.T, dialogue string) *session.Source {
	t.Helper()
	o := script(t, dialogue+"C: LOGOUT\n")
	o.RootCAs = ""
	return source(t, o)
}

// TestListStatus: figures that the server does not tell are unknown, and never 0.
func TestListStatus(t *testing.T) {
	const ask = "C: LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (\n"
	for _, c := range []struct {
		name, dialogue string
		asked          bool
		want           []string
	}{
		{
			"all", condstore + ask +
				"S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 HIGHESTMODSEQ 55)\n" +
				"S: * LIST (\\NoSelect) \"/\" a\n" +
				"S: * LIST () \"/\" b\nS: * STATUS b (UIDNEXT 4 MESSAGES 0)\n" +
				"S: * LIST () \"/\" c\nS: * STATUS c ()\nS: * LIST () \"/\" d\nS: * STATUS d (UIDNEXT 4)\n" +
				"S: * LIST () \"/\" e\nS: * STATUS f (MESSAGES 1)\nS: $T OK\n",
			true, []string{"INBOX 3 9 7 55", "a unknown", "b 0 4 0 0", "c unknown", "d unknown", "e unknown"},
		},
		{
			"alike", condstore + ask +
				"S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 1)\n" +
				"S: * LIST () \"/\" \"テスト\"\nS: * STATUS \"テスト\" (MESSAGES 1)\n" +
				"S: * LIST () \"/\" &MMYwuTDI-\nS: * STATUS &MMYwuTDI- (MESSAGES 2)\nS: $T OK\n",
			true, []string{"INBOX 1 0 0 0", "テスト (written \"\\u30c6\\u30b9\\u30c8\") 1 0 0 0", "テスト 2 0 0 0"},
		},
		{
			"refused", condstore + ask + "S: $T BAD Unknown STATUS item\nC: LIST \"\" \"*\" RETURN (SUBSCRIBED)\n" +
				"S: * LIST () \"/\" INBOX\nS: $T OK\n", false, []string{"INBOX unknown"},
		},
		{
			"refused altogether", condstore + ask + "S: $T BAD no\nC: LIST \"\" \"*\" RETURN (SUBSCRIBED)\nS: $T BAD no\n" +
				"C: LIST \"\" \"*\"\nS: * LIST () \"/\" INBOX\nS: $T OK\nC: LSUB\nS: $T OK\n", false, []string{"INBOX unknown"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := talk(t, c.dialogue).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var boxes []string
			for _, m := range got.Mailboxes {
				boxes = append(boxes, m.Name+" "+figures(m.Status))
			}
			if got.StatusAsked != c.asked || !slices.Equal(boxes, c.want) {
				t.Errorf("asked %v\ngot  %q\nwant %q", got.StatusAsked, boxes, c.want)
			}
		})
	}
}

func figures(sel *session.Selected) string {
	if sel == nil {
		return "unknown"
	}
	return fmt.Sprint(sel.Exists, sel.UIDNext, sel.UIDValidity, sel.HighestModSeq)
}

func TestStatuses(t *testing.T) {
	src := talk(t, condstore+"C: STATUS \"a\"\nC: STATUS \"b\"\nC: STATUS \"c\"\nC: STATUS \"d\"\n"+
		"S: * STATUS a (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 HIGHESTMODSEQ 55)\nS: T3 OK\nS: T4 NO no such mailbox\n"+
		"S: T5 OK\nS: * STATUS d (MESSAGES 0)\nS: T6 OK\n")
	var got []string
	err := src.Statuses(t.Context(), []string{"a", "b", "c", "d"}, func(name string, sel *session.Selected, err error) {
		var e *session.Error
		if err != nil && (!errors.As(err, &e) || e.Scope != session.ScopeMailbox) {
			t.Errorf("%s: %v", name, err)
		}
		got = append(got, fmt.Sprintf("%s %s %v", name, figures(sel), err != nil))
	})
	want := []string{"a 3 9 7 55 false", "b unknown true", "c unknown false", "d 0 0 0 0 false"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
	}
}

func TestStatusesMany(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	var names []string
	for i := range 450 {
		names = append(names, fmt.Sprintf("box %d", i))
		s.Account("user").AddMailbox(imaptest.Mailbox{Name: names[i]})
	}
	n := 0
	err := source(t, plain(t, s)).Statuses(t.Context(), names, func(name string, sel *session.Selected, err error) {
		if name != names[n] || sel == nil || err != nil {
			t.Errorf("%s, not %s: %v, %v", name, names[n], sel, err)
		}
		n++
	})
	if err != nil || n != len(names) {
		t.Errorf("%d mailboxes, %v", n, err)
	}
}

const (
	examine = "C: EXAMINE \"x\" (CONDSTORE)\n"
	search  = "C: UID SEARCH RETURN (ALL) ALL\n"
	opened  = "S: * 3 EXISTS\nS: * OK [UIDVALIDITY 7]\nS: * OK [UIDNEXT 9]\nS: * OK [HIGHESTMODSEQ 55]\nS: T3 OK [READ-ONLY]\n"
	fetched = "S: * 1 FETCH (UID 4 FLAGS (\\Seen) RFC822.SIZE 10 INTERNALDATE \"01-Feb-2003 04:05:06 +0900\" MODSEQ (50))\n"
)

// TestOneFlight: EXAMINE is not waited for, and what a refusal leaves behind is not believed.
func TestOneFlight(t *testing.T) {
	for _, c := range []struct {
		name, dialogue string
		since          uint64
		want           string // what opened, fn and the set tell
		fault          string // in the error
	}{
		{"everything", condstore + examine + "C: UID FETCH 1:* (\n" + opened + fetched + "S: T4 OK\n", 0, "open 3 9 7 55, 4, [4 Seen]", ""},
		{
			"changes", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened +
				"S: * ESEARCH (TAG \"T4\") UID ALL 2,4:5\nS: T4 OK\n" + fetched + "S: T5 OK\n",
			40, "open 3 9 7 55, 4, [4 Seen], {2 2}{4 5}", "",
		},
		{
			"answers in another order", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened + manyFetched(300) + "S: T5 OK\n" +
				"S: * ESEARCH (TAG \"T4\") UID ALL 1:300\nS: T4 OK\n", 40, "open 3 9 7 55, 300 messages, {1 300}", "",
		},
		{
			"nothing found", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened + "S: * ESEARCH (TAG \"T4\") UID\nS: T4 OK\nS: T5 OK\n",
			40, "open 3 9 7 55", "",
		},
		{
			"an old-fashioned answer", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened + "S: * SEARCH 9 2 3 8\nS: T4 OK\nS: T5 OK\n",
			40, "open 3 9 7 55, {2 3}{8 9}", "",
		},
		{
			"numbers in place of UIDs", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened +
				"S: * ESEARCH (TAG \"T4\") ALL 1:3\nS: T4 OK\nS: T5 OK\n", 40, "open 3 9 7 55", "no set of UIDs",
		},
		{
			"UID 0", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened + "S: * SEARCH 0 1\nS: T4 OK\nS: T5 OK\n",
			40, "open 3 9 7 55", "no set of UIDs",
		},
		{
			"no count kept", condstore + examine + search + "C: UID FETCH 1:* (\n" + opened +
				"S: * ESEARCH (TAG \"T4\") UID ALL 1:3\nS: T4 OK\nS: T5 BAD no modseq here\n", 40, "open 3 9 7 55", "no modseq here",
		},
		{
			"refused while another mailbox stays open", condstore + examine + "C: UID FETCH 1:* (\nS: T3 NO not you\n" + fetched + "S: T4 OK\n",
			0, "", "EXAMINE \"x\": refused (the server says: not you)",
		},
		{
			"refused, and so is the rest", condstore + examine + search + "C: UID FETCH 1:* (\nS: T3 NO not you\nS: T4 BAD what\nS: T5 BAD what\n",
			40, "", "not you",
		},
		{
			"CONDSTORE is not understood", condstore + examine + "C: UID FETCH 1:* (\nS: T3 BAD what\nS: T4 BAD what\n" +
				"C: EXAMINE \"x\"\n" + strings.Replace(opened, "T3", "T5", 1) + "C: UID FETCH 1:* (\n" + fetched + "S: T6 OK\n",
			0, "open 3 9 7 55, 4, [4 Seen]", "",
		},
		{
			"messages ahead of the mailbox", condstore + examine + "C: UID FETCH 1:* (\n" + manyFetched(1000) + opened + "S: T4 OK\n",
			0, "open 3 9 7 55, 1000 messages", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := list(t, talk(t, c.dialogue), c.since)
			if got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%v\ngot  %q\nwant %q", err, got, c.want)
			}
		})
	}
}

func manyFetched(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "S: * %d FETCH (UID %[1]d FLAGS () RFC822.SIZE 1 INTERNALDATE \"01-Feb-2003 04:05:06 +0900\")\n", i+1)
	}
	return b.String()
}

// list tells what the server answers, in words.
func list(t *testing.T, src *session.Source, since uint64) (string, error) {
	t.Helper()
	var told []string
	n := 0
	open := func(sel *session.Selected) { told = append(told, "open "+figures(sel)) }
	each := func(m session.Meta) error {
		if n++; n < 100 {
			told = append(told, fmt.Sprint(m.UID, ", ", fmt.Sprint([]any{m.UID, strings.Join(m.Flags, "")})))
		}
		return nil
	}
	var set session.UIDSet
	var err error
	if since > 0 {
		set, err = src.ExamineChanged(t.Context(), "x", since, open, each)
	} else {
		err = src.ExamineMeta(t.Context(), "x", open, each)
	}
	if n >= 100 {
		told = append(told[:1], fmt.Sprint(n, " messages"))
	}
	words := strings.ReplaceAll(strings.Join(told, ", "), `\`, "")
	for i, r := range set {
		if i == 0 {
			words += ", "
		}
		words += fmt.Sprint(r)
	}
	return words, err
}

// TestWary: behind a refused EXAMINE nothing is sent ahead, for servers end a connection with many wrong commands.
func TestWary(t *testing.T) {
	src := talk(t, condstore+examine+"C: UID FETCH\nS: T3 NO not you\nS: T4 BAD what\n"+
		examine+"S: $T NO not you\n"+examine+strings.Replace(opened, "T3", "T6", 1)+"C: UID FETCH\n"+fetched+"S: T7 OK\n"+
		examine+"C: UID FETCH\n"+strings.Replace(opened, "T3", "T8", 1)+"S: T9 OK\nC: UID FETCH\nS: $T OK\n")
	for i, ok := range []bool{false, false, true, true} {
		if _, err := list(t, src, 0); (err == nil) != ok {
			t.Errorf("time %d: %v", i+1, err)
		}
	}
}

func TestUIDs(t *testing.T) {
	many := strings.Replace(opened, "3 EXISTS", "60000 EXISTS", 1)
	for _, c := range []struct{ name, dialogue, want string }{
		{"ESEARCH", condstore + examine + opened + search + "S: * ESEARCH (TAG \"T4\") UID ALL 4294967295,1:4000000000\nS: $T OK\n", "[{1 4000000000} {4294967295 4294967295}] 4000000001"},
		{"no answer", condstore + examine + opened + search + "S: $T OK\n", "[] 0"},
		{
			"SEARCH", preauth("IMAP4rev1") + askDelim + "C: EXAMINE \"x\"\n" + opened + "C: UID SEARCH ALL\nS: * SEARCH 5 6\nS: * SEARCH 7 1\nS: $T OK\n",
			"[{1 1} {5 7}] 4",
		},
		{
			"too many for a line", preauth("IMAP4rev1") + askDelim + "C: EXAMINE \"x\"\n" + many + "C: UID FETCH 1:* (UID)\n" + manyFetched(200) + "S: $T OK\n",
			"[{1 200}] 200",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := talk(t, c.dialogue)
			if _, err := src.Examine(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			set, err := src.UIDs(t.Context())
			if got := fmt.Sprint([]session.UIDRange(set), set.Len()); err != nil || got != c.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, c.want)
			}
		})
	}
}

// TestFetchMetaOf asks for more than fits into one command, or into all that are in flight.
func TestFetchMetaOf(t *testing.T) {
	s, src := inbox(t, 5000, imaptest.Faults{Flags: once(7, 2001)})
	var ask []uint32
	for uid := uint32(1); uid <= 6000; uid += 2 {
		ask = append(ask, uid)
	}
	got := map[uint32]int{}
	err := src.FetchMetaOf(t.Context(), ask, func(m session.Meta) error {
		if m.InternalDate.IsZero() || m.Size == 0 || m.UID%2 == 0 {
			t.Errorf("got %+v", m)
		}
		got[m.UID]++
		return nil
	})
	if err != nil || len(got) != 2500 {
		t.Errorf("%d messages: %v", len(got), err)
	}
	for _, cmd := range s.Commands() {
		if len(cmd.Line) > 1000 {
			t.Errorf("a line of %d octets", len(cmd.Line))
		}
	}
}
