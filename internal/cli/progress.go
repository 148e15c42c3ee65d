package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"mailark/internal/humane"
)

// plainEvery is how often a line of progress is written where there is no terminal.
const plainEvery = 30 * time.Second

// Status is where a run stands. Totals of 0 are unknown.
type Status struct {
	What     string // mailbox or phase
	Messages int64
	Octets   int64

	MessagesTotal int64
	OctetsTotal   int64
	Growing       bool // the totals are not final, so there is no telling how long it takes
}

// Progress shows where a run stands: a bar on a terminal, else a line from time to time. Its
// methods are safe for several goroutines. A nil Progress shows nothing.
type Progress struct {
	con *Console
	now func() time.Time

	mu     sync.Mutex
	status Status
	meter  meter

	bars *mpb.Progress
	bar  *mpb.Bar
	stop chan struct{}
	wg   sync.WaitGroup
}

// NewProgress starts to show progress; nil if the user wants none. Close it before the summary.
func (c *Console) NewProgress(quiet bool) *Progress {
	if quiet {
		return nil
	}
	p := &Progress{con: c, now: time.Now, stop: make(chan struct{})}
	p.meter.start(p.now())
	if !c.screen.isTerminal() {
		p.wg.Go(func() { p.lines(plainEvery) })
	}
	return p
}

// Show tells the new state. It is cheap.
func (p *Progress) Show(s Status) {
	if p == nil {
		return
	}
	if bar := p.set(s); bar != nil { // unlocked, because the bar asks for text while it draws
		bar.SetTotal(max(s.OctetsTotal, s.Octets, 1), false)
		bar.SetCurrent(s.Octets)
	}
}

// set notes the new state and returns the bar, if there is one.
func (p *Progress) set(s Status) *mpb.Bar {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = s
	p.meter.add(p.now(), s.Octets)
	if p.bar == nil && s.MessagesTotal+s.OctetsTotal > 0 && p.con.screen.isTerminal() {
		p.startBar() // not sooner, for a password may have to be typed first
	}
	return p.bar
}

// Close ends the display and removes the bar.
func (p *Progress) Close() {
	if p == nil {
		return
	}
	close(p.stop)
	p.wg.Wait()
	p.mu.Lock()
	bars, bar := p.bars, p.bar
	p.mu.Unlock()
	if bars != nil {
		p.con.screen.setBars(nil)
		bar.Abort(true)
		bars.Wait()
	}
}

func (p *Progress) startBar() {
	p.bars = mpb.New(
		mpb.WithOutput(p.con.screen.out), mpb.WithRefreshRate(200*time.Millisecond), mpb.WithWidth(64))
	p.bar = p.bars.AddBar(0, // else its total could not be changed
		mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.text() + " " })))
	p.con.screen.setBars(p.bars)
}

func (p *Progress) lines(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.con.Notef("%s", p.text())
		}
	}
}

// text is the state in words: messages, octets, rate, time left, mailbox.
func (p *Progress) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return describe(p.status, p.meter.rate(p.now()))
}

func describe(s Status, rate float64) string {
	out := ""
	if s.MessagesTotal > 0 || s.Messages > 0 {
		out = humane.Count(s.Messages) + of(humane.Count(s.MessagesTotal), s.MessagesTotal) + " messages, "
	}
	out += humane.Octets(s.Octets) + of(humane.Octets(s.OctetsTotal), s.OctetsTotal)
	if rate > 0 {
		out += ", " + humane.Octets(int64(rate)) + "/s"
		if left := s.OctetsTotal - s.Octets; left > 0 && !s.Growing {
			out += fmt.Sprintf(", %v left", (time.Duration(float64(left)/rate) * time.Second).Round(time.Second))
		}
	}
	if s.What != "" {
		out += " (" + short(humane.Printable(s.What), 30) + ")"
	}
	return out
}

func of(total string, n int64) string {
	if n == 0 {
		return ""
	}
	return " of " + total
}

// short cuts a text to n characters.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// meter measures a rate over the last seconds: a ring of one sample a second.
type meter struct {
	samples []sample
}

type sample struct {
	at     time.Time
	octets int64
}

const meterSeconds = 20

func (m *meter) start(now time.Time) { m.samples = []sample{{at: now}} }

// add notes how many octets there are. The clock starts with the first of them.
func (m *meter) add(now time.Time, octets int64) {
	if octets == 0 {
		m.start(now)
		return
	}
	last := m.samples[len(m.samples)-1]
	if len(m.samples) > 1 && now.Sub(last.at) < time.Second {
		m.samples[len(m.samples)-1].octets = octets
		return
	}
	m.samples = append(m.samples, sample{now, octets})
	if len(m.samples) > meterSeconds {
		m.samples = append(m.samples[:0], m.samples[1:]...)
	}
}

// rate is octets per second.
func (m *meter) rate(now time.Time) float64 {
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	seconds := now.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(last.octets-first.octets) / seconds
}
