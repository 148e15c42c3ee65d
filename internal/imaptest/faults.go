package imaptest

import (
	"maps"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Always is a count that never runs out.
const Always = -1

// Key names a message by mailbox and UID.
type Key struct {
	Mailbox string
	UID     uint32
}

// Faults are the ways in which a Server can go wrong. Counts say how many times; Always for every
// time. They count down over all connections.
type Faults struct {
	Greeting int         // BYE "Too many connections" in place of the greeting
	SignIn   *imap.Error // in place of every answer to a right password
	Most     int         // connections at a time; one more is greeted with BYE, or signed in with Crowded; 0: any number
	Crowded  *imap.Error // in place of the answer to a right password when there are Most connections

	Hollow     int   // connections at a time; one more is signed in, and refused everything from then on, as Exchange does; 0: any number
	CloseAfter int64 // the connection ends after this many octets sent by the server; 0: never
	CloseTimes int   // … on so many connections

	Silent map[string]int // command name → not answered, nor anything after it on that connection
	Refuse map[string]int // command name → NO
	Delay  time.Duration  // before each answer to FETCH and APPEND

	ExistsLie int            // added to EXISTS
	Cut       map[Key]int    // the connection ends in the middle of this body
	NoBody    map[Key]int    // a FETCH of bodies that has this message answers NO and sends none
	Bodiless  map[Key]int    // the body is missing from the line
	Emptied   map[Key]int    // a literal of no octets stands for the body
	Flags     map[Key]int    // a line with UID and FLAGS comes unasked before the body or the data
	Vanish    map[Key]int    // expunged when its body is asked for
	Sizes     map[Key]uint32 // RFC822.SIZE as the server believes it

	StatusLie      func(mailbox string, d *imap.StatusData)     // DeletedStorage stands for HIGHESTMODSEQ
	StatusKills    string                                       // mailbox whose figures end the connection
	Found          func(mailbox string, uids []uint32) []uint32 // what SEARCH finds
	FlagsUncounted bool                                         // HIGHESTMODSEQ does not change with flags

	Append       func(a AppendCall) AppendFault // nil: none
	AppendAnswer *imap.Error                    // for AppendRefuse and AppendRefuseEarly; nil: NO [LIMIT]
	RefuseOctets func(octets []byte) bool       // messages to be treated as by AppendRefuse
}

// AppendCall is an APPEND as far as its command line tells.
type AppendCall struct {
	N    int    // 1 for the first APPEND the server sees
	Line string // without the tag
	Size int64
}

// AppendFault is what goes wrong with one APPEND.
type AppendFault int

// The faults of APPEND. Stored says whether the message is in the mailbox afterwards.
const (
	AppendOK          AppendFault = iota
	AppendStoreDrop               // stored; the connection ends without an answer
	AppendStoreSilent             // stored; no answer ever
	AppendDrop                    // not stored; the connection ends after the last octet
	AppendCut                     // not stored; the connection ends in the middle of the literal
	AppendRefuseEarly             // not stored; NO in place of "+"
	AppendRefuse                  // not stored; NO after the literal
	AppendNoUID                   // stored; OK without APPENDUID
	AppendBadUID                  // stored; OK with a malformed APPENDUID
)

func (f Faults) clone() Faults {
	f.Silent, f.Refuse = maps.Clone(f.Silent), maps.Clone(f.Refuse)
	for _, m := range []*map[Key]int{&f.Cut, &f.NoBody, &f.Bodiless, &f.Emptied, &f.Flags, &f.Vanish} {
		*m = maps.Clone(*m)
	}
	return f
}

// take counts one down; false if none is left.
func (s *Server) take(count *int) bool {
	if *count == 0 {
		return false
	}
	if *count > 0 {
		*count--
	}
	return true
}

func (s *Server) takeKey(pick func(*Faults) map[Key]int, key Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := pick(&s.faults)
	n := m[key]
	if !s.take(&n) {
		return false
	}
	m[key] = n
	return true
}

func (s *Server) takeCommand(pick func(*Faults) map[string]int, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := pick(&s.faults)
	n := m[name]
	if !s.take(&n) {
		return false
	}
	m[name] = n
	return true
}

// enter decides about a new connection: false if it is to be greeted with BYE and these words.
func (s *Server) enter() (words string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	crowded := s.faults.Most > 0 && s.faults.Crowded == nil && s.open >= s.faults.Most
	if s.take(&s.faults.Greeting) || crowded {
		return "Too many connections from your address", false
	}
	s.open++
	s.peak = max(s.peak, s.open)
	return "", true
}

// leave notes that a connection has ended.
func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// signIn is the answer to a right password, nil for OK.
func (s *Server) signIn() *imap.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := &s.faults; f.SignIn == nil && f.Most > 0 && s.open > f.Most {
		return f.Crowded
	}
	return s.faults.SignIn
}

// isHollow reports whether the latest connection is one too many to be of use.
func (s *Server) isHollow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.Hollow > 0 && s.open > s.faults.Hollow
}

// closeAfter is the number of octets a new connection may carry, 0 for no limit.
func (s *Server) closeAfter() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.CloseAfter == 0 || !s.take(&s.faults.CloseTimes) {
		return 0
	}
	return s.faults.CloseAfter
}

func (s *Server) current() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// nextAppend decides about one APPEND.
func (s *Server) nextAppend(line string, size int64) AppendFault {
	s.mu.Lock()
	s.appends++
	call := AppendCall{N: s.appends, Line: line, Size: size}
	decide := s.faults.Append
	s.mu.Unlock()
	if decide == nil {
		return AppendOK
	}
	return decide(call)
}

func (f Faults) appendAnswer() *imap.Error {
	if f.AppendAnswer != nil {
		return f.AppendAnswer
	}
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: "LIMIT", Text: "Not this message"}
}
