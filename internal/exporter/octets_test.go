package exporter

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mailark/internal/imaptest"
)

// TestOctets copies messages of the kinds that other programs change or trip over, and a second time under another UIDVALIDITY.
func TestOctets(t *testing.T) {
	r := newRig(t)
	for name, body := range map[string]string{
		"bare LF":             "Subject: x\n\nonly\nLF\n",
		"bare CR":             "Subject: x\r\n\r\n10%\r20%\rdone\r\n",
		"NUL":                 "Subject: x\r\n\r\na\x00b\r\n",
		"8-bit header":        "Subject: \xe9\xff\xfe\r\n\r\nx\r\n",
		"no end of line":      "Subject: x\r\n\r\nend",
		"ends with CR":        "Subject: x\r\n\r\nend\r",
		"From line":           "From someone@example.org Mon Jan  1 00:00:00 2001\r\nSubject: x\r\n\r\nFrom here on\r\n>From there\r\n",
		"dot line":            "Subject: x\r\n\r\n.\r\n..\r\n.\r\n",
		"a line of 2 MB":      "Subject: x\r\n\r\n" + strings.Repeat("z", 2<<20) + "\r\n",
		"a Message-ID of 2 K": "Message-ID: <" + strings.Repeat("i", 2000) + "@example.org>\r\n\r\nx\r\n",
		"no header":           "\r\n\r\n\r\n",
		"one octet":           "x",
		"an end of answer":    ")\r\na1 OK done\r\n* BYE gone\r\nT3 OK FETCH completed\r\n",
		"a literal":           "{10}\r\n* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n",
		"zstd":                "\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00",
		"a block of tar":      strings.Repeat("\x00", 1024),
		"512 octets":          strings.Repeat("0123456789abcdef", 32),
		"a spool's memory":    strings.Repeat("0123456789abcdef", 1<<16),
	} {
		for _, mailbox := range []string{"INBOX", "Copies"} {
			r.account.AddMessage(mailbox, imaptest.Message{Octets: []byte(body), Flags: []string{"k" + fmt.Sprint(len(name))}})
		}
	}
	r.run(0)
	for range 2 {
		r.checkEqual("INBOX")
		r.checkEqual("Copies")
		r.checkSound()
		r.account.SetUIDValidity("INBOX", 77, 1000)
		r.run(0)
	}
}

// TestNames copies mailboxes whose names lead elsewhere, mean something to some file system, or differ in case or normalisation
// only: each is a mailbox of its own, with its own mail.
func TestNames(t *testing.T) {
	r := newRig(t)
	names := []string{
		"..", "../x", "a/../b", ".", "a.b", "a/b", "a.", "a/b.", "CON", "con", "nul.txt", "Work", "work", "caf\u00e9", "cafe\u0301",
		"~root", "-rf", "a\\b", "a:b", "a*b", "tmp", "cur", "new", "&", "&-", " x", "x ", "\u202egpj", strings.Repeat("é", 300),
		strings.Repeat("d/", 60) + "d",
	}
	for i, name := range names {
		r.account.AddMailbox(imaptest.Mailbox{Name: name, Subscribed: i%2 == 0})
		r.account.AddMessage(name, imaptest.Message{Octets: fmt.Appendf(nil, "Subject: %d\r\n\r\n%q\r\n", i, name)})
	}
	r.run(0)
	a := r.archive()
	dirs := make(map[string]string)
	for i, name := range names {
		r.checkEqual(name)
		m := r.mailbox(a, name)
		if m.Subscribed != (i%2 == 0) {
			t.Errorf("%q: subscribed %v", name, m.Subscribed)
		}
		fold := strings.ToLower(m.Dir)
		if other, taken := dirs[fold]; taken && !strings.EqualFold(other, name) {
			t.Errorf("%q and %q are both in %s", name, other, m.Dir)
		}
		dirs[fold] = name
		if strings.Contains(m.Dir, "/../") || strings.HasSuffix(m.Dir, "/..") || !strings.HasPrefix(m.Dir, "Maildir/.") {
			t.Errorf("%q is in %s", name, m.Dir)
		}
		if got := r.octets(a, a.Current(m.ID)[0]); !bytes.Contains(got, fmt.Appendf(nil, "Subject: %d\r\n", i)) {
			t.Errorf("%q has the mail of another mailbox: %q", name, got)
		}
	}
	r.checkSound()
}
