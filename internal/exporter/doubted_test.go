package exporter

import (
	"testing"

	"mailark/internal/imaptest"
)

// TestDoubtedState: what a run that compared everything did not believe is not proven by figures afterwards.
func TestDoubtedState(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 20)
	r.fill("Work", 20)
	r.run(0)
	r.opts.Full = true
	r.server.SetFaults(imaptest.Faults{ExistsLie: 1})
	r.run(4)
	r.opts.Full = false
	r.server.SetFaults(imaptest.Faults{})
	for _, m := range r.run(0).Mailboxes {
		if m.Unchanged {
			t.Errorf("%s was not looked at", m.Name)
		}
	}
}
