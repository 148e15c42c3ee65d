// Package progress is where a run stands: in words, in numbers, and in a small file beside the lock
// of what is being written, from which others can learn it.
//
// It keeps the promise that a look at a run disturbs nothing: the file holds no mail, nobody needs it, and whatever
// becomes of it, the run goes on.
package progress

import (
	"fmt"

	"github.com/mattn/go-runewidth"

	"mailark/internal/humane"
)

// State is where a run stands. Totals of 0 are unknown.
type State struct {
	What           string `json:"mailbox,omitempty"`         // mailbox being copied, or the phase
	Mailboxes      int    `json:"mailboxes,omitempty"`       // done
	MailboxesTotal int    `json:"mailboxes_total,omitempty"` // to do in all
	Messages       int64  `json:"messages"`
	MessagesTotal  int64  `json:"messages_total,omitempty"`
	Octets         int64  `json:"octets"`
	OctetsTotal    int64  `json:"octets_total,omitempty"`
	Growing        bool   `json:"growing,omitempty"` // the totals are not final, so there is no telling how long it takes
}

// Speed is how fast it goes.
type Speed struct {
	Rate        int64 `json:"rate"`                   // octets a second, lately
	SecondsLeft int64 `json:"seconds_left,omitempty"` // 0: unknown
}

// Words is all of a state in words.
func (s State) Words(v Speed) string { return s.words(v, 30, true) }

// Fit is what of a state fits into so many columns of a terminal, the weightiest first: octets, time left, rate,
// messages, mailbox. Fewer than 4 columns get nothing.
func (s State) Fit(v Speed, columns int) string {
	for _, name := range []int{30, 16, 8, 0} {
		if text := s.words(v, name, true); runewidth.StringWidth(text) <= columns {
			return text
		}
	}
	octets, left := humane.Octets(s.Octets)+of(humane.Octets(s.OctetsTotal), s.OctetsTotal), ""
	if v.SecondsLeft > 0 {
		left = ", " + span(v.SecondsLeft) + " left"
	}
	for _, text := range []string{s.words(v, 0, false), octets + left, octets, s.percent()} {
		if runewidth.StringWidth(text) <= columns {
			return text
		}
	}
	return ""
}

// words has the mailbox in at most so many columns; 0 leaves it out.
func (s State) words(v Speed, name int, messages bool) string {
	out := ""
	if messages && (s.MessagesTotal > 0 || s.Messages > 0) {
		out = humane.Count(s.Messages) + of(humane.Count(s.MessagesTotal), s.MessagesTotal) + " messages, "
	}
	out += humane.Octets(s.Octets) + of(humane.Octets(s.OctetsTotal), s.OctetsTotal)
	if v.Rate > 0 {
		out += ", " + humane.Octets(v.Rate) + "/s"
	}
	if v.SecondsLeft > 0 {
		out += ", " + span(v.SecondsLeft) + " left"
	}
	if s.What == "" || name == 0 {
		return out
	}
	where := runewidth.Truncate(humane.Printable(s.What), name, "…")
	if s.MailboxesTotal > 0 {
		where = fmt.Sprintf("%d/%d %s", min(s.Mailboxes+1, s.MailboxesTotal), s.MailboxesTotal, where)
	}
	return out + " (" + where + ")"
}

func (s State) percent() string {
	if s.OctetsTotal <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", min(100*s.Octets/s.OctetsTotal, 100))
}

func of(total string, n int64) string {
	if n == 0 {
		return ""
	}
	return " of " + total
}

// span is a number of seconds for people: two units at most.
func span(seconds int64) string {
	switch h, m, s := seconds/3600, seconds/60%60, seconds%60; {
	case h >= 48:
		return fmt.Sprintf("%dd%dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh%02dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	default:
		return fmt.Sprintf("%ds", s)
	}
}
