package imaptest

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// imapserver knows no CONDSTORE (RFC 7162). The peer takes it out of the commands, so that imapserver understands
// them, and puts it into the answers. In STATUS, DELETED-STORAGE, which is a number of 64 bits too, stands for
// HIGHESTMODSEQ on the way through imapserver.

// condStore is what a command asked for beyond what imapserver knows.
type condStore struct {
	since   uint64 // of CHANGEDSINCE
	status  bool   // STATUS is to tell HIGHESTMODSEQ
	highest uint64 // of the mailbox being opened; 0: NOMODSEQ
}

// takeCondStore notes what a command asks for, and returns the command for imapserver.
func (p *peer) takeCondStore(name string, l []byte) []byte {
	p.cond = condStore{}
	if p.server.opts.NoCondStore {
		return l
	}
	switch name {
	case "EXAMINE", "SELECT":
		return bytes.Replace(l, []byte(" (CONDSTORE)\r\n"), []byte("\r\n"), 1)
	case "UID FETCH":
		changed := regexp.MustCompile(` \(CHANGEDSINCE (\d+)\)\r\n$`)
		if m := changed.FindSubmatch(l); m != nil {
			p.cond.since, _ = strconv.ParseUint(string(m[1]), 10, 64) // too many digits make the highest
			return append(bytes.Clone(l[:len(l)-len(m[0])]), "\r\n"...)
		}
	case "STATUS", "LIST":
		before, after, ok := bytes.Cut(l, []byte("HIGHESTMODSEQ"))
		if p.cond.status = ok; ok {
			return bytes.Join([][]byte{before, []byte("DELETED-STORAGE"), after}, nil)
		}
	}
	return l
}

// giveCondStore completes a line of imapserver's.
func (p *peer) giveCondStore(l []byte) []byte {
	switch {
	case p.server.opts.NoCondStore:
	case p.cond.status && bytes.HasPrefix(l, []byte("* STATUS ")):
		return bytes.Replace(l, []byte("DELETED-STORAGE"), []byte("HIGHESTMODSEQ"), 1)
	case bytes.HasPrefix(l, []byte("* OK [UIDNEXT ")) && p.cond.highest > 0:
		return fmt.Appendf(bytes.Clone(l), "* OK [HIGHESTMODSEQ %d] ok\r\n", p.cond.highest)
	case bytes.HasPrefix(l, []byte("* OK [UIDNEXT ")):
		return append(bytes.Clone(l), "* OK [NOMODSEQ] not counted\r\n"...)
	}
	return l
}

// highestModSeq is what the server tells of a mailbox, 0 if it keeps no count.
func (m *mailbox) highestModSeq() uint64 {
	if m.NoModSeq {
		return 0
	}
	return m.modSeq
}

// changed gives a message a new MODSEQ.
func (m *mailbox) changed(msg *Message) {
	m.modSeq++
	msg.modSeq = m.modSeq
}

// Search finds all messages of a mailbox, and knows no other question.
func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, _ *imap.SearchOptions,
) (*imap.SearchData, error) {
	if kind != imapserver.NumKindUID || len(criteria.UID)+len(criteria.SeqNum)+len(criteria.Flag)+len(criteria.NotFlag) > 0 {
		return nil, s.notOffered()
	}
	var uids []uint32
	err := s.with(s.selected, func(m *mailbox) error {
		for _, msg := range m.messages {
			uids = append(uids, msg.UID)
		}
		return nil
	})
	if found := s.server.current().Found; found != nil {
		uids = found(s.selected, uids)
	}
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return &imap.SearchData{All: set}, err
}
