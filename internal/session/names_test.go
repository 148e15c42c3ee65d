package session

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/session/wire"
)

func listing(delim rune, raws ...string) (list []listed) {
	for _, raw := range raws {
		list = append(list, listed{&imap.ListData{Mailbox: wire.Alias(raw), Delim: delim}, raw})
	}
	return list
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		raw, name string
		delim     rune
	}{
		{"INBOX", "INBOX", '/'},
		{"Work/2021", "Work/2021", '/'},
		{"&MEp35TCJMFs-", "お知らせ", '/'},
		{"お知らせ", "お知らせ", '/'},
		{"R&D", "R&D", '/'},
		{"R&-D", "R&D", '/'},
		{"A&B-", "A&B-", '/'},
		{"A&MEo-&B-", "Aお&B-", '/'},
		{"a&AC8-b", "a&AC8-b", '/'},
		{"a&AC4-b", "a&AC4-b", '.'},
		{"n&AAA-l", "n&AAA-l", '/'},
		{"&AC4ALg-/x", "&AC4ALg-/x", '/'},
		{"..", "..", '/'},
		{"\x82\xa8\x92m", "お知", '/'},
		{"\xa4\xaa\xc3\xce/x", "お知/x", '/'},
		{"\x95\x5c/x", "表/x", '/'},
		{"\x95\x5c", "=95\\", '\\'},
		{"\xff\xfe", "=FF=FE", '/'},
		{"tab\there", "tab=09here", '/'},
		{"c1\u0085", "c1=85", '/'},
	} {
		n := NewNames()
		if got := n.assign(listing(c.delim, c.raw))[c.raw]; got.name != c.name || got.alike {
			t.Errorf("%q is called %q (alike: %v), want %q", c.raw, got.name, got.alike, c.name)
		}
		raw, ok := n.rawName(c.name)
		if raw != c.raw || ok == wire.Sayable(c.raw) {
			t.Errorf("%q is opened as %q, %v", c.name, raw, ok)
		}
	}
}

// TestNamesTogether: names that would be the same are told apart, those in good order stay, what lies below a mailbox is below
// its name, and a later listing changes nothing.
func TestNamesTogether(t *testing.T) {
	n := NewNames()
	raws := []string{"お/x", "お", "&MEo-", "&MEo-/x", "R&D", "R&-D"}
	first := n.assign(listing('/', raws...))
	for raw, want := range map[string]string{
		"&MEo-": "お", "&MEo-/x": "お/x", "お": `お (written "\u304a")`, "お/x": `お (written "\u304a")/x`,
		"R&-D": "R&D", "R&D": `R&D (written "R&D")`,
	} {
		if first[raw].name != want {
			t.Errorf("%q is called %q, want %q", raw, first[raw].name, want)
		}
	}
	late := n.assign(listing('/', append(raws, "R&-D (written \"R&-D\")")...))
	for raw, given := range first {
		if late[raw] != given {
			t.Errorf("%q was called %q, then %q", raw, given.name, late[raw].name)
		}
	}
}

// FuzzNames: whatever a server calls its mailboxes, no two get the same name, none gets levels it has not, and every name opens
// the mailbox it was given to.
func FuzzNames(f *testing.F) {
	f.Add("お/x\nお\n&MEo-\n&MEo-/x\nR&D\nR&-D\na&AC8-b\n..\n\x95\\\n\xff", uint8(0))
	f.Add("a.b\na&AC4-b\n&\n&-\n&&\n\x00", uint8(1))
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		delim := []rune{'/', '.', '\\', 0}[which%4]
		raws := strings.Split(text, "\n")
		n := NewNames()
		names := n.assign(listing(delim, raws...))
		owner := map[string]string{}
		for _, raw := range raws {
			name := names[raw].name
			if other, taken := owner[name]; taken && other != raw {
				t.Fatalf("%q and %q are both called %q", raw, other, name)
			}
			owner[name] = raw
			if opened, ok := n.rawName(name); ok && opened != raw || !ok && !wire.Sayable(raw) {
				t.Errorf("%q opens %q, %v, not %q", name, opened, ok, raw)
			}
			d := delimString(delim)
			if d != "" && strings.Count(name, d) != strings.Count(raw, d) {
				t.Errorf("%q has other levels than %q", name, raw)
			}
			if !wire.Sayable(raw) && strings.ContainsFunc(name, isControl) {
				t.Errorf("%q is called %q", raw, name)
			}
		}
	})
}
