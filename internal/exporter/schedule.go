package exporter

import (
	"slices"

	"mailark/archive"
	"mailark/internal/session"
)

// want is a message whose octets are asked for.
type want struct {
	session.Meta
	before  bool        // an earlier run was refused it
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

	fresh  []*want // nothing is wrong with these so far; for all connections that share the work
	shares int     // how many those are
	least  int64   // octets to be asked for at once of them

	first    []*want   // to be confirmed, each alone, before all others
	portions [][]*want // from large to small
	before   []*want   // refused to an earlier run; asked for when the others are through
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
	var others []*want
	for _, w := range wants {
		if w.before {
			s.before = append(s.before, w)
		} else {
			others = append(others, w)
		}
	}
	s.push(others)
	return s
}

// share has several connections share the work as long as all goes well.
func (s *schedule) share(connections int, least int64) {
	s.shares, s.least = connections, least
	s.fresh, s.portions = slices.Concat(s.portions...), nil
}

func (s *schedule) push(portion []*want) {
	if len(portion) > 0 {
		s.portions = append(s.portions, portion)
	}
}

// fewDry is how many requests in a row may bring nothing while the work is shared. The search for what the server does
// give is for one connection.
const fewDry = 2

// sharing reports whether there is something for a further connection.
func (s *schedule) sharing() bool {
	return len(s.fresh) > 0 && len(s.first) == 0 && s.dry <= fewDry && !s.exhausted()
}

// ready reports whether there is something that has not failed alone.
func (s *schedule) ready() bool { return s.left() && !s.exhausted() }

// left reports whether there is something that has not failed alone, whether or not it is to be asked for.
func (s *schedule) left() bool { return len(s.fresh)+len(s.first)+len(s.portions)+len(s.before) > 0 }

// next is the portion to ask for now, nil when there is nothing more to do.
func (s *schedule) next() []*want {
	if s.exhausted() {
		s.giveUpFailed()
		return nil
	}
	n := len(s.portions)
	switch {
	case len(s.first) > 0:
		return cutOff(&s.first, 1)
	case n > 0 && s.dry >= s.dive:
		portion := s.portions[n-1]
		s.portions = s.portions[:n-1]
		return portion
	case len(s.fresh) > 0 && (s.dry <= fewDry || n == 0 || len(s.portions[0]) <= len(s.fresh)):
		return s.cut()
	case n > 0:
		portion := s.portions[0]
		s.portions = s.portions[1:]
		return portion
	case len(s.before) > 0:
		return cutOff(&s.before, len(s.before))
	case len(s.later) > 0:
		s.final = true
		return cutOff(&s.later, 1)
	}
	return nil
}

// cutOff takes the first n messages from a list.
func cutOff(list *[]*want, n int) []*want {
	part := (*list)[:n:n]
	*list = (*list)[n:]
	return part
}

// perMessage is what a message costs beside its octets, in octets.
const perMessage = 4 << 10

// cut takes what is asked for at once of the fresh messages: half of what would come to each connection, so that all have
// something to do until the end. When requests bring nothing it is half of all, or all, so that the search for what
// the server does give takes few of them.
func (s *schedule) cut() []*want {
	weight := func(w *want) int64 { return max(w.Size, 0) + perMessage }
	var total int64
	for _, w := range s.fresh {
		total += weight(w)
	}
	goal := max(s.least, total/int64(2*s.shares))
	if s.dry > fewDry {
		if len(s.portions) > 0 && len(s.portions[0]) > len(s.fresh)/2 {
			return cutOff(&s.fresh, len(s.fresh))
		}
		goal = max(s.least, total/2)
	}
	for i, w := range s.fresh {
		if goal -= weight(w); goal <= 0 {
			return cutOff(&s.fresh, i+1)
		}
	}
	return cutOff(&s.fresh, len(s.fresh))
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
		s.giveBack(rest)
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

// giveBack returns messages of which nothing was learnt.
func (s *schedule) giveBack(list []*want) {
	if s.shares > 1 {
		s.fresh = append(s.undelivered(list), s.fresh...)
		return
	}
	s.push(s.undelivered(list))
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
	var rest []*want
	for _, w := range list {
		if w.shorts == 0 || w.queued {
			rest = append(rest, w)
			continue
		}
		w.queued = true
		s.first = append(s.first, w)
	}
	return rest
}

// count is the number of messages not delivered for which cond is true.
func (s *schedule) count(cond func(*want) bool) (n int) {
	for _, portion := range append(slices.Clone(s.portions), s.fresh, s.first, s.before, s.later, s.refused) {
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
	for _, list := range []*[]*want{&s.fresh, &s.first, &s.before, &s.later, &s.refused} {
		*list = keep(*list)
	}
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

func without[T comparable](list []T, one T) []T {
	rest := make([]T, 0, len(list))
	for _, e := range list {
		if e != one {
			rest = append(rest, e)
		}
	}
	return rest
}
