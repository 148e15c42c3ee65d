package exporter

import (
	"strings"
	"testing"
)

// TestNoselectNotNow: a mailbox that LIST calls \Noselect and that could not be tried because the server was busy, or lost
// the connection, does not count as one that holds no mail.
func TestNoselectNotNow(t *testing.T) {
	for _, status := range []string{"NO [INUSE] try again later", hangUp} {
		t.Run(status, func(t *testing.T) {
			now := false
			s := &scripted{boxes: func() []string { return []string{"INBOX", `\Noselect|Parent`} }}
			s.answer = func(box, command string) (string, string) {
				if box == "Parent" && !now {
					return "", status
				}
				return show(command, 9, letters(2)...), ""
			}
			r := s.rig(t)
			res := r.expect(3)
			if r.figures(res, "Parent").Failed == "" || strings.Contains(res.String(), "Complete") {
				t.Errorf("result: %v", res)
			}
			now = true
			if res := r.expect(0); r.figures(res, "Parent").Now != 2 {
				t.Errorf("result: %v", res)
			}
		})
	}
}
