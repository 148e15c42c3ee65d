package exporter

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// TestAuditNoselect: mail that came into a mailbox which LIST calls \Noselect, and which export could open when it was
// empty, is missed.
func TestAuditNoselect(t *testing.T) {
	quirks := imaptest.Quirks()
	at := slices.IndexFunc(quirks, func(q imaptest.Quirk) bool { return q.ID == "LIST-20" })
	server, err := imaptest.StartQuirk(quirks[at])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	opts := Options{
		Session: session.Options{
			Host: "127.0.0.1", Port: port(server.Addr), TLS: session.TLSNone, User: "u", Program: "mailark test",
			Password: func(context.Context) (string, error) { return `p"\{5} `, nil },
		},
		Dir:   filepath.Join(t.TempDir(), "a"),
		Retry: Retry{Attempts: 3, Losses: 6, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
	}
	box := server.Boxes[slices.IndexFunc(server.Boxes, func(m *imaptest.QuirkMailbox) bool { return m.Raw == "Archive/2021" })]
	mail := box.Messages
	box.Messages = nil
	if res, err := Run(t.Context(), opts); err != nil || res.ExitCode() != 0 {
		t.Fatalf("%v\n%v", err, res)
	}
	if res, err := Audit(t.Context(), opts, Sample{}); err != nil || res.ExitCode() != 0 {
		t.Errorf("%v\n%v", err, res)
	}
	box.Messages = mail
	if res, err := Audit(t.Context(), opts, Sample{}); err != nil || res.ExitCode() != exitDamaged || res.Total.Missing != len(mail) {
		t.Errorf("%v\n%v", err, res)
	}
}

// TestAuditNoselectNow: a mailbox that had no mail and cannot be opened any more holds none.
func TestAuditNoselectNow(t *testing.T) {
	r := auditRig(t)
	r.account.RemoveMailbox("Empty")
	r.account.AddMailbox(imaptest.Mailbox{Name: "Empty", NoSelect: true})
	if res := r.audit(0, Sample{}); !r.audited(res, "Empty").NoMail {
		t.Errorf("report:\n%v", res)
	}
}

// TestAuditNoselectBusy: that a mailbox which LIST calls \Noselect cannot be opened just now proves nothing.
func TestAuditNoselectBusy(t *testing.T) {
	for status, exit := range map[string]int{"NO [INUSE] try again later": exitPartial, hangUp: exitTemporary} {
		busy := false
		s := &scripted{boxes: func() []string { return []string{"INBOX", `\Noselect|Parent`} }}
		s.answer = func(box, command string) (string, string) {
			if box == "Parent" && busy {
				return "", status
			}
			return show(command, 9), ""
		}
		r := s.rig(t)
		r.expect(0)
		r.audit(0, Sample{})
		busy = true
		if res := r.audit(exit, Sample{}); r.audited(res, "Parent").Failed == "" {
			t.Errorf("report:\n%v", res)
		}
	}
}
