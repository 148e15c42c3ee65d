package cli

import (
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"mailark/internal/progress"
)

const (
	// plainEvery is how often a line of progress is written where there is no terminal.
	plainEvery = 30 * time.Second
	// barColumns is how many columns a bar has at least, if what is weightiest can be said beside it.
	barColumns = 12
	narrow     = 50 // columns of a terminal where words come first
)

// Status is where a run stands.
type Status = progress.State

// Progress shows where a run stands: a bar on a terminal, else a line from time to time; with --json an event from
// time to time. SIGUSR1 makes it tell at once. Its methods are safe for several goroutines.
type Progress struct {
	con    *Console
	now    func() time.Time
	bare   bool // no bar
	silent bool // only when asked
	events bool

	mu     sync.Mutex
	status Status
	meter  *progress.Meter

	bars *mpb.Progress
	bar  *mpb.Bar
	stop chan struct{}
	wg   sync.WaitGroup
}

// NewProgress starts to show progress; quiet: only when a signal asks for it. Close it before the summary.
func (c *Console) NewProgress(quiet bool) *Progress {
	return c.newProgress(&Progress{bare: quiet || !c.screen.isTerminal(), silent: quiet})
}

// NewRun is NewProgress for a run that can also write events.
func (c *Console) NewRun(o *Output) *Progress {
	bare := o.Quiet || !c.screen.isTerminal() || o.JSON && isTerminal(c.Stdout)
	return c.newProgress(&Progress{bare: bare, silent: o.Quiet, events: o.JSON})
}

func (c *Console) newProgress(p *Progress) *Progress {
	p.con, p.now, p.stop = c, time.Now, make(chan struct{})
	p.meter = progress.NewMeter(p.now())
	if !p.silent && (p.bare || p.events) {
		p.wg.Go(func() { p.lines(plainEvery) })
	}
	c.running.Store(p)
	return p
}

// Show tells the new state. It is cheap.
func (p *Progress) Show(s Status) {
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
	p.meter.Add(p.now(), s)
	if p.bar == nil && !p.bare && s.MessagesTotal+s.OctetsTotal > 0 {
		p.startBar() // not sooner, for a password may have to be typed first
	}
	return p.bar
}

// Close ends the display and removes the bar.
func (p *Progress) Close() {
	p.con.running.CompareAndSwap(p, nil)
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
	p.bars = mpb.New(mpb.WithOutput(p.con.screen.out), mpb.WithRefreshRate(200*time.Millisecond))
	p.bar = p.bars.AddBar(0, // else its total could not be changed
		mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(st decor.Statistics) string {
			s, v := p.state()
			return beside(s, v, st.AvailableWidth)
		})))
	p.con.screen.setBars(p.bars)
}

// beside is the text beside the bar in a terminal of so many columns. A bar that would be too short to see is left out.
func beside(s Status, v progress.Speed, columns int) string {
	room := columns - 1
	if columns >= narrow {
		room -= barColumns
	}
	text := s.Fit(v, room) + " "
	if rest := columns - runewidth.StringWidth(text); rest < barColumns {
		text += strings.Repeat(" ", max(rest, 0))
	}
	return text
}

func (p *Progress) lines(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			if p.events {
				p.event()
			} else {
				p.line()
			}
		}
	}
}

// tell says where the run stands, because somebody has asked.
func (p *Progress) tell() {
	if p.events {
		p.event()
	}
	p.line()
}

// line writes the state in words: messages, octets, rate, time left, mailbox.
func (p *Progress) line() {
	s, v := p.state()
	p.con.Notef("%s", s.Words(v))
}

// progressEvent is a line of --json.
type progressEvent struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	progress.State
	progress.Speed
}

func (p *Progress) event() {
	s, v := p.state()
	p.con.Event(progressEvent{"progress", p.now().Truncate(time.Second), s, v})
}

func (p *Progress) state() (Status, progress.Speed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, p.meter.Speed(p.now())
}
