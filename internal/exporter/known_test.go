package exporter

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"mailark/archive"
)

// Flags that the server does not tell are not taken for none.
func TestFlagsNotTold(t *testing.T) {
	body, flags := letters(1), `FLAGS (\Seen) `
	s := &scripted{boxes: boxes("INBOX")}
	s.answer = func(_, command string) (string, string) {
		text := show(command, 9, body...)
		return strings.Replace(text, "FLAGS () ", flags, 1), ""
	}
	r := s.rig(t)
	r.expect(0)
	flags = ""
	if m := r.figures(r.expect(0), "INBOX"); m.FlagsChanged != 0 {
		t.Errorf("figures: %+v", m)
	}
	if m := r.archive().Message(archive.Key{Mailbox: 1, Epoch: 1, UID: 1}); !sameFlags(m.Flags, []string{`\Seen`}) {
		t.Errorf("flags %q", m.Flags)
	}
}

// A known mailbox that is back on the server is noted, be it chosen or not.
func TestBackThoughNotChosen(t *testing.T) {
	names := []string{"INBOX", "A", "B"}
	s := &scripted{boxes: func() []string { return names }}
	s.answer = func(_, command string) (string, string) { return show(command, 9), "" }
	r := s.rig(t)
	r.expect(0)
	names = names[:2]
	r.expect(0)
	if m := r.mailbox(r.archive(), "B"); m.Listed {
		t.Fatal("B is not noted as gone")
	}
	names = names[:3]
	r.opts.Include = []string{"A"}
	if res := r.expect(0); len(res.Mailboxes) != 1 {
		t.Errorf("result: %v", res)
	}
	if m := r.mailbox(r.archive(), "B"); !m.Listed {
		t.Error("B is still noted as gone")
	}
}

// A name that no archive takes is the mailbox's own trouble.
func TestNameTooLong(t *testing.T) {
	s := &scripted{boxes: boxes("INBOX", `"`+strings.Repeat("n", 300_000)+`"`, "Other")}
	s.answer = func(_, command string) (string, string) { return show(command, 9, letters(1)...), "" }
	r := s.rig(t)
	for run := range 2 {
		res := r.expect(3)
		if len(res.failed()) != 1 || res.Total().Now != 2*(1-run) || len(res.String()) > 4000 {
			t.Errorf("run %d: %d failed, %+v", run, len(res.failed()), res.Total())
		}
	}
}

// What was stored by an attempt under an earlier epoch is not taken back from the last one.
func TestUndoLastAttemptOnly(t *testing.T) {
	r := &Result{Mailboxes: []Mailbox{{Figures: Figures{Listed: 3, Now: 3}, key: archive.Key{Mailbox: 7, Epoch: 2}}}}
	r.undo([]*archive.Message{
		{Key: archive.Key{Mailbox: 7, Epoch: 1, UID: 1}},
		{Key: archive.Key{Mailbox: 7, Epoch: 2, UID: 1}},
		{Key: archive.Key{Mailbox: 8, Epoch: 2, UID: 1}},
	})
	if f := r.Mailboxes[0].Figures; f.Now != 2 || f.Left != 1 {
		t.Errorf("figures: %+v", f)
	}
}

// Behind a tunnel all accounts are at the same host: the port tells them apart.
func TestOtherPortOfLoopback(t *testing.T) {
	for _, c := range []struct {
		begun, host string
		port        int
		same        bool
	}{
		{"127.0.0.1:1430", "127.0.0.1", 1430, true},
		{"127.0.0.1:1430", "127.0.0.1", 1431, false},
		{"[::1]:1430", "::1", 1431, false},
		{"localhost:1430", "LOCALHOST", 1430, true},
		{"localhost", "localhost", 1430, true}, // begun before ports were noted
		{"mail.example.org", "mail.example.org", 1430, true},
		{"mail.example.org", "mail.example.com", 0, false},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			opts := Options{Dir: t.TempDir()}
			opts.Session.Host, opts.Session.Port, opts.Session.User = c.host, c.port, "u"
			w, err := archive.Create(opts.Dir, archive.Source{Host: c.begun, User: "U"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			x := newExport(opts)
			if err := x.openArchive(); (err == nil) != c.same {
				t.Errorf("error %v", err)
			}
			x.finish(context.Canceled)
		})
	}
}
