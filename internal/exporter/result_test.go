package exporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/session"
)

func TestFiguresAddUp(t *testing.T) {
	good := Figures{Listed: 100, Before: 50, Now: 30, Vanished: 10, Refused: 7, Left: 3}
	if !good.addUp(80) {
		t.Error("right figures do not add up")
	}
	if good.addUp(79) || good.addUp(81) {
		t.Error("a message more or less in the archive is not noticed")
	}
	for name, change := range map[string]func(*Figures){
		"listed": func(f *Figures) { f.Listed++ }, "before": func(f *Figures) { f.Before-- },
		"now": func(f *Figures) { f.Now++ }, "vanished": func(f *Figures) { f.Vanished++ },
		"refused": func(f *Figures) { f.Refused-- }, "left": func(f *Figures) { f.Left = -3 },
	} {
		f := good
		change(&f)
		if f.addUp(f.Before + f.Now) {
			t.Errorf("%s changed, and the figures still add up", name)
		}
	}
	negative := Figures{Listed: 1, Before: 1, Now: 1, Left: -1}
	if negative.addUp(2) {
		t.Error("a message counted twice is not noticed")
	}
}

func TestExitCode(t *testing.T) {
	remote := func(class session.Class, err error) error {
		return &stopError{&session.Error{Op: "x", Class: class, Err: err}}
	}
	for _, c := range []struct {
		r    Result
		want int
	}{
		{Result{}, 0},
		{Result{Refused: []Refused{{}}}, 3},
		{Result{Mailboxes: []Mailbox{{Failed: "no"}}}, 3},
		{Result{Mailboxes: []Mailbox{{Changed: "?"}}}, 4},
		{Result{Changed: []string{"?"}}, 4},
		{Result{Refused: []Refused{{}}, Mailboxes: []Mailbox{{Changed: "?"}}}, 3},
		{Result{Err: errors.New("x")}, 1},
		{Result{Err: &FiguresError{}}, 1},
		{Result{Err: &archive.DamageError{}}, 7},
		{Result{Err: fmt.Errorf("x: %w", archive.ErrNotArchive)}, 10},
		{Result{Err: fmt.Errorf("x: %w", archive.ErrExists)}, 10},
		{Result{Err: archive.ErrLocked}, 11},
		{Result{Err: &stopError{fmt.Errorf("commit: %w", syscall.ENOSPC)}}, 13},
		{Result{Err: remote(session.ClassRetry, session.ErrConnect)}, 14},
		{Result{Err: remote(session.ClassFinal, session.ErrTLS)}, 15},
		{Result{Err: remote(session.ClassFinal, session.ErrSignIn)}, 16},
		{Result{Err: &UsageError{"x"}}, 64},
		{Result{Err: &SourceError{}}, 64},
		{Result{Err: &stopError{fmt.Errorf("%w: %w", ErrGaveUp, session.ErrConnect)}}, 75},
		{Result{Err: remote(session.ClassWait, errors.New("busy"))}, 75},
		{Result{Err: remote(session.ClassFinal, errors.New("no"))}, 1},
		{Result{Err: context.Canceled, Refused: []Refused{{}}}, 130},
	} {
		if got := c.r.ExitCode(); got != c.want {
			t.Errorf("%+v: exit %d, want %d", c.r, got, c.want)
		}
	}
}

func TestPrint(t *testing.T) {
	base := Result{
		Dir: "old-mail", Source: archive.Source{Host: "mail.example.org", User: "taro"}, Duration: 1234567 * time.Microsecond,
	}
	quiet := base
	quiet.Mailboxes = []Mailbox{
		{Name: "INBOX", Figures: Figures{Listed: 1200, Before: 1200}}, {Name: "Sent", Figures: Figures{Listed: 34, Before: 34}},
	}
	want := "taro at mail.example.org to old-mail: 1,234 messages in 2 mailboxes, 1.23s\n" +
		"Nothing new: all 1,234 messages were archived before\n" +
		"Complete: all 1,234 messages listed are in the archive.\n"
	if got := quiet.String(); got != want {
		t.Errorf("a run without changes prints\n%s\nwant\n%s", got, want)
	}

	busy := base
	busy.Stored = 700_000
	busy.Mailboxes = []Mailbox{
		{Name: "INBOX", Figures: Figures{Listed: 10, Before: 5, Now: 3, Vanished: 1, Refused: 1, Octets: 1_500_000, Linked: 1, Gone: 2}},
		{Name: "お知らせ", NewEpoch: true, Figures: Figures{Listed: 2, Now: 2, Octets: 20}},
		{Name: "Empty"},
		{Name: "Bad\x1b[31m", Failed: "NO\r\nsuch"},
	}
	busy.Refused = []Refused{{"INBOX", 5, "NO cannot read\x07"}}
	got := busy.String()
	for _, part := range []string{
		"Copied 5 messages (1.5 MB, which took 700.0 kB in the archive), 5 archived before\n",
		"  2 are no longer on the server, and stay in the archive\n",
		"        10          5          3          1          1          0  INBOX\n",
		"お知らせ (renumbered by the server)\n",
		"2 mailboxes without changes\n",
		"        12          5          5          1          1          0  in all\n",
		"not copied: INBOX UID 5: NO cannot read\\x07\n",
		"not copied: mailbox Bad\\x1b[31m: NO\\x0d\\x0asuch\n",
		"NOT COMPLETE: 1 message and 1 whole mailbox were not copied.",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("the summary lacks %q:\n%s", part, got)
		}
	}
	if strings.ContainsAny(got, "\x1b\r\x07") {
		t.Errorf("control characters in the summary: %q", got)
	}

	stopped := busy
	stopped.Err = context.Canceled
	if got := stopped.String(); !strings.Contains(got, "Interrupted: 5 messages copied and safe.") {
		t.Errorf("an interrupted run prints\n%s", got)
	}
}

func TestDoubled(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 1, 1: 2, 3: 8, 6: 60, 1000: 60} {
		if got := doubled(time.Second, n, time.Minute); got != want*time.Second {
			t.Errorf("doubled(1s, %d) = %v", n, got)
		}
	}
}
