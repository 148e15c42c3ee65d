package cli

import (
	"strings"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	now := time.Unix(1000, 0)
	var m meter
	m.start(now)
	if m.rate(now) != 0 {
		t.Error("no time has passed, so there is no rate")
	}
	now = now.Add(time.Hour)
	m.add(now, 0) // waiting for a password, say, does not count
	octets := int64(0)
	for range 100 { // 10 seconds at 1000 octets a second
		now, octets = now.Add(100*time.Millisecond), octets+100
		m.add(now, octets)
	}
	if got := m.rate(now); got < 990 || got > 1010 {
		t.Errorf("rate %v, want 1000", got)
	}
	for range 60 { // a minute without anything: the rate must go to 0
		now = now.Add(time.Second)
		m.add(now, octets)
	}
	if got := m.rate(now); got != 0 {
		t.Errorf("rate %v after a minute of silence, want 0", got)
	}
	if len(m.samples) > meterSeconds {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}

func TestDescribe(t *testing.T) {
	tests := []struct {
		status Status
		rate   float64
		want   string
	}{
		{Status{}, 0, "0 B"},
		{Status{Octets: 5000, OctetsTotal: 10000}, 1000, "5.0 kB of 10.0 kB, 1.0 kB/s, 5s left"},
		{Status{Octets: 5000, OctetsTotal: 10000, Growing: true}, 1000, "5.0 kB of 10.0 kB, 1.0 kB/s"},
		{Status{What: "INBOX", Messages: 1200, MessagesTotal: 3000, Octets: 1e6}, 0, "1,200 of 3,000 messages, 1.0 MB (INBOX)"},
		{Status{What: "a\x1bb" + strings.Repeat("x", 40)}, 0, `0 B (a\x1bbxxxxxxxxxxxxxxxxxxxxxxx…)`},
	}
	for _, test := range tests {
		if got := describe(test.status, test.rate); got != test.want {
			t.Errorf("describe(%+v) = %q, want %q", test.status, got, test.want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	con, stdout, stderr := testConsole(nil)
	p := con.NewProgress(false)
	p.Show(Status{Messages: 1, Octets: 10})
	p.Close()
	if stderr.Len() > 0 || stdout.Len() > 0 {
		t.Errorf("a short run without a terminal wrote %q %q", stdout, stderr)
	}
	p = con.NewProgress(true)
	p.Show(Status{Messages: 1, Octets: 10}) // a nil Progress must do nothing
	p.Close()
}
