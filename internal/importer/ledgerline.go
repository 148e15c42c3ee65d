package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mailark/archive"
)

// Kinds of ledger lines.
const (
	lineLedger  = "ledger"
	lineMailbox = "mailbox"
	lineIntent  = "intent"
	lineStored  = "stored"
	lineAdopted = "adopted"
	lineRefused = "refused"
	lineVoid    = "void"
)

const (
	ledgerVersion = 1
	// maxLine is far above what any line can be (a mailbox name of some kilobytes, twice).
	maxLine = 64 << 10
	// maxText is how many octets of a server's words are kept.
	maxText = 1000
)

// line is one line of the ledger. The doc comment of Ledger says which fields each kind has.
type line struct {
	T string `json:"t"`

	Version int    `json:"version,omitempty"`
	Archive string `json:"archive,omitempty"`
	Host    string `json:"host,omitempty"`
	User    string `json:"user,omitempty"`
	Program string `json:"program,omitempty"`

	ID     uint64 `json:"id,omitempty"`
	To     string `json:"to,omitempty"`
	Dir    string `json:"dir,omitempty"`
	From   string `json:"from,omitempty"`
	Epoch  uint32 `json:"epoch,omitempty"`
	UID    uint32 `json:"uid,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Size   *int64 `json:"size,omitempty"`
	Date   string `json:"date,omitempty"`

	ToUIDValidity uint32 `json:"to_uidvalidity,omitempty"`
	ToUIDNext     uint32 `json:"to_uidnext,omitempty"`
	ToUID         uint32 `json:"to_uid,omitempty"`

	Text string    `json:"text,omitempty"`
	Time time.Time `json:"time,omitzero"`
}

// mark is a place in the life of a target mailbox: messages stored later have UIDs from UIDNext on,
// as long as UIDValidity is the same. Zero fields are unknown.
type mark struct{ UIDValidity, UIDNext uint32 }

// receipt says where a message is in the target. UID 0: unknown, the server has not said.
type receipt struct{ UIDValidity, UID uint32 }

// status is what is known of an entry.
type status int

const (
	open    status = iota // intent without result: in doubt
	stored                // by us
	adopted               // was there before
	refused
	void // surely not stored
)

// entry is one attempt to bring a copy of a message to a target mailbox.
type entry struct {
	id     uint64
	to     string // target mailbox
	from   source
	sum    archive.Sum
	size   int64
	date   time.Time
	before mark
	status status
	at     receipt // of stored and adopted
	text   string  // of refused

	altered bool // adopted in this run, with other octets; not in the ledger
}

// source names the message for people, and for a later look into the archive.
type source struct {
	mailbox string // name for people
	epoch   uint32
	uid     uint32
}

// encode is the line's octets, newline and all.
func (l *line) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("encode %s line: %w", l.T, err)
	}
	if b.Len() > maxLine {
		return nil, fmt.Errorf("encode %s line: longer than %d octets", l.T, maxLine)
	}
	return b.Bytes(), nil
}

// stamp is a time as the ledger has it.
func stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }

// entryLine is the first line of an entry: an intent, or an adopted message.
func entryLine(kind string, e *entry, now time.Time) *line {
	l := &line{
		T: kind, ID: e.id, To: e.to, From: bounded(e.from.mailbox), Epoch: e.from.epoch, UID: e.from.uid,
		SHA256: e.sum.String(), Size: &e.size, Time: stamp(now),
	}
	if !e.date.IsZero() {
		l.Date = e.date.Format(time.RFC3339)
	}
	if kind == lineAdopted {
		l.ToUIDValidity, l.ToUID = e.at.UIDValidity, e.at.UID
	} else {
		l.ToUIDValidity, l.ToUIDNext = e.before.UIDValidity, e.before.UIDNext
	}
	return l
}

// resultLine is the last line of an entry.
func resultLine(e *entry, now time.Time) *line {
	l := &line{ID: e.id, Time: stamp(now)}
	switch e.status {
	case stored:
		l.T, l.ToUIDValidity, l.ToUID = lineStored, e.at.UIDValidity, e.at.UID
	case refused:
		l.T, l.Text = lineRefused, e.text
	case void:
		l.T = lineVoid
	case open, adopted:
		panic("internal error: no result to write")
	}
	return l
}

// decodeLine reads one line without its newline.
func decodeLine(data []byte) (*line, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	var l line
	if err := dec.Decode(&l); err != nil {
		return nil, err
	}
	if dec.InputOffset() != int64(len(data)) {
		return nil, errors.New("more than one JSON value")
	}
	return &l, nil
}

// entry is what an intent or adopted line says.
func (l *line) entry() (*entry, error) {
	e := &entry{id: l.ID, to: l.To, from: source{mailbox: l.From, epoch: l.Epoch, uid: l.UID}}
	if l.ID == 0 || l.To == "" || l.Size == nil || *l.Size < 0 {
		return nil, errors.New("id, to or size is missing or out of range")
	}
	e.size = *l.Size
	var err error
	if e.sum, err = archive.ParseSum(l.SHA256); err != nil {
		return nil, err
	}
	if l.Date != "" {
		if e.date, err = time.Parse(time.RFC3339, l.Date); err != nil {
			return nil, fmt.Errorf("date: %w", err)
		}
	}
	if l.T == lineAdopted {
		e.status, e.at = adopted, receipt{l.ToUIDValidity, l.ToUID}
	} else {
		e.before = mark{l.ToUIDValidity, l.ToUIDNext}
	}
	return e, nil
}

// finish makes a result line the end of the entry it belongs to.
func (l *line) finish(e *entry) error {
	if e == nil || e.status != open {
		return fmt.Errorf("%s of id %d, which is not open", l.T, l.ID)
	}
	switch l.T {
	case lineStored:
		e.status, e.at = stored, receipt{l.ToUIDValidity, l.ToUID}
	case lineRefused:
		e.status, e.text = refused, l.Text
	case lineVoid:
		e.status = void
	}
	return nil
}

// validDate is the date as IMAP can say it: zero outside the years 1 to 9999.
func validDate(date time.Time) (valid time.Time, dropped bool) {
	if date.IsZero() {
		return time.Time{}, false
	}
	// The year in the date's own zone and in UTC: a ledger line holds the one, comparisons use the other.
	if y, u := date.Year(), date.UTC().Year(); y < 1 || y > 9999 || u < 1 || u > 9999 {
		return time.Time{}, true
	}
	return date, false
}

// bounded is a text of at most maxText octets of valid UTF-8.
func bounded(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return string(bytes.ToValidUTF8([]byte(text), []byte("?")))
}
