package exporter

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/session"
)

func TestExportAndAgain(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 120)
	r.account.AddMailbox(imaptest.Mailbox{Name: "送信済み", Role: `\Sent`, Subscribed: true})
	r.fill("送信済み", 30)
	r.account.AddMailbox(imaptest.Mailbox{Name: "Work", NoSelect: true})
	r.account.AddMailbox(imaptest.Mailbox{Name: "Work/2016/a.b"})
	r.account.AddMessage("Work/2016/a.b", imaptest.Message{Octets: r.account.Messages("INBOX")[7].Octets})
	r.account.AddMailbox(imaptest.Mailbox{Name: "Empty"})

	var last Progress
	r.opts.Progress = func(p Progress) { last = p }
	res := r.run(0)
	if !res.Created {
		t.Error("the archive is not new")
	}
	for _, name := range []string{"INBOX", "送信済み", "Work/2016/a.b", "Empty"} {
		r.checkEqual(name)
	}
	if first := res.Mailboxes[0].Name; first != "INBOX" {
		t.Errorf("%s was copied first", first)
	}
	total := res.Total()
	if total.Listed != 151 || total.Now != 151 || total.Linked != 1 || res.Stored == 0 {
		t.Errorf("figures: %+v, stored %d", total, res.Stored)
	}
	if last.Messages != 151 || last.MessagesPlanned != 151 || last.Octets != last.OctetsPlanned || last.Mailboxes != 4 || last.MailboxesOf != 4 {
		t.Errorf("last progress: %+v", last)
	}
	if asked := r.asked(); len(asked) != 151 {
		t.Errorf("%d bodies asked for", len(asked))
	}
	a := r.archive()
	if m := r.mailbox(a, "送信済み"); m.Role() != `\Sent` || !m.Subscribed || m.Raw != "&kAFP4W4IMH8-" {
		t.Errorf("mailbox record: %+v", m)
	}
	if m := r.mailbox(a, "Work"); !m.HasAttr(`\Noselect`) || len(m.Epochs) != 0 {
		t.Errorf("container: %+v", m)
	}
	if st := a.Epoch(r.mailbox(a, "INBOX").ID).State; st == nil || st.Exists != 120 || st.UIDNext != 121 {
		t.Errorf("state: %+v", st)
	}
	if runs := a.Runs(); len(runs) != 1 || runs[0].Exit != 0 || runs[0].End.IsZero() {
		t.Errorf("runs: %+v", runs)
	}
	r.checkSound()

	res = r.run(0)
	if asked := r.asked(); len(asked) != 0 {
		t.Errorf("the second run asked for %v", asked)
	}
	if total := res.Total(); total.Before != 151 || total.Now != 0 || res.Created {
		t.Errorf("second run: %+v", total)
	}
	r.checkSound()
}

func TestFlagsAndVanished(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 10)
	r.run(0)
	r.account.SetFlags("INBOX", 3, `\Deleted`, "todo")
	r.account.Expunge("INBOX", 5)
	gone := r.archive().Message(archive.Key{Mailbox: 1, Epoch: 1, UID: 5})
	res := r.run(0)
	if m := r.figures(res, "INBOX"); m.FlagsChanged != 1 || m.Gone != 1 || m.Before != 9 || m.Listed != 9 {
		t.Errorf("figures: %+v", m)
	}
	if len(r.asked()) != 0 {
		t.Error("bodies were fetched")
	}
	r.checkEqual("INBOX")
	a := r.archive()
	if m := a.Message(gone.Key); m == nil || !m.Gone || len(r.octets(a, m)) == 0 {
		t.Errorf("the message that left the server: %+v", m)
	}

	// It comes back, as after a restore of the server.
	r.account.AddMessage("INBOX", imaptest.Message{UID: 5, Octets: r.octets(a, gone), Flags: gone.Flags, InternalDate: gone.InternalDate})
	if m := r.figures(r.run(0), "INBOX"); m.Back != 1 || m.Before != 10 || m.Gone != 0 {
		t.Errorf("figures: %+v", m)
	}
	r.checkEqual("INBOX")
	if res := r.run(0).Total(); res.Back+res.Gone+res.FlagsChanged != 0 {
		t.Errorf("a run without changes: %+v", res)
	}
}

func TestNewUIDValidity(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 20)
	stored := r.run(0).Stored
	r.account.SetUIDValidity("INBOX", 99, 1000)
	r.fill("INBOX", 1)
	res := r.run(0)
	m := r.figures(res, "INBOX")
	if !m.NewEpoch || m.Now != 21 || m.Linked != 20 {
		t.Errorf("figures: %+v", m)
	}
	if res.Stored > stored/2 {
		t.Errorf("%d octets stored after %d: octets were stored twice", res.Stored, stored)
	}
	r.checkEqual("INBOX")
	r.checkSound()
	a := r.archive()
	old := 0
	for msg := range a.Messages(1) {
		old += b2i(msg.Epoch == 1)
	}
	if old != 20 {
		t.Errorf("%d messages of the old epoch are left", old)
	}
	r.run(0)
	if asked := r.asked(); len(asked) != 0 {
		t.Errorf("the run after that asked for %v", asked)
	}
}

// A mailbox that is renumbered while it is copied is begun again, also when the new UIDs look like
// the old ones.
func TestNewUIDValidityMeanwhile(t *testing.T) {
	for _, first := range []uint32{500, 2} {
		r := newRig(t)
		r.fill("INBOX", 40)
		r.server.SetFaults(imaptest.Faults{Cut: once(20)})
		r.onPause = func() { r.account.SetUIDValidity("INBOX", 4711, first) }
		res := r.run(0)
		if m := r.figures(res, "INBOX"); m.Now != 40 || m.Listed != 40 {
			t.Errorf("figures: %+v", m)
		}
		r.checkEqual("INBOX")
		r.checkSound()
	}
}

// A server that renumbers again and again comes to an end, and loses nothing.
func TestNewUIDValidityAlways(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 40)
	r.fill("Other", 2)
	r.server.SetFaults(imaptest.Faults{Cut: times(imaptest.Always, 20)})
	validity := uint32(5000)
	r.onPause = func() { validity++; r.account.SetUIDValidity("INBOX", validity, 1) }
	res := r.run(4)
	if r.figures(res, "INBOX").Changed == "" || r.figures(res, "Other").Now != 2 {
		t.Errorf("result: %v", res)
	}
	r.server.SetFaults(imaptest.Faults{})
	r.run(0)
	r.checkEqual("INBOX")
	r.checkSound()
}

// Old UIDs under the old UIDVALIDITY, but other messages.
func TestUIDValidityIgnored(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 10)
	r.run(0)
	old := r.account.Messages("INBOX")
	for i, m := range old {
		other := old[(i+3)%len(old)]
		r.account.AddMessage("INBOX", imaptest.Message{UID: m.UID, Octets: other.Octets, Flags: other.Flags, InternalDate: other.InternalDate})
	}
	m := r.figures(r.run(0), "INBOX")
	if !m.NewEpoch || m.Now != 10 || m.Linked != 10 || m.Gone != 0 {
		t.Errorf("figures: %+v", m)
	}
	r.checkEqual("INBOX")
	r.checkSound()
	r.run(0)
	if asked := r.asked(); len(asked) != 0 {
		t.Errorf("the run after that asked for %v", asked)
	}
}

// Sizes that are estimates, with dates made up anew: asked for once more, and found the same.
func TestSuspicionUnfounded(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 5)
	r.run(0)
	m := r.account.Messages("INBOX")[2]
	r.account.AddMessage("INBOX", imaptest.Message{UID: m.UID, Octets: m.Octets, Flags: m.Flags, InternalDate: m.InternalDate.Add(time.Hour)})
	r.server.SetFaults(imaptest.Faults{Sizes: map[imaptest.Key]uint32{{Mailbox: "INBOX", UID: m.UID}: 123456}})
	res := r.figures(r.run(0), "INBOX")
	if res.NewEpoch || res.Before != 5 || res.Now != 0 {
		t.Errorf("figures: %+v", res)
	}
	if asked := r.asked(); !slices.Equal(asked, []uint32{m.UID}) {
		t.Errorf("asked for %v", asked)
	}
}

// Mail is known by mailbox, epoch and UID, never by Message-ID or date.
func TestIdentity(t *testing.T) {
	r := newRig(t)
	bodies := [][]byte{
		[]byte("Message-ID: <same@id>\r\n\r\none\r\n"), []byte("Message-ID: <same@id>\r\n\r\ntwo\r\n"),
		[]byte("Message-ID:\r\n\r\nempty id\r\n"), []byte("Subject: no id\r\n\r\n"), []byte("\r\n"), []byte("x\x00y\rz\n\xff"), {},
	}
	for _, b := range bodies {
		r.account.AddMessage("INBOX", imaptest.Message{Octets: b, InternalDate: time.Unix(1e9, 0)})
	}
	r.run(0)
	r.checkEqual("INBOX")
	// A message ten years older than all others is moved in between the runs.
	uid := r.account.AddMessage("INBOX", imaptest.Message{Octets: []byte("old\r\n"), InternalDate: time.Unix(5e8, 0)})
	r.run(0)
	if asked := r.asked(); !slices.Equal(asked, []uint32{uid}) {
		t.Errorf("asked for %v, want %d", asked, uid)
	}
	r.checkEqual("INBOX")
	r.checkSound()
}

func TestFilters(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"INBOX", "Work", "Work/2016", "Spam"} {
		r.fill(name, 3)
	}
	r.run(0)
	r.fill("Work/2016", 1)
	r.fill("Spam", 1)
	r.account.RemoveMailbox("Work")
	r.opts.Include, r.opts.Exclude = []string{"Wo*", "inbox"}, []string{"Spam"}
	res := r.run(0)
	if len(res.Mailboxes) != 2 || res.Skipped != 1 || r.figures(res, "Work/2016").Now != 1 {
		t.Errorf("result: %v", res)
	}
	if !slices.Equal(res.Unlisted, []string{"Work"}) {
		t.Errorf("unlisted: %v", res.Unlisted)
	}
	a := r.archive()
	for name, want := range map[string]bool{"INBOX": true, "Work": false, "Work/2016": true, "Spam": true} {
		if m := r.mailbox(a, name); m.Listed != want {
			t.Errorf("%s: listed %v", name, m.Listed)
		}
	}
	if n := len(slices.Collect(a.Messages(r.mailbox(a, "Work").ID))); n != 3 {
		t.Errorf("the mailbox that is gone has %d messages", n)
	}

	r.opts.Include = []string{"Werk"}
	res = r.run(64)
	if want := `no mailbox matches "Werk"; there are "INBOX", "Spam", "Work/2016"`; res.Err.Error() != want {
		t.Errorf("error %q, want %q", res.Err, want)
	}
	r.opts.Include, r.opts.Exclude = nil, []string{"*"}
	r.run(64)
	if runs := r.archive().Runs(); len(runs) != 2 {
		t.Errorf("%d runs are recorded", len(runs))
	}
}

func TestEmptiedSource(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 8)
	r.fill("Trash", 4)
	r.run(0)
	for uid := uint32(1); uid <= 8; uid++ {
		r.account.Expunge("INBOX", uid)
	}
	m := r.figures(r.run(4), "INBOX")
	if m.Changed == "" || m.Gone != 0 {
		t.Errorf("figures: %+v", m)
	}
	if n := len(r.archive().Current(1)); n != 8 {
		t.Errorf("%d messages are left", n)
	}
	// With a new UIDVALIDITY, as of a server that has lost everything.
	r.account.SetUIDValidity("INBOX", 5, 1)
	r.run(4)
	if n := len(r.archive().Current(1)); n != 8 {
		t.Errorf("%d messages are left after a new UIDVALIDITY", n)
	}
	// And with all mailboxes gone but INBOX.
	r.account.RemoveMailbox("Trash")
	res := r.run(4)
	if len(res.Changed) != 1 || len(res.Unlisted) != 0 || !r.mailbox(r.archive(), "Trash").Listed {
		t.Errorf("result: %v", res)
	}
}

func TestBelieveEmpty(t *testing.T) {
	r := newRig(t)
	r.fill("Trash", 4)
	r.run(0)
	for uid := uint32(1); uid <= 4; uid++ {
		r.account.Expunge("Trash", uid)
	}
	r.opts.BelieveEmpty = true
	if m := r.figures(r.run(0), "Trash"); m.Gone != 4 {
		t.Errorf("figures: %+v", m)
	}
	r.opts.BelieveEmpty = false
	r.run(0)
}

func TestDryRun(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 7)
	r.opts.DryRun = true
	res := r.run(0)
	if f := res.Total(); f.Listed != 7 || f.Left != 7 || f.LeftOctets == 0 || f.Now != 0 {
		t.Errorf("figures: %+v", f)
	}
	if _, err := os.Stat(r.opts.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the archive was made: %v", err)
	}
	r.opts.DryRun = false
	r.run(0)
	r.fill("INBOX", 2)
	r.account.Expunge("INBOX", 1)
	before := treeState(t, r.opts.Dir)
	r.opts.DryRun = true
	if f := r.run(0).Total(); f.Before != 6 || f.Left != 2 || f.Gone != 1 {
		t.Errorf("figures: %+v", f)
	}
	if after := treeState(t, r.opts.Dir); !slices.Equal(before, after) {
		t.Errorf("the archive was changed:\n%v\n%v", before, after)
	}
	if len(r.asked()) != 0 {
		t.Error("bodies were fetched")
	}
}

func treeState(t *testing.T, dir string) (state []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			state = append(state, path+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestWhereTo(t *testing.T) {
	t.Run("another account's archive", func(t *testing.T) {
		r := newRigOn(t, imaptest.ServerOptions{Users: map[string]string{"user": "pw", "other": "pw"}})
		r.fill("INBOX", 2)
		r.run(0)
		r.opts.Session.User = "other"
		res := r.run(64)
		var source *SourceError
		if !errors.As(res.Err, &source) || len(r.server.Commands()) != 0 {
			t.Errorf("error %v", res.Err)
		}
		r.opts.OtherSource = true
		r.run(4) // its INBOX is empty
	})
	t.Run("some other directory", func(t *testing.T) {
		r := newRig(t)
		if err := os.MkdirAll(r.opts.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.opts.Dir, "thesis.tex"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.run(10)
		if len(r.server.Commands()) != 0 {
			t.Error("the server was asked though there was nowhere to copy to")
		}
	})
	t.Run("empty directory", func(t *testing.T) {
		r := newRig(t)
		if err := os.MkdirAll(r.opts.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.run(0)
	})
	t.Run("locked", func(t *testing.T) {
		r := newRig(t)
		r.run(0)
		w, err := archive.OpenWriter(r.opts.Dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		r.run(11)
	})
	t.Run("no archive given", func(t *testing.T) {
		r := newRig(t)
		r.opts.Dir = ""
		r.run(64)
	})
}

func TestCannotSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *rig)
		exit   int
	}{
		"no server":           {func(r *rig) { r.opts.Session.Port = 1 }, 14},
		"unknown certificate": {func(r *rig) { r.opts.Session.TLS, r.opts.Session.Port = session.TLSImplicit, port(r.server.TLSAddr) }, 15},
		"wrong user":          {func(r *rig) { r.opts.Session.User = "nobody" }, 16},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.change(r)
			r.run(c.exit)
			if len(r.pauses) != 0 {
				t.Errorf("%d further tries", len(r.pauses))
			}
			if _, err := os.Stat(r.opts.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("an archive was left behind: %v", err)
			}
		})
	}
}
