package exporter

import (
	"context"
	"slices"
	"strings"
	"testing"

	"mailark/internal/imaptest"
)

func (r *rig) list(exit int) *Overview {
	r.Helper()
	r.server.ForgetCommands()
	o, err := List(r.Context(), r.opts)
	if o.ExitCode() != exit {
		r.Fatalf("exit %d, want %d (error %v)", o.ExitCode(), exit, err)
	}
	r.checkReadOnly()
	return o
}

func (r *rig) sent(command string) (n int) {
	for _, c := range r.server.Commands() {
		n += b2i(c.Name == command)
	}
	return n
}

// The figures are the same with STATUS=SIZE and without, and so they are where STATUS is refused.
func TestList(t *testing.T) {
	for name, test := range map[string]struct {
		offered bool
		faults  imaptest.Faults
		opened  int
	}{
		"by STATUS":      {true, imaptest.Faults{}, 0},
		"by FETCH":       {false, imaptest.Faults{}, 3},
		"STATUS refused": {true, imaptest.Faults{Refuse: map[string]int{"STATUS": imaptest.Always}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOn(t, imaptest.ServerOptions{StatusSize: test.offered})
			r.account.AddMailbox(imaptest.Mailbox{Name: "Level", NoSelect: true})
			r.account.AddMailbox(imaptest.Mailbox{Name: "A", Role: `\Trash`, Subscribed: true})
			r.fill("仕事/会議", 3)
			r.fill("INBOX", 7)
			r.server.SetFaults(test.faults)
			o := r.list(0)
			want := make(map[string]int64)
			for _, box := range []string{"INBOX", "仕事/会議"} {
				for _, m := range r.account.Messages(box) {
					want[box] += int64(len(m.Octets))
				}
			}
			var names []string
			for _, m := range o.Mailboxes {
				names = append(names, m.Name)
				if m.Octets != want[m.Name] || m.Messages != len(r.account.Messages(m.Name)) || (m.UIDValidity == 0) != m.NoMail {
					t.Errorf("%+v, want %d octets", m, want[m.Name])
				}
			}
			if !slices.Equal(names, []string{"INBOX", "A", "Level", "仕事/会議"}) {
				t.Errorf("mailboxes: %q", names)
			}
			if got := r.sent("EXAMINE"); got != test.opened {
				t.Errorf("%d mailboxes were opened, want %d", got, test.opened)
			}
			var out strings.Builder
			if err := o.Print(&out); err != nil || !strings.Contains(out.String(), "  yes  Trash      A\n") ||
				!strings.Contains(out.String(), "Level  (holds no mail)\n") || !strings.Contains(out.String(), "  in 4 mailboxes\n") {
				t.Errorf("error %v:\n%s", err, &out)
			}
		})
	}
}

func TestListOptions(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 2)
	r.fill("A", 2)
	r.opts.Include = []string{"inbox"}
	if o := r.list(0); len(o.Mailboxes) != 1 || o.Skipped != 1 || r.sent("EXAMINE") != 1 {
		t.Errorf("%+v", o)
	}
	r.opts.Include = []string{"Snt"}
	r.list(64)
	r.opts.Include = nil
	r.server.SetFaults(imaptest.Faults{Refuse: map[string]int{"EXAMINE": 3}})
	if o := r.list(3); o.Mailboxes[0].Failed == "" && o.Mailboxes[1].Failed == "" {
		t.Errorf("%+v", o)
	}
	r.server.SetFaults(imaptest.Faults{ExistsLie: 2})
	if o := r.list(3); o.Mailboxes[0].Messages != 2 || !strings.Contains(o.Mailboxes[0].Failed, "says 4 messages but lists 2") {
		t.Errorf("%+v", o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o, _ := List(ctx, r.opts); o.ExitCode() != 130 {
		t.Errorf("interrupted: %+v", o)
	}
}
