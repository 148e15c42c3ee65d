package exporter

import (
	"slices"

	"mailark/archive"
	"mailark/internal/session"
)

// want is a message whose octets are asked for.
type want struct {
	session.Meta
	tries   int         // times it was asked for alone, in vain
	empties int         // times the server sent nothing for it
	shorts  int         // times it sent fewer octets than told, and they were not believed
	short   archive.Sum // of those
	queued  bool        // to be confirmed alone because it was short
	huge    int64       // octets announced, when that is more than an archive takes
	text    string      // what was wrong the last time
	done    bool        // its octets are whole and handed over
}

// outcome is how the server answered one request for bodies.
type outcome int

const (
	answered outcome = iota // OK; what it did not send it has passed over in silence
	refused                 // NO or BAD, the connection goes on
	lost                    // the connection ended
)

// schedule decides what to ask for next, so that whatever one message does to the server or the
// connection, all others are copied: after a failure the rest is asked for in halves, in the end one by one. Large
// portions go before small ones, so that what is well comes first and costs few requests; what fails alone is tried
// again when all others are through, and is given up after a number of attempts.
type schedule struct {
	attempts int
	inVain   int // failures alone in a row after which the rest is left

	portions [][]*want // from large to small
	later    []*want   // failed alone, to be tried again at the end
	final    bool      // only those are left
	failures int       // alone, since the last message delivered
	dry      int       // requests since the last message delivered
	dive     int       // dry from which small portions go first
	tired    bool      // no more requests are to be made
	refused  []*want
}

// After so many requests in a row that bring nothing, small portions go before large ones, to find out
// whether the server gives anything at all: sooner if each of them costs a pause.
const (
	diveAfter     = 64
	diveAfterSoon = 8
)

func newSchedule(wants []*want, retry Retry) *schedule {
	s := &schedule{attempts: retry.Attempts, inVain: retry.InVain, dive: diveAfter}
	s.push(wants)
	return s
}

func (s *schedule) push(portion []*want) {
	if len(portion) > 0 {
		s.portions = append(s.portions, portion)
	}
}

// next is the portion to ask for now, nil when there is nothing more to do.
func (s *schedule) next() []*want {
	if s.exhausted() {
		s.giveUpFailed()
		return nil
	}
	if n := len(s.portions); n > 0 && s.dry >= s.dive {
		portion := s.portions[n-1]
		s.portions = s.portions[:n-1]
		return portion
	} else if n > 0 {
		portion := s.portions[0]
		s.portions = s.portions[1:]
		return portion
	}
	if len(s.later) == 0 {
		return nil
	}
	s.final = true
	portion := s.later[:1:1]
	s.later = s.later[1:]
	return portion
}

// exhausted: the server gives nothing any more, so that asking for the rest one by one is pointless.
func (s *schedule) exhausted() bool { return s.tired || !s.final && s.failures >= s.inVain }

// report tells how the server answered for a portion. suspect is the message the connection ended
// in or behind, nil if unknown; text is what was wrong.
func (s *schedule) report(portion []*want, how outcome, suspect *want, text string) {
	rest := s.undelivered(portion)
	delivered := len(rest) < len(portion)
	s.dry++
	if delivered {
		s.failures, s.dry = 0, 0
	}
	rest = s.confirmShort(s.giveUpHopeless(rest))
	switch {
	case len(rest) == 0:
	case len(portion) == 1:
		s.failAlone(rest[0], how, text)
	case how == lost && delivered:
		// Most likely the line broke. If it was one of the messages, the next time will tell.
		s.push(rest)
	case how == lost:
		if suspect == nil || suspect.done {
			suspect = rest[0] // servers answer in the order asked for
		}
		others := without(rest, suspect)
		s.pushHalves(others)
		if len(others) < len(rest) { // else it was given up just now
			s.push([]*want{suspect})
		}
	default:
		s.pushHalves(rest)
	}
}

func (s *schedule) pushHalves(list []*want) {
	half := (len(list) + 1) / 2
	s.push(list[:half])
	s.push(list[half:])
}

// giveUpFailed refuses what has failed alone so far, so that the next run asks for the others first.
func (s *schedule) giveUpFailed() {
	s.refused = append(s.refused, s.later...)
	s.later = nil
}

func (s *schedule) failAlone(w *want, how outcome, text string) {
	w.tries++
	s.failures++
	if w.text == "" || how != answered {
		w.text = text
	}
	if w.tries >= s.attempts {
		s.refused = append(s.refused, w)
		return
	}
	s.later = append(s.later, w)
}

// giveUpHopeless refuses the messages for which asking again has no sense and returns the others.
func (s *schedule) giveUpHopeless(list []*want) []*want {
	var rest []*want
	for _, w := range list {
		if w.empties > 1 || w.huge > archive.MaxMessageSize {
			s.refused = append(s.refused, w)
			continue
		}
		rest = append(rest, w)
	}
	return rest
}

// confirmShort puts messages that came short before all others, each alone and once, and returns the rest.
func (s *schedule) confirmShort(list []*want) []*want {
	var first [][]*want
	var rest []*want
	for _, w := range list {
		if w.shorts == 0 || w.queued {
			rest = append(rest, w)
			continue
		}
		w.queued = true
		first = append(first, []*want{w})
	}
	s.portions = append(first, s.portions...)
	return rest
}

// count is the number of messages not delivered for which cond is true.
func (s *schedule) count(cond func(*want) bool) (n int) {
	for _, portion := range append(slices.Clone(s.portions), s.later, s.refused) {
		for _, w := range portion {
			n += b2i(!w.done && cond(w))
		}
	}
	return n
}

// forget takes the messages out for which gone is true, and returns them.
func (s *schedule) forget(gone func(*want) bool) (forgotten []*want) {
	keep := func(list []*want) []*want {
		var kept []*want
		for _, w := range list {
			if !w.done && gone(w) {
				forgotten = append(forgotten, w)
			} else {
				kept = append(kept, w)
			}
		}
		return kept
	}
	portions := s.portions
	s.portions = nil
	for _, portion := range portions {
		s.push(keep(portion))
	}
	s.later, s.refused = keep(s.later), keep(s.refused)
	return forgotten
}

func (s *schedule) undelivered(list []*want) []*want {
	var rest []*want
	for _, w := range list {
		if !w.done {
			rest = append(rest, w)
		}
	}
	return rest
}

func without(list []*want, one *want) []*want {
	rest := make([]*want, 0, len(list))
	for _, w := range list {
		if w != one {
			rest = append(rest, w)
		}
	}
	return rest
}
