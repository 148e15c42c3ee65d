package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"

	"mailark/internal/progress"
)

func TestProgressLines(t *testing.T) {
	con, stdout, stderr := testConsole(nil)
	p := con.NewProgress(false)
	p.Show(Status{Messages: 1, Octets: 10})
	p.Close()
	if stderr.Len() > 0 || stdout.Len() > 0 {
		t.Errorf("a short run without a terminal wrote %q %q", stdout, stderr)
	}
	p = con.NewProgress(true)
	p.Show(Status{Messages: 1, Octets: 10})
	p.Close()
	if stderr.Len() > 0 || stdout.Len() > 0 {
		t.Errorf("a quiet run wrote %q %q", stdout, stderr)
	}
}

// Who asks is told, also in a quiet run, and by whom there is nothing to tell yet.
func TestProgressAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		con, stdout, stderr := testConsole(nil)
		con.tellProgress()
		synctest.Wait()
		if got := stderr.String(); got != "mailark-test: nothing to tell of yet\n" {
			t.Errorf("before the run: %q", got)
		}
		stderr.Reset()
		p := con.NewRun(&Output{Quiet: true})
		p.Show(Status{What: "INBOX", Messages: 1, Octets: 10})
		con.tellProgress()
		synctest.Wait()
		if got := stderr.String(); !strings.HasPrefix(got, "mailark-test: 1 messages, 10 B") || !strings.Contains(got, "(INBOX)") {
			t.Errorf("asked: %q", got)
		}
		p.Close()
		if stdout.Len() > 0 {
			t.Errorf("stdout got %q", stdout)
		}
	})
}

// Without a terminal a line comes every half minute; with --json an event on stdout in its place.
func TestProgressEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		con, stdout, stderr := testConsole(nil)
		p := con.NewRun(&Output{})
		p.Show(Status{MessagesTotal: 9, Messages: 1, Octets: 10})
		time.Sleep(2*plainEvery + time.Second)
		p.Close()
		if n := strings.Count(stderr.String(), "mailark-test: 1 of 9 messages, 10 B"); n != 2 || stdout.Len() > 0 {
			t.Errorf("%d lines of progress: %q %q", n, stderr, stdout)
		}
		stderr.Reset()
		p = con.NewRun(&Output{JSON: true})
		p.Show(Status{What: "A", Messages: 1, Octets: 10})
		time.Sleep(plainEvery + time.Second)
		p.Close()
		var e map[string]any
		if err := json.Unmarshal(stdout.Bytes(), &e); err != nil || stderr.Len() > 0 {
			t.Fatalf("%v: %q %q", err, stdout, stderr)
		}
		if e["event"] != "progress" || e["mailbox"] != "A" || e["messages"] != 1.0 || e["octets"] != 10.0 || e["time"] == nil {
			t.Errorf("event %v", e)
		}
	})
}

// The text leaves room for a bar that can be seen, or for none.
func TestBeside(t *testing.T) {
	s := Status{What: "仕事/会議", Messages: 1234, MessagesTotal: 30000, Octets: 12e6, OctetsTotal: 300e6}
	v := progress.Speed{Rate: 1.2e6, SecondsLeft: 240}
	for columns := range 200 {
		width := runewidth.StringWidth(beside(s, v, columns))
		if bar := columns - width; columns > 1 && bar != 0 && bar < barColumns || columns >= narrow && bar < barColumns {
			t.Errorf("of %d columns %d are left for the bar", columns, bar)
		}
	}
}
