package exporter

import (
	"fmt"
	"strings"
	"testing"

	"mailark/internal/session"
)

// A mailbox that has mail in the archive does not leave the run because LIST calls it \Noselect.
func TestNoselectWithMail(t *testing.T) {
	names, refuse := []string{"INBOX", "Work", `\Noselect|Parent`}, false
	s := &scripted{boxes: func() []string { return names }}
	s.answer = func(box, command string) (string, string) {
		if refuse && box == "Work" || box == "Parent" {
			return "", "NO no such mailbox"
		}
		return show(command, 9, letters(2)...), ""
	}
	r := s.rig(t)
	if res := r.expect(0); len(res.Mailboxes) != 2 {
		t.Fatalf("result: %v", res)
	}
	names[1] = `\Noselect|Work`
	if res := r.expect(0); r.figures(res, "Work").Before != 2 {
		t.Errorf("result: %v", res)
	}
	refuse = true
	if res := r.expect(3); r.figures(res, "Work").Failed == "" || strings.Contains(res.String(), "Complete") {
		t.Errorf("result: %v", res)
	}
}

func manyNames(n int) []string {
	names := []string{"INBOX"}
	for i := range n {
		names = append(names, fmt.Sprintf("box%d", i))
	}
	return names
}

// A LIST that is far too short is asked for again, and only what is missing twice is marked as gone.
func TestShortList(t *testing.T) {
	all := manyNames(30)
	for name, c := range map[string]struct {
		lists [][]string
		gone  int
	}{
		"once":          {[][]string{all[:5], all}, 0},
		"twice":         {[][]string{all[:5], all[:5]}, 26},
		"other ones":    {[][]string{all[:10], append([]string{"INBOX"}, all[10:]...)}, 0},
		"two are gone":  {[][]string{all[:29], all}, 2},
		"INBOX alone":   {[][]string{all[:1], all}, 0},
		"nothing, once": {[][]string{nil, all}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			lists, asked := [][]string{all}, 0
			s := &scripted{boxes: func() []string {
				asked++
				return lists[min(asked, len(lists))-1]
			}}
			s.answer = func(_, command string) (string, string) { return show(command, 9), "" }
			r := s.rig(t)
			r.expect(0)
			lists, asked = c.lists, 0
			if res := r.expect(0); len(res.Unlisted) != c.gone {
				t.Errorf("%d mailboxes marked as gone, want %d", len(res.Unlisted), c.gone)
			}
		})
	}
}

// The first run of all is not content with a LIST that shows nothing, either.
func TestShortListAtFirst(t *testing.T) {
	asked := 0
	s := &scripted{boxes: func() []string {
		if asked++; asked == 1 {
			return nil
		}
		return manyNames(3)
	}}
	s.answer = func(_, command string) (string, string) { return show(command, 9), "" }
	if res := s.rig(t).expect(0); len(res.Mailboxes) != 4 {
		t.Errorf("result: %v", res)
	}
}

// A mailbox that has lost most of its messages is looked at twice.
func TestShrunkMailbox(t *testing.T) {
	for name, c := range map[string]struct {
		looks []int // how many are shown
		exit  int
		gone  int
	}{
		"once":     {[]int{1, 100}, 0, 0},
		"for good": {[]int{1, 1}, 0, 99},
		"half way": {[]int{1, 60}, 0, 40},
		"less":     {[]int{30, 1}, 4, 0},
		"a few":    {[]int{80}, 0, 20},
	} {
		t.Run(name, func(t *testing.T) {
			looks, opened := []int{100}, 0
			s := &scripted{boxes: boxes("INBOX")}
			s.answer = func(_, command string) (string, string) {
				if strings.HasPrefix(command, "EXAMINE") {
					opened++
				}
				return show(command, 9, letters(looks[min(opened, len(looks))-1])...), ""
			}
			r := s.rig(t)
			r.expect(0)
			looks, opened = c.looks, 0
			if m := r.figures(r.expect(c.exit), "INBOX"); m.Gone != c.gone {
				t.Errorf("figures: %+v", m)
			}
		})
	}
}

// Without UIDVALIDITY nothing says that UIDs mean the same when the mailbox is opened again, so the
// mailbox is compared, and begun again if it is another.
func TestNoValidityReopened(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprint(other), func(t *testing.T) {
			list, lost := letters(4), false
			s := &scripted{boxes: boxes("INBOX")}
			s.answer = func(_, command string) (string, string) {
				if !isBody(command) || lost {
					return show(command, 0, list...), ""
				}
				lost = true
				text := show(command, 0, list[:2]...)
				if other {
					list = append([]letter{{body: "quite another message\r\n", day: 9}}, list...)
				}
				return text, hangUp
			}
			r := s.rig(t)
			r.expect(0)
			a := r.archive()
			if n := len(a.Mailbox(1).Epochs); n != 1+b2i(other) {
				t.Errorf("%d epochs", n)
			}
			current := a.Current(1)
			if len(current) != len(list) {
				t.Errorf("%d messages, want %d", len(current), len(list))
			}
			for _, m := range current {
				if got := string(r.octets(a, m)); got != list[m.UID-1].body {
					t.Errorf("UID %d is archived as %q", m.UID, got)
				}
			}
		})
	}
}

// Of mailboxes whose names mean the same, each is opened by its own octets.
func TestNamesAlike(t *testing.T) {
	s := &scripted{boxes: boxes("INBOX", `"お知らせ"`, `"&MEp35TCJMFs-"`)}
	s.answer = func(box, command string) (string, string) { return show(command, 9, letters(len(box))...), "" }
	r := s.rig(t)
	res := r.expect(0)
	if len(res.Mailboxes) != 3 || res.Total().Now != len("INBOX")+len("お知らせ")+len("&MEp35TCJMFs-") {
		t.Errorf("result: %v", res)
	}
	for name, raw := range map[string]string{
		"お知らせ": "&MEp35TCJMFs-", `お知らせ (written "\u304a\u77e5\u3089\u305b")`: "お知らせ",
	} {
		if m := r.mailbox(r.archive(), name); m.Raw != raw || len(r.archive().Current(m.ID)) != len(raw) {
			t.Errorf("%q is %+q with %d messages", name, m.Raw, len(r.archive().Current(m.ID)))
		}
	}
}

// Mailboxes that are not the user's own are left out, and counted.
func TestForeignCounted(t *testing.T) {
	x := newExport(Options{})
	chosen, err := x.choose([]session.Mailbox{{Name: "INBOX", Raw: "INBOX"}, {Name: "Shared/x", Raw: "Shared/x", Foreign: true}})
	if err != nil || len(chosen) != 1 || x.result.Foreign != 1 || x.result.Skipped != 0 {
		t.Errorf("chosen %v, foreign %d, skipped %d, error %v", chosen, x.result.Foreign, x.result.Skipped, err)
	}
	if !strings.Contains(x.result.String(), "1 mailbox left out, for") {
		t.Errorf("the summary is silent about it: %v", x.result)
	}
}
