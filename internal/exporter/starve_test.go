package exporter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mailark/archive"
	"mailark/internal/imaptest"
)

// A message that cannot be archived because of its size is refused once, wherever it stands.
func TestHugeFirst(t *testing.T) {
	list := letters(3)
	s := &scripted{boxes: boxes("INBOX", "Other"), answer: func(box, command string) (string, string) {
		if box == "INBOX" && isBody(command) && inSet(strings.Fields(command)[2], 1) {
			return fmt.Sprintf("* 1 FETCH (UID 1 BODY[] {%d}\r\nxx", int64(archive.MaxMessageSize)+1), hangUp
		}
		return show(command, 9, list...), ""
	}}
	r := s.rig(t)
	res := r.expect(3)
	if len(res.Refused) != 1 || res.Refused[0].UID != 1 || res.Total().Now != 5 || res.Total().Left != 0 {
		t.Errorf("result: %v", res)
	}
}

// Our own miscounting of one mailbox does not keep the others from being copied.
func TestMiscounted(t *testing.T) {
	r := newRig(t)
	r.opts.Connections = 1
	r.fill("INBOX", 4)
	r.fill("Other", 3)
	spoilt := false
	var x *export
	r.opts.Progress = func(p Progress) {
		if p.Mailbox == "INBOX" && p.Messages == 2 && !spoilt {
			spoilt = true
			x.copied[0].Before++
		}
	}
	x = newExport(r.opts)
	err := x.run(t.Context())
	x.finish(err)
	var figures *FiguresError
	if !errors.As(x.result.Err, &figures) || x.result.ExitCode() != 1 || figures.Mailbox != "INBOX" {
		t.Fatalf("error %v", x.result.Err)
	}
	if m := r.figures(x.result, "Other"); m.Now != 3 || m.Failed != "" {
		t.Errorf("Other: %+v", m)
	}
	if m := r.figures(x.result, "INBOX"); m.Failed == "" {
		t.Errorf("INBOX: %+v", m)
	}
	r.opts.Progress = nil
	r.run(0)
	r.checkEqual("INBOX")
}

// Messages that end the connection, each one, in a mailbox or in all of it, keep nobody from the next mailbox,
// and every run gets on.
func TestPoisonStarvesNobody(t *testing.T) {
	for _, c := range []struct{ poison, of int }{{20, 100}, {30, 30}, {60, 60}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			r := newRig(t)
			uids := r.fill("INBOX", c.of)
			r.fill("Other", 5)
			r.server.SetFaults(imaptest.Faults{Cut: inbox(uids[:c.poison]...)})
			known := -1
			for range 3 {
				res := r.run(3)
				if m := r.figures(res, "Other"); m.Now+m.Before != 5 {
					t.Fatalf("Other: %+v", m)
				}
				n := len(r.archive().Refusals())
				if n <= known && n < c.poison {
					t.Errorf("%d refusals after a run, %d before it", n, known)
				}
				known = n
			}
			r.checkEqual("Other")
			r.checkEqual("INBOX", uids[:c.poison]...)
		})
	}
}

// killers is a server with so many mailboxes in a row that end the connection when they are opened.
func killers(n int) *scripted {
	names := []string{"INBOX"}
	for i := range n {
		names = append(names, fmt.Sprintf("bad%d", i))
	}
	return &scripted{boxes: boxes(append(names, "good")...), answer: func(box, command string) (string, string) {
		if strings.HasPrefix(box, "bad") {
			return "", hangUp
		}
		return show(command, 9, letters(1)...), ""
	}}
}

func TestKillersStarveNobody(t *testing.T) {
	res := killers(8).rig(t).expect(3)
	if res.Total().Now != 2 || len(res.failed()) != 8 || res.Unseen != 0 {
		t.Errorf("result: %v", res)
	}
}

// When one mailbox after the other is lost it is the server, and the run ends.
func TestLostMailboxesEndTheRun(t *testing.T) {
	res := killers(40).rig(t).expect(75)
	if n := len(res.failed()); !errors.Is(res.Err, ErrGaveUp) || n < maxLostMailboxes || n > maxLostMailboxes+2*connections(t) {
		t.Errorf("%v, %d mailboxes failed", res.Err, len(res.failed()))
	}
}
