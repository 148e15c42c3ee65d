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

// preauth is the start of a dialogue with a server of the given capabilities.
func preauth(caps string) string {
	return fmt.Sprintf("S: * PREAUTH [CAPABILITY %[1]s] hi\nC: CAPABILITY\nS: * CAPABILITY %[1]s\nS: $T OK\n", caps)
}

const askDelim = "C: LIST \"\" \"\"\nS: * LIST (\\Noselect) \"/\" \"\"\nS: $T OK\n"

func TestMailboxes(t *testing.T) {
	const plain = "C: LIST \"\" \"*\"\n"
	for _, c := range []struct {
		name, dialogue string
		want           []string // name|raw|delimiter|attributes|subscribed
	}{
		{
			"extended", preauth("IMAP4rev1 LIST-EXTENDED SPECIAL-USE") + askDelim +
				"C: LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)\n" +
				"S: * LIST (\\Subscribed \\Sent) \"/\" Sent\nS: * LIST () \"/\" inbox\nS: * LIST (\\NonExistent) \"/\" &MMYwuTDI-\nS: $T OK\n",
			[]string{`Sent|Sent|/|[\Subscribed \Sent]|true`, `INBOX|INBOX|/|[]|false`, `テスト|&MMYwuTDI-|/|[\NonExistent]|false`},
		},
		{
			"extended refused, LSUB", preauth("IMAP4rev1 LIST-EXTENDED") + askDelim +
				"C: LIST \"\" \"*\" RETURN (SUBSCRIBED)\nS: $T BAD expected mailbox\n" + plain +
				"S: * LIST () \"/\" a\nS: * LIST () \"/\" b\nS: * LIST () \"/\" a\nS: $T OK\n" +
				"C: LSUB \"\" \"*\"\nS: * LSUB () \"/\" b\nS: * LSUB (\\Noselect) \"/\" a\nS: * LSUB () \"/\" gone\nS: $T OK\n",
			[]string{`INBOX|INBOX|/|[]|false`, `a|a|/|[]|false`, `b|b|/|[]|true`},
		},
		{
			"extended empty, LSUB refused", preauth("IMAP4rev1 LIST-EXTENDED") + askDelim +
				"C: LIST \"\" \"*\" RETURN\nS: $T OK\n" + plain + "S: * LIST () NIL INBOX\nS: $T OK\nC: LSUB\nS: $T NO never\n",
			[]string{`INBOX|INBOX||[]|false`},
		},
		{
			"LSUB with a literal", preauth("IMAP4rev1") + askDelim + plain +
				"R: * LIST () \"/\" {5}\\r\\na\"b*c\\r\\n\nS: $T OK\n" +
				"C: LSUB\nR: * LSUB () \"/\" {5}\\r\\na\"b*c\\r\\n\nS: $T OK\n",
			[]string{`INBOX|INBOX|/|[]|false`, `a"b*c|a"b*c|/|[]|true`},
		},
		{
			"other namespaces", preauth("IMAP4rev1 NAMESPACE") +
				"C: NAMESPACE\nS: * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"\" \".\"))\nS: $T OK\n" + plain +
				"S: * LIST () \".\" INBOX\nS: * LIST () \".\" INBOX.user.x\nS: * LIST () \".\" user.taro\nS: * LIST () \".\" user\nS: * LIST () \".\" everybody\nS: $T OK\n" +
				"C: LSUB\nS: $T OK\n",
			[]string{`INBOX|INBOX|.|[]|false`, `INBOX.user.x|INBOX.user.x|.|[]|false`},
		},
		{
			"others below the personal root", preauth("IMAP4rev1 NAMESPACE") +
				"C: NAMESPACE\nS: * NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL\nS: $T OK\n" + plain +
				"S: * LIST () \"/\" \"Other Users\"\nS: * LIST () \"/\" \"Other Users/x\"\nS: * LIST () \"/\" \"Other Users too\"\nS: $T OK\n" +
				"C: LSUB\nS: $T OK\n",
			[]string{`INBOX|INBOX|/|[]|false`, `Other Users too|Other Users too|/|[]|false`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script(t, c.dialogue+"C: LOGOUT\n")
			o.RootCAs = ""
			list, err := source(t, o).Mailboxes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range list {
				got = append(got, fmt.Sprintf("%s|%s|%s|%v|%v", m.Name, m.Raw, m.Delim, m.Attrs, m.Subscribed))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	for _, c := range []struct{ name, dialogue, prefix, delim string }{
		{"NAMESPACE", preauth("IMAP4rev1 NAMESPACE") + "C: NAMESPACE\nS: * NAMESPACE ((\"INBOX.\" \".\")(\"#mh/\" \"/\")) NIL NIL\nS: $T OK\n", "INBOX.", "."},
		{"NAMESPACE refused", preauth("IMAP4rev1 NAMESPACE") + "C: NAMESPACE\nS: $T NO no\n" + askDelim, "", "/"},
		{"no personal one", preauth("IMAP4rev1 NAMESPACE") + "C: NAMESPACE\nS: * NAMESPACE NIL NIL NIL\nS: $T OK\n" + askDelim, "", "/"},
		{"LIST refused too", preauth("IMAP4rev1") + "C: LIST\nS: $T BAD Invalid reference\n", "", ""},
		{"no hierarchy", preauth("IMAP4rev1") + "C: LIST\nS: * LIST (\\Noselect) NIL \"\"\nS: $T OK\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script(t, c.dialogue+"C: LOGOUT\n")
			o.RootCAs = ""
			src := source(t, o)
			if src.Prefix() != c.prefix || src.Delim() != c.delim {
				t.Errorf("prefix %q, delimiter %q", src.Prefix(), src.Delim())
			}
		})
	}
}

// TestEndlessList: a server that never stops listing must not fill the memory.
func TestEndlessList(t *testing.T) {
	var b strings.Builder
	for i := range 100_001 {
		fmt.Fprintf(&b, `* LIST () "/" n%d\r\n`, i)
	}
	o := script(t, preauth("IMAP4rev1")+askDelim+"C: LIST\nR: "+b.String()+"\nW:\n")
	o.RootCAs = ""
	_, err := source(t, o).Mailboxes(t.Context())
	var e *session.Error
	if !errors.As(err, &e) || e.Scope != session.ScopeSession || !strings.Contains(err.Error(), "100000") {
		t.Errorf("got %v", err)
	}
}

// TestSourceChangesNothing holds the record of a whole session against the list of commands that
// change nothing.
func TestSourceChangesNothing(t *testing.T) {
	for name, o := range map[string]imaptest.ServerOptions{
		"all extensions": {},
		"none":           {NoUIDPlus: true, NoLiteralPlus: true, NoListExtended: true, NoSpecialUse: true, NoNamespace: true, NoID: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, o)
			fill(s.Account("user"), "INBOX", 10)
			fill(s.Account("user"), "more/below", 10)
			before := s.Account("user").Snapshot()
			for _, mode := range []session.TLSMode{session.TLSNone, session.TLSStartTLS, session.TLSImplicit} {
				readEverything(t, source(t, modeOptions(t, mode, s)))
			}
			harmless := []string{
				"CAPABILITY", "STARTTLS", "LOGIN", "AUTHENTICATE", "ID", "NAMESPACE", "LIST", "LSUB", "STATUS",
				"EXAMINE", "UID FETCH", "UID SEARCH", "NOOP", "LOGOUT",
			}
			fetched := 0
			for _, cmd := range s.Commands() {
				if !slices.Contains(harmless, cmd.Name) {
					t.Errorf("sent %q", cmd.Line)
				}
				if cmd.Name == "UID FETCH" {
					fetched++
				}
			}
			if fetched < 6 {
				t.Errorf("only %d FETCH in the record: the test sees nothing", fetched)
			}
			for _, d := range imaptest.Diff(before, s.Account("user").Snapshot()) {
				t.Error(d)
			}
		})
	}
}

func readEverything(t *testing.T, src *session.Source) {
	t.Helper()
	list, err := src.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if _, err := src.Status(t.Context(), m.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := src.Examine(t.Context(), m.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := bodies(t, src); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(src.Noop(t.Context()), src.Close())
	if err != nil {
		t.Fatal(err)
	}
}
