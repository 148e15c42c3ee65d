package session_test

import (
	"fmt"
	"slices"
	"testing"

	"mailark/internal/session"
)

// TestListing: what one LIST leaves open must be told, and no mailbox may vanish because its name looks
// like another's or lies elsewhere.
func TestListing(t *testing.T) {
	const (
		plain = "C: LIST \"\" \"*\"\n"
		inbox = "S: * LIST () \"/\" INBOX\nS: $T OK\n"
		extra = "C: LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)\n"
	)
	offer := preauth("IMAP4rev1 LIST-EXTENDED SPECIAL-USE") + askDelim + extra
	for _, c := range []struct {
		name, dialogue string
		want           session.Listing // without the mailboxes
		boxes          []string        // name|raw|foreign|alike
	}{
		{
			"all told", offer + inbox,
			session.Listing{Answered: true, SubscriptionsKnown: true, RolesKnown: true}, []string{"INBOX|INBOX|false|false"},
		},
		{
			"extended refused, LSUB refused", offer + "S: $T NO not now\n" + plain + inbox + "C: LSUB\nS: * LSUB () \"/\" INBOX\nS: $T NO not now\n",
			session.Listing{Answered: true}, []string{"INBOX|INBOX|false|false"},
		},
		{
			"nothing subscribed is an answer", preauth("IMAP4rev1") + askDelim + plain + inbox + "C: LSUB\nS: $T OK\n",
			session.Listing{Answered: true, SubscriptionsKnown: true, RolesKnown: true}, []string{"INBOX|INBOX|false|false"},
		},
		{
			"nothing listed", preauth("IMAP4rev1") + askDelim + plain + "S: $T OK\nC: LSUB\nS: $T OK\n",
			session.Listing{SubscriptionsKnown: true, RolesKnown: true}, []string{"INBOX|INBOX|false|false"},
		},
		{
			"names that decode alike", preauth("IMAP4rev1") + askDelim + plain +
				"S: * LIST () \"/\" \"テスト\"\nS: * LIST () \"/\" &MMYwuTDI-\nR: * LIST (\\Junk) \"/\" {4}\\r\\na\"b \\r\\n\n" +
				"R: * LIST () NIL {9}\\r\\nテスト (\"X\" (\"y\"))\\r\\n\nS: * LIST () \"\\\\\" \"c\\\\d\"\n" + inbox + "C: LSUB\nS: $T OK\n",
			session.Listing{Answered: true, SubscriptionsKnown: true, RolesKnown: true},
			[]string{
				`テスト (written "\u30c6\u30b9\u30c8")|テスト|false|true`, `テスト|&MMYwuTDI-|false|false`, `a"b |a"b |false|false`,
				`c\d|c\d|false|false`, "INBOX|INBOX|false|false",
			},
		},
		{
			"other namespaces", preauth("IMAP4rev1 NAMESPACE") +
				"C: NAMESPACE\nS: * NAMESPACE ((\"INBOX/\" \"/\")) NIL ((\"\" \"/\"))\nS: $T OK\n" + plain +
				"S: * LIST () \"/\" Archive\n" + inbox + "C: LSUB\nS: $T OK\n",
			session.Listing{Answered: true, SubscriptionsKnown: true, RolesKnown: true},
			[]string{"Archive|Archive|true|false", "INBOX|INBOX|false|false"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := script(t, c.dialogue+"C: LOGOUT\n")
			o.RootCAs = ""
			got, err := source(t, o).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var boxes []string
			for _, m := range got.Mailboxes {
				boxes = append(boxes, fmt.Sprintf("%s|%s|%v|%v", m.Name, m.Raw, m.Foreign, m.Alike))
			}
			if !slices.Equal(boxes, c.boxes) {
				t.Errorf("got  %q\nwant %q", boxes, c.boxes)
			}
			if got.Answered != c.want.Answered || got.SubscriptionsKnown != c.want.SubscriptionsKnown || got.RolesKnown != c.want.RolesKnown {
				t.Errorf("got %+v", got)
			}
		})
	}
}
