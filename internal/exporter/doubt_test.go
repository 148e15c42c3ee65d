package exporter

import (
	"strings"
	"testing"

	"mailark/archive"
)

// A look at the mailbox in mid-run that shows next to nothing does not make the rest vanish.
func TestLookAgainDoubted(t *testing.T) {
	for name, later := range map[string][]int{
		"nothing, for ever": {0},
		"nothing, then all": {0, 50},
		"one, then nothing": {1, 0},
		"one, then all":     {1, 50},
	} {
		t.Run(name, func(t *testing.T) {
			shown, opened := 50, 0
			s := &scripted{boxes: boxes("INBOX")}
			s.answer = func(_, command string) (string, string) {
				if isBody(command) {
					return "", "NO Internal error"
				}
				if strings.HasPrefix(command, "EXAMINE") {
					if opened > 0 {
						shown = later[min(opened, len(later))-1]
					}
					opened++
				}
				return show(command, 9, letters(shown)...), ""
			}
			r := s.rig(t)
			m := r.figures(r.expect(3), "INBOX")
			if m.Vanished != 0 || m.Refused+m.Left != 50 {
				t.Errorf("figures: %+v", m)
			}
			if later[len(later)-1] == 0 && (m.Changed == "" || r.archive().Epoch(1).State != nil) {
				t.Errorf("the mailbox counts as seen: %+v", m)
			}
		})
	}
}

// When two looks agree, many messages may have vanished.
func TestManyVanished(t *testing.T) {
	list := letters(50)
	s := &scripted{boxes: boxes("INBOX")}
	asked := false
	s.answer = func(_, command string) (string, string) {
		if isBody(command) {
			asked = true
		}
		if asked {
			return show(command, 9, list[:10]...), ""
		}
		return show(command, 9, list...), ""
	}
	r := s.rig(t)
	if m := r.figures(r.expect(0), "INBOX"); m.Vanished != 40 || m.Now != 10 {
		t.Errorf("figures: %+v", m)
	}
}

// A known UID that looks like another message and cannot be had is not passed off as archived.
func TestSuspectNotGiven(t *testing.T) {
	for name, status := range map[string]string{"refused": "NO no", "passed over": ""} {
		t.Run(name, func(t *testing.T) {
			list := letters(3)
			second := false
			s := &scripted{boxes: boxes("INBOX")}
			s.answer = func(_, command string) (string, string) {
				if second && isBody(command) && inSet(strings.Fields(command)[2], 1) {
					return "", status
				}
				return show(command, 9, list...), ""
			}
			r := s.rig(t)
			r.expect(0)
			before := r.archive().Epoch(1).State.Time
			second = true
			list[0].day, list[0].size = 5, 4000
			list = append(list, letter{body: "Subject: new\r\n\r\n"})
			m := r.figures(r.expect(4), "INBOX")
			if m.Changed == "" || m.Now != 1 || m.Before != 3 {
				t.Errorf("figures: %+v", m)
			}
			if e := r.archive().Epoch(1); !e.State.Time.Equal(before) {
				t.Error("the mailbox is noted as copied")
			}
			// The same message after all, or another one.
			second = false
			list[0].body = "another\r\n"
			r.expect(0)
			if n := len(r.archive().Mailbox(1).Epochs); n != 2 {
				t.Errorf("%d epochs, want 2", n)
			}
			if r.archive().Message(archive.Key{Mailbox: 1, Epoch: 2, UID: 1}) == nil {
				t.Error("the other message is not archived")
			}
		})
	}
}
