package exporter

import (
	"testing"

	"mailark/internal/imaptest"
)

// Where the server tells its figures beforehand, the totals are right from the first message on, and what was copied
// before is not promised again.
func TestForeseen(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 20)
	r.fill("Other", 30)
	r.opts.Connections = 1
	totals := map[int64]bool{}
	var last Progress
	r.opts.Progress = func(p Progress) {
		last = p
		if s := p.State(); p.MessagesPlanned > 0 {
			totals[s.MessagesTotal] = true
			if s.Growing || s.OctetsTotal < p.OctetsPlanned {
				t.Errorf("%+v is %+v", p, s)
			}
		}
	}
	r.run(0)
	if len(totals) != 1 || !totals[50] || last.MessagesAhead != 0 {
		t.Errorf("totals %v, at last %+v", totals, last)
	}
	r.fill("Other", 3)
	clear(totals)
	r.run(0)
	if len(totals) != 1 || !totals[3] {
		t.Errorf("totals of the second run %v", totals)
	}
}

// Where it does not, the totals grow, and no time is promised.
func TestNotForeseen(t *testing.T) {
	r := newRigOn(t, imaptest.ServerOptions{NoListStatus: true})
	r.fill("INBOX", 20)
	r.fill("Other", 30)
	r.opts.Connections = 1
	grew := false
	r.opts.Progress = func(p Progress) { grew = grew || p.State().Growing }
	r.run(0)
	if !grew {
		t.Error("totals that are not known do not grow")
	}
}
