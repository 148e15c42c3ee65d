package exporter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/limit"
)

// files are the SHA-256 of all files below a directory.
func files(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := make(map[string][32]byte)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sums[path] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// audit compares, and demands the exit code, a verdict that fits, and that neither side was changed.
func (r *rig) audit(exit int, sample Sample) *AuditResult {
	r.Helper()
	if r.server != nil {
		r.server.ForgetCommands()
	}
	before := files(r.T, r.opts.Dir)
	res, err := Audit(r.Context(), r.opts, sample)
	if res.ExitCode() != exit || res.Exit != exit {
		r.Fatalf("exit %d, want %d (error %v)\n%v", res.ExitCode(), exit, err, res)
	}
	if strings.Contains(res.String(), "All there") != (exit == 0) {
		r.Errorf("exit %d, and the report says:\n%v", exit, res)
	}
	if !maps.Equal(before, files(r.T, r.opts.Dir)) {
		r.Error("the audit has changed the archive")
	}
	for _, m := range res.Mailboxes {
		if !m.addUp() {
			r.Errorf("figures do not add up: %+v", m)
		}
	}
	if r.server != nil {
		r.checkReadOnly()
	}
	return res
}

func (r *rig) audited(res *AuditResult, name string) *AuditedMailbox {
	r.Helper()
	for _, m := range res.Mailboxes {
		if m.Name == name {
			return m
		}
	}
	r.Fatalf("the audit has no mailbox %q:\n%v", name, res)
	return nil
}

var all = Sample{All: true}

func auditRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.fill("INBOX", 12)
	r.fill("仕事/会議", 7)
	r.account.AddMailbox(imaptest.Mailbox{Name: "Sent", Role: `\Sent`, Subscribed: true})
	r.account.AddMailbox(imaptest.Mailbox{Name: "Empty"})
	r.account.AddMailbox(imaptest.Mailbox{Name: "Level", NoSelect: true})
	r.run(0)
	return r
}

func TestAuditAllThere(t *testing.T) {
	r := auditRig(t)
	res := r.audit(0, Sample{})
	if len(r.asked()) > 0 || res.Total.Archived != 19 || res.Total.Sampled != 0 {
		t.Errorf("bodies asked for: %v\n%v", r.asked(), res)
	}
	res = r.audit(0, all)
	if got := r.asked(); len(got) != 19 || res.Total.Compared != 19 || res.Total.Octets == 0 {
		t.Errorf("bodies asked for: %v\n%v", got, res)
	}
	if m := r.audited(res, "INBOX"); m.Exists != 12 || m.UIDValidity == 0 || m.UIDValidity != m.KnownValidity || !m.Looked {
		t.Errorf("INBOX: %+v", m)
	}
	if !r.audited(res, "Level").NoMail {
		t.Error("a mailbox that cannot be selected was opened")
	}
	text, err := json.Marshal(res)
	if err != nil || !bytes.Contains(text, []byte(`"exit":0,"verdict":"All there`)) ||
		!bytes.Contains(text, []byte(`"exists":12,"listed":12,"archived":12`)) {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

// Each kind of difference is found, named, and no exit code but its own comes of it.
func TestAuditDifferences(t *testing.T) {
	replace := func(r *rig, uid uint32, change func(*imaptest.Message)) {
		m := r.account.Messages("INBOX")[uid-1]
		change(&m)
		r.account.AddMessage("INBOX", m)
	}
	fault := func(f imaptest.Faults) func(*rig) { return func(r *rig) { r.server.SetFaults(f) } }
	tests := []struct {
		name   string
		plant  func(r *rig)
		sample Sample
		exit   int
		says   string // part of the report
	}{
		{"missing in the archive", func(r *rig) { r.fill("INBOX", 3) }, Sample{}, 7, "missing: INBOX: 3 messages, about"},
		{"gone on the server", func(r *rig) {
			r.account.Expunge("INBOX", 4)
			r.account.Expunge("INBOX", 5)
		}, Sample{}, 7,
			"vanished: INBOX: 2 messages, UID 4:5"},
		{"all gone", func(r *rig) {
			for uid := range uint32(12) {
				r.account.Expunge("INBOX", uid+1)
			}
		}, Sample{}, 7, "vanished: INBOX: 12 messages, UID 1:12"},
		{"flags", func(r *rig) { r.account.SetFlags("INBOX", 2, `\Seen`, "$Late") }, Sample{}, 7,
			`differs: INBOX UID 2: flags: $Late \seen on the server, none in the archive`},
		{"date", func(r *rig) {
			replace(r, 3, func(m *imaptest.Message) { m.InternalDate = m.InternalDate.Add(time.Hour) })
		}, Sample{}, 7, "differs: INBOX UID 3: date: "},
		{"zone", func(r *rig) {
			replace(r, 3, func(m *imaptest.Message) { m.InternalDate = m.InternalDate.In(time.FixedZone("", 3600)) })
		}, Sample{}, 0, "1 have their date in another zone now"},
		{"size told", fault(imaptest.Faults{Sizes: map[imaptest.Key]uint32{{Mailbox: "INBOX", UID: 2}: 5}}), all, 0,
			"1 are not of the size the server tells"},
		{"octets", func(r *rig) { replace(r, 6, func(m *imaptest.Message) { m.Octets[50] ^= 1 }) }, all, 7,
			"differs: INBOX UID 6: octets: SHA-256 "},
		{"octets that nobody looks at", func(r *rig) { replace(r, 6, func(m *imaptest.Message) { m.Octets[50] ^= 1 }) }, Sample{}, 0,
			"Octets were not compared"},
		{"new mailbox", func(r *rig) { r.account.AddMailbox(imaptest.Mailbox{Name: "New"}) }, Sample{}, 7,
			"differs: mailbox New: the archive does not have"},
		{"mailbox left", func(r *rig) { r.account.RemoveMailbox("仕事/会議") }, Sample{}, 7,
			"differs: mailbox 仕事/会議 has left the server"},
		{"UIDVALIDITY", func(r *rig) { r.account.SetUIDValidity("INBOX", 99, 1) }, all, 7, "UIDVALIDITY is 99 on the server"},
		{"subscribed", func(r *rig) { r.account.AddMailbox(imaptest.Mailbox{Name: "Sent", Role: `\Sent`}) }, Sample{}, 7,
			"mailbox Sent: subscribed: no on the server, yes in the archive"},
		{"role", func(r *rig) { r.account.AddMailbox(imaptest.Mailbox{Name: "Empty", Role: `\Trash`}) }, Sample{}, 7,
			"mailbox Empty: role: Trash on the server, none in the archive"},
		{"EXISTS lies", fault(imaptest.Faults{ExistsLie: 1}), all, 4, "the server says 13 messages but lists 12"},
		{"EXISTS lies and mail is missing", func(r *rig) {
			r.fill("INBOX", 1)
			r.server.SetFaults(imaptest.Faults{ExistsLie: 1})
		}, Sample{}, 7, "the server says 14 messages but lists 13"},
		{"a body refused", fault(imaptest.Faults{NoBody: inbox(5)}), all, 3, "not given again: INBOX UID 5: "},
		{"a body passed over", fault(imaptest.Faults{Bodiless: inbox(5)}), all, 3, "sends no octets for it"},
		{"a body without octets", fault(imaptest.Faults{Emptied: inbox(5)}), all, 3, "sends no octets for it"},
		{"a body cut", fault(imaptest.Faults{Cut: inbox(5)}), all, 3, "not given again: INBOX UID 5: "},
		{"a body cut once", fault(imaptest.Faults{Cut: once(5)}), all, 0, "19 of 19 are the same"},
		{"gone while it was compared", fault(imaptest.Faults{Vanish: inbox(5)}), all, 4,
			"1 message left the server while it was compared"},
		{"a mailbox refused", fault(imaptest.Faults{Refuse: map[string]int{"EXAMINE": imaptest.Always}}), Sample{}, 3,
			"not compared: mailbox INBOX: open: "},
		{"the list refused", fault(imaptest.Faults{Refuse: map[string]int{"LIST": imaptest.Always}}), Sample{}, 1,
			"stopped by an error"},
		{"nothing", fault(imaptest.Faults{}), Sample{}, 0, "All there: 19 messages in 5 mailboxes, by UID, flags and date."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := auditRig(t)
			test.plant(r)
			res := r.audit(test.exit, test.sample)
			if !strings.Contains(res.String(), test.says) {
				t.Errorf("the report does not say %q:\n%v", test.says, res)
			}
		})
	}
}

// What the server would not give to the export is told with its words, and is all that is missing.
func TestAuditRefused(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 9)
	r.server.SetFaults(imaptest.Faults{NoBody: inbox(3)})
	r.run(3)
	res := r.audit(3, all)
	if len(res.Refused) != 1 || res.Refused[0].UID != 3 || res.Refused[0].Text == "" || res.Total.Compared != 8 {
		t.Errorf("report:\n%v", res)
	}
	r.fill("INBOX", 1)
	r.audit(7, Sample{})
}

// An octet of the archive that has rotted is found by reading it back.
func TestAuditDamage(t *testing.T) {
	r := auditRig(t)
	path := filepath.Join(r.opts.Dir, "segments", "000001.tar.zst")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	r.audit(0, Sample{})
	if res := r.audit(7, all); res.Total.Damaged == 0 {
		t.Errorf("report:\n%v", res)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if res := r.audit(7, Sample{}); !strings.Contains(res.String(), "the archive is damaged") {
		t.Errorf("report:\n%v", res)
	}
}

// A connection that is lost again and again is temporary trouble, and proves nothing.
func TestAuditLosesConnection(t *testing.T) {
	r := auditRig(t)
	r.opts.Retry.Losses = 4
	r.server.SetFaults(imaptest.Faults{CloseAfter: 1500, CloseTimes: imaptest.Always})
	res := r.audit(75, all)
	if res.Total.Compared == 19 {
		t.Errorf("report:\n%v", res)
	}
}

func TestAuditInterrupted(t *testing.T) {
	r := auditRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err := Audit(ctx, r.opts, all)
	if !errors.Is(err, context.Canceled) || res.ExitCode() != 130 || strings.Contains(res.String(), "All there") {
		t.Errorf("error %v\n%v", err, res)
	}
}

func TestAuditOptions(t *testing.T) {
	r := auditRig(t)
	r.opts.Include = []string{"仕事/*", "Level"}
	if res := r.audit(0, all); res.Total.Listed != 7 || res.Skipped != 3 || len(res.Mailboxes) != 2 {
		t.Errorf("report:\n%v", res)
	}
	r.account.RemoveMailbox("仕事/会議")
	if res := r.audit(7, all); len(res.Unlisted) != 1 {
		t.Errorf("report:\n%v", res)
	}
	r.opts.Include = []string{"Snt"}
	r.audit(64, Sample{})
	r.opts.Include, r.opts.Session.User = nil, "another"
	r.audit(64, Sample{})
	r.opts.Dir = t.TempDir()
	r.audit(10, Sample{})
}

// Without UIDVALIDITY equal UIDs prove nothing; equal octets do.
func TestAuditWithoutUIDValidity(t *testing.T) {
	s := &scripted{boxes: boxes("INBOX", "Other")}
	list := letters(4)
	s.answer = func(box, command string) (string, string) {
		if box == "Other" {
			return show(command, 5), ""
		}
		return show(command, 0, list...), ""
	}
	r := s.rig(t)
	r.expect(0)
	if res := r.audit(4, Sample{}); !strings.Contains(res.String(), "gives no UIDVALIDITY") {
		t.Errorf("report:\n%v", res)
	}
	r.audit(0, all)
}

// A server that shows fewer messages than there are, with figures that agree, is asked twice.
func TestAuditShrunk(t *testing.T) {
	list, looks := letters(60), 0
	s := &scripted{boxes: boxes("INBOX", "Other")}
	shrunk := false
	s.answer = func(box, command string) (string, string) {
		looks += b2i(strings.HasPrefix(command, "EXAMINE"))
		if box == "Other" {
			return show(command, 5), ""
		}
		if shrunk && looks < 2 {
			return show(command, 9, list[:3]...), ""
		}
		return show(command, 9, list...), ""
	}
	r := s.rig(t)
	r.expect(0)
	shrunk, looks = true, 0
	res := r.audit(4, Sample{})
	if m := r.audited(res, "INBOX"); m.Vanished > 0 || m.AuditFigures.Archived != 60 {
		t.Errorf("INBOX: %+v", m)
	}
	if !strings.Contains(res.String(), "listed 3 messages, then 60") {
		t.Errorf("report:\n%v", res)
	}
}

// A LIST that changes from one moment to the next is not believed.
func TestAuditMailboxesComeAndGo(t *testing.T) {
	s := &scripted{}
	asked := 0
	s.boxes = func() []string {
		if asked++; asked == 2 {
			return []string{"INBOX"}
		}
		return []string{"INBOX", "A", "B"}
	}
	s.answer = func(_, command string) (string, string) { return show(command, 5, letters(2)...), "" }
	r := s.rig(t)
	r.expect(0)
	if res := r.audit(4, Sample{}); len(res.Mailboxes) != 3 || !strings.Contains(res.String(), "gave two answers") {
		t.Errorf("report:\n%v", res)
	}
}

// What the archive knows to have left the server is no difference, as long as it stays away.
func TestAuditGone(t *testing.T) {
	r := auditRig(t)
	old := r.account.Messages("INBOX")[3]
	r.account.Expunge("INBOX", 4)
	r.run(0)
	if res := r.audit(0, all); res.Total.Gone != 1 || res.Total.Listed != 18 {
		t.Errorf("report:\n%v", res)
	}
	r.account.AddMessage("INBOX", old)
	res := r.audit(7, all)
	if res.Total.Back != 1 || !strings.Contains(res.String(), "INBOX UID 4: gone: is there on the server, has left the server in") {
		t.Errorf("report:\n%v", res)
	}
}

// Where the server's figures disagree, what it does not list may be there all the same.
func TestAuditUnsoundVanishes(t *testing.T) {
	r := auditRig(t)
	r.account.Expunge("INBOX", 4)
	r.server.SetFaults(imaptest.Faults{ExistsLie: 1})
	if res := r.audit(4, Sample{}); res.Total.Vanished != 0 {
		t.Errorf("report:\n%v", res)
	}
}

// A mailbox that no export could open yet is not there, though it is empty.
func TestAuditNeverOpened(t *testing.T) {
	r := newRig(t)
	r.account.AddMailbox(imaptest.Mailbox{Name: "Empty"})
	r.server.SetFaults(imaptest.Faults{Refuse: map[string]int{"EXAMINE": imaptest.Always}})
	r.run(3)
	r.server.SetFaults(imaptest.Faults{})
	if res := r.audit(7, Sample{}); !strings.Contains(res.String(), "mailbox Empty: no export has opened it yet") {
		t.Errorf("report:\n%v", res)
	}
}

// Flags the server does not tell cannot be compared.
func TestAuditFlagsUntold(t *testing.T) {
	s := &scripted{boxes: boxes("INBOX", "Other")}
	untold := false
	s.answer = func(box, command string) (string, string) {
		if box == "Other" {
			return show(command, 5), ""
		}
		text := show(command, 9, letters(4)...)
		if untold {
			text = strings.ReplaceAll(text, "FLAGS () ", "")
		}
		return text, ""
	}
	r := s.rig(t)
	r.expect(0)
	untold = true
	if res := r.audit(4, Sample{}); !strings.Contains(res.String(), "tells no flags for 4 messages") {
		t.Errorf("report:\n%v", res)
	}
}

// A limit ends an audit before its end, and then nothing is proven.
func TestAuditLimit(t *testing.T) {
	r := auditRig(t)
	r.opts.Limits = limit.Limits{Transfer: 1}
	if res := r.audit(8, all); res.Total.NotAsked == 0 {
		t.Errorf("report:\n%v", res)
	}
}

// That the server does not tell what is subscribed is a doubt only where it once did.
func TestAuditUntold(t *testing.T) {
	for _, subscribed := range []bool{false, true} {
		r := newRigOn(t, imaptest.ServerOptions{NoListExtended: true})
		r.fill("INBOX", 2)
		r.account.AddMailbox(imaptest.Mailbox{Name: "Sent", Subscribed: subscribed})
		r.run(0)
		r.server.SetFaults(imaptest.Faults{Refuse: map[string]int{"LSUB": imaptest.Always}})
		exit := 0
		if subscribed {
			exit = 4
		}
		if res := r.audit(exit, Sample{}); !strings.Contains(res.String(), "the server does not tell which mailboxes are subscribed") {
			t.Errorf("report:\n%v", res)
		}
	}
}
