package exporter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"mailark/archive"
	"mailark/internal/session"
)

// ill says what a message does when it is asked for.
type ill int

const (
	healthy    ill = iota
	kills          // the connection ends when it is reached
	refuses        // the whole request is answered NO when it is among those asked for, nothing is delivered
	silent         // passed over
	emptyBody      // sent with no octets
	recovering     // kills the connection the first two times
)

// simulated is a server that answers requests for bodies in the order asked for, or another.
type simulated struct {
	ills     map[uint32]ill
	shuffle  *rand.Rand // nil: in order
	seen     map[uint32]int
	requests int
	losses   int // in a row without delivery
	worst    int // of losses before the final round
}

// answer is what the fetcher would report.
func (s *simulated) answer(portion []*want) (how outcome, suspect *want) {
	s.requests++
	for _, w := range portion {
		if s.ills[w.UID] == refuses {
			return refused, nil
		}
	}
	order := slices.Clone(portion)
	if s.shuffle != nil {
		s.shuffle.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	for _, w := range order {
		s.seen[w.UID]++
		switch s.ills[w.UID] {
		case kills:
			s.losses++
			return lost, nil
		case recovering:
			if s.seen[w.UID] <= 2 {
				s.losses++
				return lost, w
			}
		case silent:
			continue
		case emptyBody:
			w.empties++
			continue
		}
		w.done = true
		s.losses = 0
	}
	return answered, nil
}

func wantsOf(n int) []*want {
	wants := make([]*want, n)
	for i := range wants {
		wants[i] = &want{Meta: session.Meta{UID: uint32(i + 1), Size: 100}}
	}
	return wants
}

// drive asks until the schedule has nothing more.
func drive(t *testing.T, s *schedule, srv *simulated) {
	t.Helper()
	for portion := s.next(); portion != nil; portion = s.next() {
		if srv.requests > 100_000 {
			t.Fatal("the schedule does not come to an end")
		}
		for _, w := range portion {
			if w.done {
				t.Fatalf("UID %d is asked for though it was delivered", w.UID)
			}
		}
		how, suspect := srv.answer(portion)
		if !s.final {
			srv.worst = max(srv.worst, srv.losses)
		}
		s.report(portion, how, suspect, "words")
	}
}

// Whatever some messages do, all others are delivered, and exactly the ill ones are refused.
func TestScheduleIsolates(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 64, 1000} {
		for _, illness := range []ill{kills, refuses, silent, emptyBody, recovering} {
			for _, bad := range [][]int{{0}, {n - 1}, {n / 2}, {0, n - 1}, {n / 3, n/3 + 1, n/3 + 2}} {
				for _, mixed := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d/%d/%v/%v", n, illness, bad, mixed), func(t *testing.T) {
						srv := &simulated{ills: map[uint32]ill{}, seen: map[uint32]int{}}
						if mixed {
							srv.shuffle = rand.New(rand.NewPCG(1, 2))
						}
						for _, i := range bad {
							srv.ills[uint32(i%n)+1] = illness
						}
						wants := wantsOf(n)
						s := newSchedule(wants, Retry{}.withDefaults())
						drive(t, s, srv)
						checkIsolated(t, s, srv, wants)
					})
				}
			}
		}
	}
}

func checkIsolated(t *testing.T, s *schedule, srv *simulated, wants []*want) {
	t.Helper()
	refusedUIDs := map[uint32]bool{}
	for _, w := range s.refused {
		if refusedUIDs[w.UID] {
			t.Errorf("UID %d is refused twice", w.UID)
		}
		refusedUIDs[w.UID] = true
	}
	for _, w := range wants {
		illness := srv.ills[w.UID]
		good := illness == healthy || illness == recovering
		if w.done != good || refusedUIDs[w.UID] == good {
			t.Errorf("UID %d (%d): delivered %v, refused %v", w.UID, illness, w.done, refusedUIDs[w.UID])
		}
	}
	if len(s.portions)+len(s.later) > 0 {
		t.Errorf("%d portions and %d messages were left", len(s.portions), len(s.later))
	}
	if srv.worst >= defaultLosses {
		t.Errorf("%d connections lost in a row without a message: a run would have given up", srv.worst)
	}
	if limit := 20 + 40*len(srv.ills); srv.requests > limit {
		t.Errorf("%d requests for %d ill messages, want at most %d", srv.requests, len(srv.ills), limit)
	}
}

// A server that gives nothing any more is not asked for ten thousand messages one by one.
func TestScheduleGivesUp(t *testing.T) {
	srv := &simulated{ills: map[uint32]ill{}, seen: map[uint32]int{}}
	wants := wantsOf(10_000)
	for i := 500; i < len(wants); i++ {
		srv.ills[wants[i].UID] = refuses
	}
	retry := Retry{InVain: 30}.withDefaults()
	s := newSchedule(wants, retry)
	drive(t, s, srv)
	if len(s.portions) == 0 {
		t.Error("nothing is left: every message was tried")
	}
	if srv.requests > 300 {
		t.Errorf("%d requests", srv.requests)
	}
	if len(s.refused) < retry.InVain {
		t.Errorf("%d messages are refused, want at least %d", len(s.refused), retry.InVain)
	}
	for _, w := range wants[:400] {
		if !w.done {
			t.Fatalf("UID %d was not delivered", w.UID)
		}
	}
}

func TestScheduleRefusesHuge(t *testing.T) {
	wants := wantsOf(3)
	s := newSchedule(wants, Retry{}.withDefaults())
	portion := s.next()
	wants[0].done = true
	wants[1].huge = archive.MaxMessageSize + 1
	s.report(portion, lost, wants[1], "")
	if len(s.refused) != 1 || s.refused[0] != wants[1] {
		t.Fatalf("refused %v", s.refused)
	}
	if next := s.next(); len(next) != 1 || next[0] != wants[2] {
		t.Errorf("next is %v", next)
	}
}

func TestScheduleForgets(t *testing.T) {
	wants := wantsOf(6)
	s := newSchedule(wants, Retry{}.withDefaults())
	portion := s.next()
	wants[0].done = true
	s.report(portion, answered, nil, "silence")
	forgotten := s.forget(func(w *want) bool { return w.UID%2 == 1 })
	if len(forgotten) != 2 { // 3 and 5; 1 was delivered
		t.Errorf("forgot %d messages, want 2", len(forgotten))
	}
	left := 0
	for portion := s.next(); portion != nil; portion = s.next() {
		for _, w := range portion {
			left++
			w.done = true
			if w.UID%2 == 1 {
				t.Errorf("UID %d is still asked for", w.UID)
			}
		}
		s.report(portion, answered, nil, "")
	}
	if left != 3 {
		t.Errorf("%d messages were left, want 3", left)
	}
}
