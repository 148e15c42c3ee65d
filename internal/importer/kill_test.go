package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"mailark/internal/durable"
	"mailark/internal/imaptest"
)

var errKilled = errors.New("killed")

// killer is a durable.Hook that lets nothing happen from one step on.
type killer struct {
	at      int  // step
	after   bool // the step itself still happens
	dead    atomic.Bool
	onDeath func()
}

func (k *killer) hook(s durable.Step, done bool) error {
	if !k.dead.Load() && (s.N > k.at || s.N == k.at && done == k.after) {
		k.dead.Store(true)
		k.onDeath()
	}
	if k.dead.Load() {
		return errKilled
	}
	return nil
}

// TestKillAtEveryStep dies before and after every step of the ledger, with a server that stores what
// is under way and with one that does not, then runs again: nothing is lost, nothing is there twice, and
// nothing had to be adopted, for every message that may have been sent has its intent.
func TestKillAtEveryStep(t *testing.T) {
	msgs := twins(40)
	n := len(msgs)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	steps := durable.New(func(durable.Step, bool) error { return nil })
	{
		opts := options(t, dir, newServer(t, imaptest.ServerOptions{}))
		opts.Ledger, opts.FS = filepath.Join(t.TempDir(), "l", "ledger.jsonl"), steps
		runWant(t, opts, fmt.Sprintf("%d=0+%d+0+0+0+0", n, n), 0)
	}
	for step := 1; step <= steps.Steps(); step++ {
		for variant := range 8 {
			after, stores, uidplus := variant&1 > 0, variant&2 > 0, variant&4 > 0
			if testing.Short() && (step+variant)%5 > 0 {
				continue
			}
			t.Run(fmt.Sprintf("step %d after %v, stores %v, UIDPLUS %v", step, after, stores, uidplus), func(t *testing.T) {
				t.Parallel()
				s := newServer(t, imaptest.ServerOptions{NoUIDPlus: !uidplus})
				k := &killer{at: step, after: after, onDeath: func() {
					if !stores {
						s.SetFaults(imaptest.Faults{Append: func(imaptest.AppendCall) imaptest.AppendFault {
							return imaptest.AppendDrop
						}})
					}
				}}
				opts := options(t, dir, s)
				opts.Ledger = filepath.Join(t.TempDir(), "l", "ledger.jsonl")
				opts.FS = durable.New(k.hook)
				sum, err := Run(t.Context(), opts)
				if !errors.Is(err, errKilled) {
					t.Fatalf("not killed: %v", err)
				}
				for _, r := range sum.Mailboxes {
					if !r.addsUp() {
						t.Errorf("killed: %s", numbers(r))
					}
				}
				s.SetFaults(imaptest.Faults{})
				opts.FS = nil
				sum, err = Run(t.Context(), opts)
				if total := sum.Total(); err != nil || total.Before+total.Uploaded != n {
					t.Errorf("second run: %s %v", numbers(total), err)
				}
				sameMail(t, s, "INBOX", msgs)
			})
		}
	}
}
