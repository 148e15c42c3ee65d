package archive

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kinds of records (FORMAT.md, "The catalog").
const (
	recCommit  = "commit"
	recRun     = "run"
	recMailbox = "mailbox"
	recEpoch   = "epoch"
	recKeyword = "keyword"
	recFrame   = "frame"
	recMessage = "message"
	recFlags   = "flags"
	recGone    = "gone"
	recBack    = "back"
	recRefused = "refused"
	recState   = "state"
	recSeal    = "seal"
	recAside   = "aside"
	recEnd     = "end"
)

// record is one line of the catalog. T says which fields count; the table in FORMAT.md, "The
// catalog", is in the same order.
type record struct {
	T string `json:"t"`

	N       uint64     `json:"n,omitempty"`       // commit, run, epoch: its number
	Archive string     `json:"archive,omitempty"` // commit: the archive's id
	Time    *time.Time `json:"time,omitempty"`    // commit, refused, state, end; run: its start
	Program string     `json:"program,omitempty"`
	Host    string     `json:"host,omitempty"`
	User    string     `json:"user,omitempty"`

	ID         uint32   `json:"id,omitempty"`
	Path       []string `json:"path,omitempty"`
	Raw        string   `json:"raw,omitempty"`
	Raw64      string   `json:"raw64,omitempty"` // in place of raw where that is no UTF-8
	Delim      string   `json:"delim,omitempty"`
	Attrs      []string `json:"attrs,omitempty"`
	Subscribed bool     `json:"subscribed,omitempty"`
	Unlisted   bool     `json:"unlisted,omitempty"`
	Dir        string   `json:"dir,omitempty"`

	Mailbox     uint32 `json:"mailbox,omitempty"`
	Epoch       uint32 `json:"epoch,omitempty"`
	UIDValidity uint32 `json:"uidvalidity,omitempty"`
	Letter      string `json:"letter,omitempty"`
	Name        string `json:"name,omitempty"`

	UID     uint32   `json:"uid,omitempty"`
	UIDs    string   `json:"uids,omitempty"` // a UID set of RFC 9051, "1:4,7"
	Date    string   `json:"date,omitempty"`
	Flags   []string `json:"flags,omitempty"`
	Letters string   `json:"letters,omitempty"`
	Size    int64    `json:"size,omitempty"`
	SHA256  string   `json:"sha256,omitempty"`
	At      []int64  `json:"at,omitempty"`   // segment, offset of the frame, position in the frame
	Link    bool     `json:"link,omitempty"` // the tar has a hard link for it
	File    []uint32 `json:"file,omitempty"` // the tar has nothing for it: epoch and UID whose file it is

	Segment uint32 `json:"segment,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Length  int64  `json:"length,omitempty"`
	Plain   int64  `json:"plain,omitempty"`

	Text          string `json:"text,omitempty"`
	Exists        uint32 `json:"exists,omitempty"`
	UIDNext       uint32 `json:"uidnext,omitempty"`
	HighestModSeq uint64 `json:"highestmodseq,omitempty"`
	Exit          int    `json:"exit,omitempty"`

	// While the commit is pending, a message record knows what At is made from: its message, the
	// message whose octets it shares or nil, and the lane that has its octets.
	msg, orig *Message
	lane      int
}

// dateLayout is RFC 3339 with the server's own zone.
const dateLayout = time.RFC3339

func formatDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(dateLayout)
}

func parseDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(dateLayout, s)
	if err != nil {
		return t, fmt.Errorf("parse date: %w", err)
	}
	// time.Parse puts the machine's own zone in where the offset fits; the record must not depend on it.
	_, offset := t.Zone()
	return t.In(time.FixedZone("", offset)), nil
}

// setRaw stores the name's octets, whatever they are.
func (r *record) setRaw(raw string) {
	if utf8.ValidString(raw) {
		r.Raw = raw
		return
	}
	r.Raw64 = base64.StdEncoding.EncodeToString([]byte(raw))
}

func (r *record) raw() (string, error) {
	if r.Raw64 == "" {
		return r.Raw, nil
	}
	b, err := base64.StdEncoding.DecodeString(r.Raw64)
	if err != nil {
		return "", fmt.Errorf("parse raw64: %w", err)
	}
	return string(b), nil
}

// sizeBound is how many octets the record's line has at most.
func (r *record) sizeBound() int {
	const (
		fixed   = 768 // names of members, numbers, dates, sums
		escaped = 6   // octets of JSON for one of text
	)
	text := len(r.Raw) + len(r.Raw64) + len(r.Dir) + len(r.Name) + len(r.Letters) + len(r.UIDs) + len(r.Text) + len(r.Program) +
		len(r.Host) + len(r.User) + len(r.Delim)
	for _, list := range [][]string{r.Path, r.Attrs, r.Flags} {
		for _, s := range list {
			text += len(s) + 1 // quotes and comma
		}
	}
	return fixed + escaped*text
}

// appendRecord adds the record's line to buf.
func appendRecord(buf []byte, r *record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return buf, fmt.Errorf("encode %s record: %w", r.T, err)
	}
	return append(append(buf, line...), '\n'), nil
}

func parseRecord(line []byte) (*record, error) {
	r := new(record)
	err := json.Unmarshal(line, r)
	if err == nil {
		return r, nil
	}
	var unknown struct {
		T string `json:"t"`
	}
	if json.Unmarshal(line, &unknown) == nil && !isKind(unknown.T) {
		return &record{T: unknown.T}, nil // its members may be of other types than ours of the same name
	}
	return nil, fmt.Errorf("parse record %.80q: %w", line, err)
}

// isKind says whether this version of the format has a kind of record.
func isKind(t string) bool {
	switch t {
	case recCommit, recRun, recMailbox, recEpoch, recKeyword, recFrame, recMessage, recFlags, recGone, recBack,
		recRefused, recState, recSeal, recAside, recEnd:
		return true
	}
	return false
}
