package imaptest

import (
	"fmt"
	"math"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Fetch answers from a copy of the list of messages: what another connection does meanwhile shows
// with the next command.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	since := s.peer.cond.since
	if len(options.BodySection) > 1 || options.BodyStructure != nil || options.Envelope ||
		len(options.BinarySection) > 0 || len(options.BinarySectionSize) > 0 || options.ModSeq {
		return s.notOffered()
	}
	var messages []*Message
	err := s.with(s.selected, func(m *mailbox) error {
		if since > 0 && m.NoModSeq {
			return &imap.Error{Type: imap.StatusResponseTypeBad, Text: "changes are not counted here"}
		}
		messages = append(messages, m.messages...)
		return nil
	})
	if err != nil {
		return err
	}
	var asked []int
	for i, msg := range messages {
		if msg.modSeq > since && contains(set, i+1, msg.UID, len(messages), messages) {
			asked = append(asked, i)
		}
	}
	if len(options.BodySection) > 0 {
		for _, i := range asked {
			if s.fault(func(f *Faults) map[Key]int { return f.NoBody }, messages[i].UID) {
				return no("UNAVAILABLE", "UID FETCH Server error while fetching messages")
			}
		}
	}
	time.Sleep(s.server.current().Delay)
	for _, i := range asked {
		if err := s.fetchOne(w, uint32(i+1), messages[i], options); err != nil { //nolint:gosec // G115: a test's size
			return err
		}
	}
	return nil
}

// contains knows that "n:*" holds the last message whatever n is (RFC 9051, section 6.4.9).
func contains(set imap.NumSet, seq int, uid uint32, total int, all []*Message) bool {
	switch set := set.(type) {
	case imap.UIDSet:
		return set.Contains(imap.UID(uid)) || set.Dynamic() && uid == all[total-1].UID
	case imap.SeqSet:
		n := uint32(seq) //nolint:gosec // G115: a test's size
		return set.Contains(n) || set.Dynamic() && seq == total
	}
	return false
}

func (s *session) fault(pick func(*Faults) map[Key]int, uid uint32) bool {
	return s.server.takeKey(pick, Key{s.selected, uid})
}

func (s *session) fetchOne(w *imapserver.FetchWriter, seq uint32, msg *Message, options *imap.FetchOptions) error {
	body := len(options.BodySection) > 0
	if body && s.fault(func(f *Faults) map[Key]int { return f.Vanish }, msg.UID) {
		s.account.Expunge(s.selected, msg.UID)
		return nil
	}
	if s.fault(func(f *Faults) map[Key]int { return f.Flags }, msg.UID) {
		line := w.CreateMessage(seq)
		line.WriteUID(imap.UID(msg.UID))
		line.WriteFlags(wireFlags(msg.Flags))
		if err := line.Close(); err != nil {
			return err
		}
	}
	if body && len(msg.Octets) > 0 && s.fault(func(f *Faults) map[Key]int { return f.Cut }, msg.UID) {
		head := len(fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n", seq, msg.UID, len(msg.Octets)))
		s.peer.cutAfter(int64(head + len(msg.Octets)/2))
	}
	line := w.CreateMessage(seq)
	if options.UID {
		line.WriteUID(imap.UID(msg.UID))
	}
	if options.Flags {
		line.WriteFlags(wireFlags(msg.Flags))
	}
	if options.InternalDate {
		line.WriteInternalDate(msg.InternalDate)
	}
	if options.RFC822Size {
		line.WriteRFC822Size(s.size(msg))
	}
	if body && !s.fault(func(f *Faults) map[Key]int { return f.Bodiless }, msg.UID) {
		if err := s.writeBody(line, msg, options.BodySection[0]); err != nil {
			return err
		}
	}
	return line.Close()
}

func (s *session) size(msg *Message) int64 {
	if size, ok := s.server.current().Sizes[Key{s.selected, msg.UID}]; ok {
		return int64(size)
	}
	return int64(len(msg.Octets))
}

func (s *session) writeBody(line *imapserver.FetchResponseWriter, msg *Message, section *imap.FetchItemBodySection) error {
	octets := msg.Octets
	if section.Specifier != imap.PartSpecifierNone || len(section.Part) > 0 {
		return s.notOffered()
	}
	if s.fault(func(f *Faults) map[Key]int { return f.Emptied }, msg.UID) {
		octets = nil
	}
	if p := section.Partial; p != nil {
		from := min(max(p.Offset, 0), int64(len(octets)))
		octets = octets[from:min(from+min(max(p.Size, 0), math.MaxInt32), int64(len(octets)))]
	}
	body := line.WriteBodySection(section, int64(len(octets)))
	if _, err := body.Write(octets); err != nil {
		return err
	}
	return body.Close()
}

func wireFlags(flags []string) []imap.Flag {
	wire := make([]imap.Flag, 0, len(flags))
	for _, f := range flags {
		wire = append(wire, imap.Flag(f))
	}
	return wire
}
