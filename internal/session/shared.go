package session

import (
	"slices"
	"sync"
)

// maxSaid is how many different words of the server are shown; the rest goes to the log alone.
const maxSaid = 50

// Shared is what the connections of one run know together, those made again after a loss and those open
// at the same time. A nil *Shared knows nothing.
type Shared struct {
	mu     sync.Mutex
	said   map[string]struct{}
	method string
	bare   bool
}

// NewShared returns a Shared for one account and one run.
func NewShared() *Shared { return &Shared{said: map[string]struct{}{}} }

// isNews reports whether the server's words are to be shown to the user: the first time, and not
// without end.
func (s *Shared) isNews(words string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.said[words]; ok || len(s.said) >= maxSaid {
		return false
	}
	s.said[words] = struct{}{}
	return true
}

// keepMethod notes the way to sign in that was accepted.
func (s *Shared) keepMethod(method string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.method = method
}

// keptFirst puts the way that was accepted before to the front: one that fails is not to fail again
// with each connection.
func (s *Shared) keptFirst(methods []string) []string {
	if s == nil {
		return methods
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(methods, s.method); i > 0 {
		methods = append([]string{s.method}, slices.Delete(slices.Clone(methods), i, i+1)...)
	}
	return methods
}

// noFigures notes that a connection was lost when LIST was asked for the figures of the mailboxes too: one of those may be
// what kills it.
func (s *Shared) noFigures() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bare = true
}

// wantsFigures reports whether LIST is to be asked for them.
func (s *Shared) wantsFigures() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.bare
}
