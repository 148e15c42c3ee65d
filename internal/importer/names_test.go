package importer

import (
	"bytes"
	"strings"
	"testing"

	"mailark/archive"
	"mailark/internal/imaptest"
)

// TestTwoNeverBecomeOne: which mailboxes are chosen in which order must not bring two of them to the same
// one on the target.
func TestTwoNeverBecomeOne(t *testing.T) {
	same := mails("s", 3)
	x, y := append(same[:3:3], mails("x", 2)...), append(same[:3:3], mails("y", 2)...)
	dir := newArchive(t,
		boxSpec{path: []string{"Sent"}, attrs: []string{`\Sent`}, msgs: x},
		boxSpec{path: []string{"Gesendet"}, msgs: y},
	)
	for _, order := range [][]string{{"Sent", "Gesendet"}, {"Gesendet", "Sent"}} {
		s := newServer(t, imaptest.ServerOptions{})
		s.Account("user").AddMailbox(imaptest.Mailbox{Name: "Gesendet", Role: `\Sent`})
		opts := options(t, dir, s)
		for i, name := range order {
			opts.Include = []string{name}
			sum := runWant(t, opts, "5=0+5+0+0+0+0", 0)
			if !strings.Contains(strings.Join(sum.Notes, "\n"), order[1-i]+" was left out (--mailbox, --exclude): 5 messages") {
				t.Errorf("notes %q", sum.Notes)
			}
		}
		opts.Include = nil
		runWant(t, opts, "10=10+0+0+0+0+0", 0)
		wantMail(t, s, "Gesendet", x)
		wantMail(t, s, "Gesendet (2)", y)
	}
}

// TestNameKeptForAbsent: a name in the ledger stays with its mailbox though that is not in the list now.
func TestNameKeptForAbsent(t *testing.T) {
	list := []*wanted{newWanted(1, "New"), newWanted(2, "Other")}
	assignNames(list, newPlace("/", "", nil), map[string]string{"Gone": "New"})
	if list[0].to != "New (2)" || list[1].to != "Other" {
		t.Errorf("names %q, %q", list[0].to, list[1].to)
	}
}

func newWanted(id uint32, name string) *wanted {
	m := &archive.Mailbox{ID: id}
	m.Path, m.Raw, m.Dir = []string{name}, name, name
	return &wanted{mbox: m, name: name}
}

// TestNotListed: a mailbox that is created and then not listed is given up, and no other.
func TestNotListed(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("a", 1)}, boxSpec{path: []string{"Work"}, msgs: mails("b", 2)})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	through(t, &opts, s, func(line []byte) []byte {
		if bytes.HasPrefix(line, []byte("* LIST")) && bytes.Contains(line, []byte("Work")) {
			return nil
		}
		return line
	})
	sum := runWant(t, opts, "3=0+1+0+0+0+2", 3)
	if !strings.Contains(sum.Mailboxes[1].Reason, "does not list") {
		t.Errorf("reason %q", sum.Mailboxes[1].Reason)
	}
}

// TestNoCase: a target whose names have no case holds Work already; work would be mixed with it.
func TestNoCase(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"Work"}, msgs: mails("a", 1)}, boxSpec{path: []string{"work"}, msgs: mails("b", 2)})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	through(t, &opts, s, func(line []byte) []byte {
		if bytes.HasPrefix(line, []byte("* LIST")) && bytes.Contains(line, []byte("work")) {
			return nil
		}
		return line
	})
	for _, include := range [][]string{{"Work"}, {"work"}} { // also when they are not chosen together
		opts.Include = include
		sum, err := Run(t.Context(), opts)
		must(t, err)
		if r := sum.Mailboxes[0]; (r.Reason == "") != (include[0] == "Work") || r.Reason != "" && r.Left != 2 {
			t.Errorf("%s: %s, reason %q", include, numbers(r), r.Reason)
		}
	}
	wantMail(t, s, "Work", mails("a", 1))
}

// TestPlainNameTaken: the plainer name is a mailbox of the target's own, whose mail must not be mixed with ours.
func TestPlainNameTaken(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"a*b"}, msgs: mails("a", 2)})
	s := newServer(t, imaptest.ServerOptions{})
	s.Account("user").AddMailbox(imaptest.Mailbox{Name: "a_b"})
	s.SetFaults(imaptest.Faults{Refuse: map[string]int{"CREATE": imaptest.Always}})
	sum := runWant(t, options(t, dir, s), "2=0+0+0+0+0+2", 3)
	if sum.Mailboxes[0].Reason == "" || len(s.Account("user").Messages("a_b")) > 0 {
		t.Errorf("reason %q", sum.Mailboxes[0].Reason)
	}
}
