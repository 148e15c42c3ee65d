package exporter

import (
	"fmt"
	"strings"
	"testing"
)

// A message that comes with fewer octets than told once is not archived like that.
func TestShrunkOnce(t *testing.T) {
	list := letters(6)
	list[2].body += strings.Repeat("x", 5000)
	for _, every := range []bool{false, true} {
		t.Run(fmt.Sprint(every), func(t *testing.T) {
			given := map[string]bool{}
			s := &scripted{boxes: boxes("INBOX")}
			s.answer = func(_, command string) (string, string) {
				if !isBody(command) {
					return show(command, 9, list...), ""
				}
				cut := make([]letter, len(list))
				for i, l := range list {
					cut[i] = l
					set := strings.Fields(command)[2]
					if key := fmt.Sprint(i); inSet(set, i+1) && !given[key] && (every || i == 2) {
						given[key] = true
						cut[i].body = l.body[:11]
					}
				}
				return show(command, 9, cut...), ""
			}
			r := s.rig(t)
			if m := r.figures(r.expect(0), "INBOX"); m.Now != 6 || m.SizeDiffers != 0 {
				t.Errorf("figures: %+v", m)
			}
			a := r.archive()
			for _, m := range a.Current(1) {
				if got := string(r.octets(a, m)); got != list[m.UID-1].body {
					t.Errorf("UID %d is archived as %q", m.UID, got)
				}
			}
		})
	}
}

// A message that comes short in another way each time is refused.
func TestShrunkDifferently(t *testing.T) {
	n := 10
	s := &scripted{boxes: boxes("INBOX")}
	s.answer = func(_, command string) (string, string) {
		if isBody(command) {
			n++
			return show(command, 9, letter{body: strings.Repeat("x", n)}), ""
		}
		return show(command, 9, letter{size: 5000}), ""
	}
	r := s.rig(t)
	res := r.expect(3)
	if len(res.Refused) != 1 || !strings.Contains(res.Refused[0].Text, "of 5000") || res.Total().Now != 0 {
		t.Errorf("result: %v", res)
	}
}

// Servers that estimate sizes: a few messages are asked for twice, the others are trusted.
func TestSizesEstimated(t *testing.T) {
	for _, n := range []int{1, enoughShort, 300} {
		list := letters(n)
		for i := range list {
			list[i].size = 9000
		}
		asked := 0
		s := &scripted{boxes: boxes("INBOX")}
		s.answer = func(_, command string) (string, string) {
			if isBody(command) {
				for i := range list {
					asked += b2i(inSet(strings.Fields(command)[2], i+1))
				}
			}
			return show(command, 9, list...), ""
		}
		r := s.rig(t)
		if m := r.figures(r.expect(0), "INBOX"); m.Now != n || m.SizeDiffers != n {
			t.Errorf("%d messages: %+v", n, m)
		}
		if asked > 2*n || n == 300 && asked > 2*n+enoughShort {
			t.Errorf("%d messages: bodies asked for %d times", n, asked)
		}
	}
}
