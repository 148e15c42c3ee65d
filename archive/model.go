package archive

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Sum is the SHA-256 of a message's octets exactly as the server sent them.
type Sum [32]byte

// String is the sum in lower-case hexadecimal, as sha256sum prints it.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// ParseSum reads 64 hexadecimal digits.
func ParseSum(s string) (Sum, error) {
	var sum Sum
	if len(s) != hex.EncodedLen(len(sum)) {
		return sum, fmt.Errorf("parse SHA-256 %.80q: want 64 hexadecimal digits", s)
	}
	if _, err := hex.Decode(sum[:], []byte(s)); err != nil {
		return sum, fmt.Errorf("parse SHA-256 %q: %w", s, err)
	}
	return sum, nil
}

// Info is archive.json: what never changes about an archive (FORMAT.md, "archive.json").
type Info struct {
	Format  string    `json:"format"`  // always "mailark"
	Version int       `json:"version"` // 1
	ID      string    `json:"id"`      // 32 hexadecimal digits, random
	Created time.Time `json:"created"`
	Source  Source    `json:"source"`
	Program string    `json:"program"` // that created it, with its version
}

// Source says where the mail comes from.
type Source struct {
	Host string `json:"host"`
	User string `json:"user"`
}

// Key names one message of one mailbox for ever: the same UID in another epoch is another message.
type Key struct {
	Mailbox uint32 // Mailbox.ID
	Epoch   uint32 // Epoch.N
	UID     uint32
}

// MailboxInfo is what the server says of a mailbox in LIST.
type MailboxInfo struct {
	Path       []string // decoded name, level by level, UTF-8; the inbox is ["INBOX"]
	Raw        string   // the name's octets on the wire, before decoding
	Delim      string   // hierarchy delimiter; empty for NIL
	Attrs      []string // LIST attributes as the server wrote them, roles (SPECIAL-USE) among them
	Subscribed bool
}

// roles are the SPECIAL-USE attributes of RFC 6154 and RFC 8457.
func roles() []string {
	return []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`}
}

// Role is the mailbox's SPECIAL-USE attribute in the RFC's spelling, or "".
func (m *MailboxInfo) Role() string {
	for _, attr := range m.Attrs {
		for _, role := range roles() {
			if strings.EqualFold(attr, role) {
				return role
			}
		}
	}
	return ""
}

// HasAttr reports whether the mailbox has a LIST attribute, compared without case.
func (m *MailboxInfo) HasAttr(attr string) bool {
	for _, a := range m.Attrs {
		if strings.EqualFold(a, attr) {
			return true
		}
	}
	return false
}

// Name is the decoded name for people: the levels joined by "/".
func (m *MailboxInfo) Name() string { return strings.Join(m.Path, "/") }

// Mailbox is a mailbox as the archive knows it.
type Mailbox struct {
	MailboxInfo
	ID     uint32 // from 1, in the order of first sight
	Dir    string // its directory in the tar, e.g. "Maildir/.Work.2016"
	Epochs []*Epoch
	Listed bool // false once a later run found it gone from the server
	// Keywords are the user flags that have a letter in file names, Keywords[0] being letter a.
	Keywords []string
}

// Epoch is one life of a mailbox under one UIDVALIDITY (RFC 9051, section 2.3.1.1).
type Epoch struct {
	N           uint32 // from 1
	UIDValidity uint32 // 0 if the server gave none
	State       *State // what the server said when this epoch was last copied whole; nil if it lacks something

	copied bool // it has been copied whole once; without State, something of it was put aside since
}

// State is what the server said of a mailbox at the end of a pass that missed nothing but refused messages.
type State struct {
	Time          time.Time
	Exists        uint32
	UIDNext       uint32 // 0 if unknown
	HighestModSeq uint64 // 0 if unknown
}

// Message is the record of one message. It is shared: nobody changes it but the archive.
type Message struct {
	Key
	Sum          Sum
	Link         bool      // its octets were in the archive before it: a hard link, or another epoch's file
	Gone         bool      // no longer on the server
	InternalDate time.Time // with the server's zone; zero if the server gave none
	Flags        []string  // system flags and keywords as the server last wrote them, without \Recent
	Size         int64     // octets
	Place        Place

	letters string   // Maildir flags and keyword letters in the tar member's name
	from    *Message // the message of an older epoch whose tar member this one shares; nil mostly
}

// Place says where a message's octets are.
type Place struct {
	Segment uint32 // number of the segment
	Frame   int64  // offset of the zstd frame in the segment, octets
	Pos     int64  // offset of the message's octets in the decompressed frame
}

// Compare orders places as they lie in the archive, the order in which loading costs least.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Frame, q.Frame), cmp.Compare(p.Pos, q.Pos))
}

// Refusal is a message the server would not give.
type Refusal struct {
	Key
	Text string // the server's own words, or what was wrong with its answer
	Time time.Time
}

// Run is one run of export.
type Run struct {
	N       uint32
	Start   time.Time
	End     time.Time // zero if it never ended
	Program string
	Source  Source
	Exit    int    // exit code, valid if End is set
	Summary string // one line for people, valid if End is set
}
