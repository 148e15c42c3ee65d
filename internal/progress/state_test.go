package progress

import (
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
)

func TestWords(t *testing.T) {
	tests := []struct {
		state State
		speed Speed
		want  string
	}{
		{State{}, Speed{}, "0 B"},
		{State{Octets: 5000, OctetsTotal: 10000}, Speed{1000, 5}, "5.0 kB of 10.0 kB, 1.0 kB/s, 5s left"},
		{State{What: "INBOX", Messages: 1200, MessagesTotal: 3000, Octets: 1e6}, Speed{}, "1,200 of 3,000 messages, 1.0 MB (INBOX)"},
		{State{What: "A", Mailboxes: 2, MailboxesTotal: 7}, Speed{}, "0 B (3/7 A)"},
		{State{What: "A", Mailboxes: 7, MailboxesTotal: 7}, Speed{}, "0 B (7/7 A)"},
		{State{What: "a\x1bb" + strings.Repeat("x", 40)}, Speed{}, `0 B (a\x1bbxxxxxxxxxxxxxxxxxxxxxxx…)`},
		{State{What: strings.Repeat("仕事", 10)}, Speed{}, "0 B (仕事仕事仕事仕事仕事仕事仕事…)"},
	}
	for _, test := range tests {
		if got := test.state.Words(test.speed); got != test.want {
			t.Errorf("%+v is %q, want %q", test.state, got, test.want)
		}
	}
}

// What does not fit is left out, whole words at a time; nothing is ever wider than it may be.
func TestFit(t *testing.T) {
	s := State{
		What: "仕事/会議/2016年度の議事録", Mailboxes: 2, MailboxesTotal: 12, Messages: 1234, MessagesTotal: 30000, Octets: 12e6, OctetsTotal: 300e6,
	}
	v := Speed{1.2e6, 4000}
	for columns, want := range map[int]string{
		120: "1,234 of 30,000 messages, 12.0 MB of 300.0 MB, 1.2 MB/s, 1h06m left (3/12 仕事/会議/2016年度の議事録)",
		80:  "1,234 of 30,000 messages, 12.0 MB of 300.0 MB, 1.2 MB/s, 1h06m left",
		90:  "1,234 of 30,000 messages, 12.0 MB of 300.0 MB, 1.2 MB/s, 1h06m left (3/12 仕事/会議/2016…)",
		40:  "12.0 MB of 300.0 MB, 1h06m left",
		20:  "12.0 MB of 300.0 MB",
		10:  "4%",
		1:   "",
	} {
		if got := s.Fit(v, columns); got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
	for columns := range 130 {
		if got := s.Fit(v, columns); runewidth.StringWidth(got) > columns {
			t.Errorf("%q is wider than %d", got, columns)
		}
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[int64]string{
		5: "5s", 65: "1m05s", 3700: "1h01m", 47 * 3600: "47h00m", 50 * 3600: "2d2h",
	} {
		if got := span(seconds); got != want {
			t.Errorf("%d seconds are %q, want %q", seconds, got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	now := time.Unix(1000, 0)
	m := NewMeter(now)
	if m.Speed(now) != (Speed{}) {
		t.Error("no time has passed, so there is no rate")
	}
	now = now.Add(time.Hour)
	m.Add(now, State{}) // waiting for a password, say, does not count
	s := State{OctetsTotal: 1_000_000}
	for range 100 { // 10 seconds at 1000 octets a second
		now, s.Octets = now.Add(100*time.Millisecond), s.Octets+100
		m.Add(now, s)
	}
	if got := m.Speed(now); got.Rate < 990 || got.Rate > 1010 || got.SecondsLeft < 980 || got.SecondsLeft > 1000 {
		t.Errorf("speed %+v, want 1000 and 990", got)
	}
	s.Growing = true
	m.Add(now, s)
	if got := m.Speed(now); got.SecondsLeft != 0 {
		t.Errorf("%d seconds left of a total that grows", got.SecondsLeft)
	}
	for range 60 { // a minute without anything: the rate must go to 0
		now = now.Add(time.Second)
		m.Add(now, s)
	}
	if got := m.Speed(now); got.Rate != 0 {
		t.Errorf("rate %v after a minute of silence, want 0", got.Rate)
	}
	if len(m.near.samples) > rateSamples {
		t.Errorf("%d samples are kept", len(m.near.samples))
	}
}

// The time left does not jump with every pause: it looks back further than the rate.
func TestLeftIsCalm(t *testing.T) {
	now := time.Unix(1000, 0)
	m := NewMeter(now)
	s := State{OctetsTotal: 1_000_000}
	for range 240 {
		now, s.Octets = now.Add(time.Second), s.Octets+1000
		m.Add(now, s)
	}
	before := m.Speed(now)
	for range 30 { // half a minute of nothing
		now = now.Add(time.Second)
		m.Add(now, s)
	}
	after := m.Speed(now)
	if after.Rate != 0 || after.SecondsLeft > before.SecondsLeft*5/4 {
		t.Errorf("after a pause %+v, before it %+v", after, before)
	}
}
