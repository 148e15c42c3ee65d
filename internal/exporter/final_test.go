package exporter

import (
	"strings"
	"testing"

	"mailark/internal/imaptest"
	"mailark/internal/limit"
)

// final runs until two passes agree, and demands the exit code and the number of passes.
func (r *rig) final(exit, passes int, between func(n int)) *FinalResult {
	r.Helper()
	told := 0
	res, err := Final(r.Context(), r.opts, 5, func(n int, _ *Result) {
		if told++; n != told {
			r.Errorf("told of pass %d as the %d.", n, told)
		}
		between(n)
	})
	if res.ExitCode() != exit || len(res.Passes) != passes {
		r.Fatalf("exit %d after %d passes, want %d after %d (error %v)\n%v",
			res.ExitCode(), len(res.Passes), exit, passes, err, res.Last())
	}
	if strings.HasPrefix(res.Line(), "Final: ") != (exit == 0) {
		r.Errorf("exit %d: %s", exit, res.Line())
	}
	return res
}

// What changes between two passes makes another one necessary, whatever it is.
func TestFinal(t *testing.T) {
	tests := map[string]struct {
		change func(r *rig)
		passes int
	}{
		"nothing":        {func(*rig) {}, 2},
		"new mail":       {func(r *rig) { r.fill("INBOX", 1) }, 3},
		"mail deleted":   {func(r *rig) { r.account.Expunge("INBOX", 2) }, 3},
		"came and went":  {func(r *rig) { r.account.Expunge("INBOX", r.fill("INBOX", 1)[0]) }, 3},
		"flags":          {func(r *rig) { r.account.SetFlags("INBOX", 2, `\Answered`) }, 3},
		"new mailbox":    {func(r *rig) { r.account.AddMailbox(imaptest.Mailbox{Name: "New"}) }, 3},
		"mailbox left":   {func(r *rig) { r.account.RemoveMailbox("Other") }, 3},
		"subscribed":     {func(r *rig) { r.account.AddMailbox(imaptest.Mailbox{Name: "Other", Subscribed: true}) }, 3},
		"role":           {func(r *rig) { r.account.AddMailbox(imaptest.Mailbox{Name: "Other", Role: `\Junk`}) }, 3},
		"renumbered":     {func(r *rig) { r.account.SetUIDValidity("INBOX", 99, 1) }, 3},
		"empty mailbox":  {func(r *rig) { r.account.SetUIDValidity("Other", 98, 1) }, 3},
		"EXISTS misread": {func(r *rig) { r.server.SetFaults(imaptest.Faults{ExistsLie: 1}) }, 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fill("INBOX", 4)
			r.account.AddMailbox(imaptest.Mailbox{Name: "Other"})
			r.account.AddMailbox(imaptest.Mailbox{Name: "Third"})
			exit := 0
			if test.passes == 5 {
				exit = 4
			}
			r.final(exit, test.passes, func(n int) {
				if n == 1 {
					test.change(r)
				}
			})
		})
	}
}

func TestFinalNeverEnds(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 3)
	res := r.final(4, 5, func(int) { r.fill("INBOX", 1) })
	if !strings.Contains(res.Line(), "still changing in pass 5") {
		t.Error(res.Line())
	}
}

// What the server refuses in both passes does not go away by repeating.
func TestFinalRefused(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 5)
	r.server.SetFaults(imaptest.Faults{NoBody: inbox(2)})
	r.final(3, 2, func(int) {})
}

// An error ends it at once.
func TestFinalError(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 5)
	r.opts.Session.User = "nobody"
	r.final(16, 1, func(int) {})
}

// A limit is one for all passes together.
func TestFinalLimit(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 6)
	total := int64(0)
	for _, m := range r.account.Messages("INBOX") {
		total += int64(len(m.Octets))
	}
	r.opts.Limits = limit.Limits{Transfer: total + 1}
	r.final(8, 2, func(n int) {
		if n == 1 {
			r.fill("INBOX", 60)
		}
	})
}
