package progress

import "time"

// What is told of the rate looks back so many seconds, what is told of the time left so many samples
// of a quarter of a minute: five minutes.
const (
	rateSamples = 20
	leftEvery   = 15 * time.Second
)

// Meter measures how fast a run goes. The clock starts with the first octet, since before it a password may
// have to be typed.
type Meter struct {
	near, far window
	state     State
}

// NewMeter starts a meter.
func NewMeter(now time.Time) *Meter {
	m := &Meter{near: window{every: time.Second}, far: window{every: leftEvery}}
	m.Add(now, State{})
	return m
}

// Add tells the new state.
func (m *Meter) Add(now time.Time, s State) {
	m.state = s
	m.near.add(now, s.Octets)
	m.far.add(now, s.Octets)
}

// Speed is how fast it goes now.
func (m *Meter) Speed(now time.Time) Speed {
	v := Speed{Rate: int64(m.near.rate(now))}
	if rate, left := m.far.rate(now), m.state.OctetsTotal-m.state.Octets; rate > 0 && left > 0 && !m.state.Growing {
		v.SecondsLeft = int64(float64(left)/rate) + 1
	}
	return v
}

// window is a ring of samples.
type window struct {
	every   time.Duration
	samples []sample
}

type sample struct {
	at     time.Time
	octets int64
}

func (w *window) add(now time.Time, octets int64) {
	if octets == 0 {
		w.samples = []sample{{at: now}}
		return
	}
	n := len(w.samples)
	if n > 1 && now.Sub(w.samples[n-2].at) < w.every {
		w.samples[n-1] = sample{now, octets}
		return
	}
	w.samples = append(w.samples, sample{now, octets})
	if len(w.samples) > rateSamples {
		w.samples = append(w.samples[:0], w.samples[1:]...)
	}
}

// rate is octets a second.
func (w *window) rate(now time.Time) float64 {
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	seconds := now.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(last.octets-first.octets) / seconds
}
