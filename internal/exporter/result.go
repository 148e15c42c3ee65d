package exporter

import (
	"time"

	"mailark/archive"
)

// Figures count the messages of a mailbox, or of all.
type Figures struct {
	Listed   int `json:"listed"`          // by the server
	Before   int `json:"archived_before"` // of those
	Now      int `json:"archived_now"`
	Vanished int `json:"vanished"` // listed, and gone from the server before they could be fetched
	Refused  int `json:"refused"`  // the server would not give them
	Left     int `json:"left"`     // not asked for: the run or the mailbox ended early, or it was a dry run

	Linked       int   `json:"linked"`        // of Now: equal octets were there already
	FlagsChanged int   `json:"flags_changed"` // of Before
	Gone         int   `json:"gone"`          // archived earlier, no longer on the server
	Back         int   `json:"back"`          // of Before: were gone at the last look
	Octets       int64 `json:"octets"`        // of Now
	LeftOctets   int64 `json:"left_octets"`   // of Left, after the server's estimate
	SizeDiffers  int   `json:"size_differs"`  // of Now: RFC822.SIZE was not the number of octets
}

func (f *Figures) add(g *Figures) {
	f.Listed += g.Listed
	f.Before += g.Before
	f.Now += g.Now
	f.Vanished += g.Vanished
	f.Refused += g.Refused
	f.Left += g.Left
	f.Linked += g.Linked
	f.FlagsChanged += g.FlagsChanged
	f.Gone += g.Gone
	f.Back += g.Back
	f.Octets += g.Octets
	f.LeftOctets += g.LeftOctets
	f.SizeDiffers += g.SizeDiffers
}

// addUp reports whether the figures account for every message, have being how many of those listed
// are in the archive in the end.
func (f *Figures) addUp(have int) bool {
	return f.Listed == f.Before+f.Now+f.Vanished+f.Refused+f.Left && have == f.Before+f.Now && f.Left >= 0
}

// undo takes messages that were never committed out of the figures again.
func (r *Result) undo(lost []*archive.Message) {
	for _, m := range lost {
		for i := range r.Mailboxes {
			f := &r.Mailboxes[i].Figures
			// What an earlier attempt stored, in another epoch, is not in the figures.
			if r.Mailboxes[i].key != (archive.Key{Mailbox: m.Mailbox, Epoch: m.Epoch}) || f.Now == 0 {
				continue
			}
			f.Now--
			f.Linked -= b2i(m.Link)
			f.Octets -= m.Size
			f.Left++
			f.LeftOctets += m.Size
		}
	}
}

// Mailbox is what a run did for one mailbox.
type Mailbox struct {
	Name string `json:"mailbox"` // levels joined by "/"
	Figures
	Unchanged bool `json:"unchanged,omitempty"` // the server's figures are those of the last run; it was not opened

	NewEpoch bool   `json:"new_epoch,omitempty"` // UIDVALIDITY is another than at the last run
	Failed   string `json:"failed,omitempty"`    // why it was not, or not wholly, copied
	Changed  string `json:"changed,omitempty"`   // why the server's answers were not believed

	key archive.Key // of the epoch it was copied into; UID 0
}

// Refused is a message the server would not give.
type Refused struct {
	Mailbox string `json:"mailbox"`
	UID     uint32 `json:"uid"`
	Text    string `json:"text"` // the server's own words, or what was wrong with its answer
}

// Result is what a run did.
type Result struct {
	Dir       string
	Source    archive.Source
	Created   bool // the archive is new
	DryRun    bool
	Mailboxes []Mailbox // in the order they were copied
	Unseen    int       // mailboxes that were not begun, because the run ended early
	Skipped   int       // mailboxes that are on the server and were left out by the options
	Foreign   int       // mailboxes on the server that are other people's or shared, and were left out
	Unlisted  []string  // mailboxes that have left the server; their mail stays in the archive
	Refused   []Refused
	Changed   []string // why answers that are not about one mailbox were not believed
	Duration  time.Duration
	Stored    int64 // octets added to the archive's segments, compressed
	Err       error // what ended the run early; nil if it went through
}

// Total is the sum over all mailboxes.
func (r *Result) Total() Figures {
	var total Figures
	for i := range r.Mailboxes {
		total.add(&r.Mailboxes[i].Figures)
	}
	return total
}

// ExitCode is the program's exit code for this result (DESIGN, "Command lines"): 0 only if every
// message that the server lists is in the archive.
func (r *Result) ExitCode() int {
	switch {
	case r.Err != nil:
		return exitCode(r.Err)
	case len(r.Refused) > 0 || len(r.failed()) > 0:
		return exitPartial
	case len(r.Changed) > 0 || len(r.changed()) > 0:
		return exitChanged
	}
	return exitComplete
}

// failed are the mailboxes that were not copied, or not wholly.
func (r *Result) failed() []*Mailbox {
	return r.which(func(m *Mailbox) bool { return m.Failed != "" })
}

// changed are the mailboxes where the server's answers were not believed.
func (r *Result) changed() []*Mailbox {
	return r.which(func(m *Mailbox) bool { return m.Changed != "" })
}

func (r *Result) which(cond func(*Mailbox) bool) []*Mailbox {
	var list []*Mailbox
	for i := range r.Mailboxes {
		if cond(&r.Mailboxes[i]) {
			list = append(list, &r.Mailboxes[i])
		}
	}
	return list
}
