package exporter

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/humane"
)

// AuditFigures count the messages of a mailbox, or of all. Listed = Archived + Missing + Refused;
// Sampled = Compared + OtherOctets + Damaged + NotGiven + NotAsked.
type AuditFigures struct {
	Exists   int64 `json:"exists"`   // as EXAMINE said
	Listed   int   `json:"listed"`   // by FETCH
	Archived int   `json:"archived"` // of those, under the same UIDVALIDITY and UID
	Missing  int   `json:"missing"`  // … in the archive, for no known reason
	Refused  int   `json:"refused"`  // … in the archive, because the server would not give them
	Vanished int   `json:"vanished"` // the archive takes them to be on the server, which does not list them
	Gone     int   `json:"gone"`     // archived, and known to have left the server

	Differing     int   `json:"differing"`      // of Archived: something of the next four
	OtherFlags    int   `json:"other_flags"`    // flags or keywords
	OtherDate     int   `json:"other_date"`     // INTERNALDATE is another instant
	OtherOctets   int   `json:"other_octets"`   // of Sampled: the server gives other octets than it did
	Back          int   `json:"back"`           // the archive takes them to have left the server
	SizeDiffers   int   `json:"size_differs"`   // RFC822.SIZE is not the number of octets, which does no harm
	ZoneDiffers   int   `json:"zone_differs"`   // INTERNALDATE is the same instant in another zone, which does no harm
	FlagsUntold   int   `json:"flags_untold"`   // the server told no flags, though asked twice
	LooksOther    int   `json:"looks_other"`    // of OtherDate: another size too, so it may be another message
	MissingOctets int64 `json:"missing_octets"` // of Missing, after the server's estimate

	Sampled  int   `json:"bodies_sampled"`  // bodies to be fetched again
	Compared int   `json:"bodies_compared"` // equal on the server, in the archive's record, and as read back from the archive
	Damaged  int   `json:"bodies_damaged"`  // cannot be read back from the archive as they were
	NotGiven int   `json:"bodies_refused"`  // the server would not give them this time
	NotAsked int   `json:"bodies_left"`     // the audit ended before it came to them
	Octets   int64 `json:"octets_compared"` // of Compared
}

func (f *AuditFigures) add(g *AuditFigures) {
	f.Exists += g.Exists
	for _, n := range []struct {
		to   *int
		from int
	}{
		{&f.Listed, g.Listed}, {&f.Archived, g.Archived}, {&f.Missing, g.Missing}, {&f.Refused, g.Refused},
		{&f.Vanished, g.Vanished}, {&f.Gone, g.Gone}, {&f.Differing, g.Differing}, {&f.OtherFlags, g.OtherFlags},
		{&f.OtherDate, g.OtherDate}, {&f.OtherOctets, g.OtherOctets}, {&f.Back, g.Back}, {&f.SizeDiffers, g.SizeDiffers},
		{&f.ZoneDiffers, g.ZoneDiffers}, {&f.FlagsUntold, g.FlagsUntold}, {&f.LooksOther, g.LooksOther},
		{&f.Sampled, g.Sampled}, {&f.Compared, g.Compared}, {&f.Damaged, g.Damaged}, {&f.NotGiven, g.NotGiven},
		{&f.NotAsked, g.NotAsked},
	} {
		*n.to += n.from
	}
	f.MissingOctets += g.MissingOctets
	f.Octets += g.Octets
}

// addUp reports whether every message listed or sampled is accounted for.
func (f *AuditFigures) addUp() bool {
	return f.Listed == f.Archived+f.Missing+f.Refused &&
		f.Sampled == f.Compared+f.OtherOctets+f.Damaged+f.NotGiven+f.NotAsked
}

// AuditedMailbox is what an audit found in one mailbox of the server.
type AuditedMailbox struct {
	Name          string `json:"mailbox"`                // levels joined by "/"
	UIDValidity   uint32 `json:"uidvalidity"`            // 0 if the server tells none
	KnownValidity uint32 `json:"uidvalidity_in_archive"` // of the newest epoch; 0 if unknown
	AuditFigures
	Looked       bool   `json:"compared"`               // every message listed was compared
	NoMail       bool   `json:"no_mail,omitempty"`      // \Noselect: it cannot hold any
	MissingUIDs  string `json:"missing_uids,omitempty"` // as an IMAP set, "1:5,9"
	VanishedUIDs string `json:"vanished_uids,omitempty"`

	Differs []string `json:"differs,omitempty"` // what differs of the mailbox itself
	Doubts  []string `json:"doubts,omitempty"`  // why the server's answers are not believed, or do not suffice
	Failed  string   `json:"failed,omitempty"`  // why it was not, or not wholly, compared

	lost bool // Failed because the connection was lost again and again
}

// Difference is what differs of one message.
type Difference struct {
	Mailbox string `json:"mailbox"`
	UID     uint32 `json:"uid"`
	What    string `json:"what"` // "flags", "date", "octets", "gone" or "damage"
	Server  string `json:"server"`
	Archive string `json:"archive"`
}

// AuditResult is what an audit found. It is the report, too, as JSON.
type AuditResult struct {
	Version   int            `json:"audit"` // of this shape: 1
	Program   string         `json:"program"`
	Time      time.Time      `json:"time"` // when it began
	Seconds   float64        `json:"seconds"`
	Dir       string         `json:"archive"`
	ID        string         `json:"archive_id"`
	Source    archive.Source `json:"source"`
	Exit      int            `json:"exit"`
	Verdict   string         `json:"verdict"`
	Error     string         `json:"error,omitempty"`
	Total     AuditFigures   `json:"total"`
	SampleAll bool           `json:"sample_all"`
	Seed      uint64         `json:"sample_seed,omitempty"`

	Mailboxes []*AuditedMailbox `json:"mailboxes"`
	Unseen    int               `json:"unseen"`            // mailboxes that were not begun, because the audit ended early
	Skipped   int               `json:"skipped"`           // mailboxes on the server that the options leave out
	Foreign   int               `json:"foreign"`           // mailboxes on the server that are other people's or shared
	Unlisted  []string          `json:"unlisted"`          // mailboxes that have left the server, and the archive does not know
	Differs   []string          `json:"differs,omitempty"` // what differs and is not about one mailbox
	Doubts    []string          `json:"doubts,omitempty"`  // why answers that are not about one mailbox are not believed
	Untold    []string          `json:"untold,omitempty"`  // what the server does not tell, so that it was not compared

	Differences []Difference `json:"differences"` // at most maxDifferences; the figures count all
	Refused     []Refused    `json:"refused"`     // missing in the archive, with the server's words; all of them
	NotGiven    []Refused    `json:"not_given"`   // archived, sampled, and not given this time

	Err error `json:"-"` // what ended the audit early; nil if it went through
}

// maxDifferences is how many differing messages an audit names. All are counted.
const maxDifferences = 10_000

// differs adds a difference.
func (r *AuditResult) differ(d Difference) {
	if len(r.Differences) < maxDifferences {
		r.Differences = append(r.Differences, d)
	}
}

// complete fills in what is derived from the rest.
func (r *AuditResult) complete() {
	r.Total = AuditFigures{}
	for _, m := range r.Mailboxes {
		r.Total.add(&m.AuditFigures)
		if !m.addUp() {
			r.Err = errors.Join(r.Err, fmt.Errorf("the audit's figures of %q do not add up: %+v: %w",
				m.Name, m.AuditFigures, errFigures))
		}
	}
	if r.Err != nil {
		r.Error = r.Err.Error()
	}
	r.Exit = r.ExitCode()
	r.Verdict = r.verdict()
}

// errFigures says that figures do not add up, which is our own mistake (exit code 1).
var errFigures = errors.New("internal error")

// ExitCode is the program's exit code for this result: 0 only if everything on the server was looked at, and is in
// the archive as it is there.
func (r *AuditResult) ExitCode() int {
	unlooked, lost := r.unlooked()
	t := r.sum()
	switch {
	case errors.Is(r.Err, errFigures):
		return exitError
	case r.Err != nil:
		return exitCode(r.Err)
	case r.different():
		return exitDamaged
	case lost > 0:
		return exitTemporary
	case r.doubtful():
		return exitChanged
	case unlooked > 0 || t.Refused > 0 || t.NotGiven > 0:
		return exitPartial
	case r.Unseen > 0 || t.NotAsked > 0 || len(r.Mailboxes) == 0 || t.Listed != t.Archived || t.Sampled != t.Compared:
		return exitError // not reached; nothing that was not looked at may ever count as there
	}
	return exitComplete
}

func (r *AuditResult) sum() (t AuditFigures) {
	for _, m := range r.Mailboxes {
		t.add(&m.AuditFigures)
	}
	return t
}

// unlooked counts the mailboxes that were not wholly compared, and those of them where the connection was lost.
func (r *AuditResult) unlooked() (all, lost int) {
	for _, m := range r.Mailboxes {
		all += b2i(!m.Looked && !m.NoMail || m.Failed != "")
		lost += b2i(m.lost)
	}
	return all, lost
}

// structure counts what differs and is not about messages.
func (r *AuditResult) structure() int {
	n := len(r.Unlisted) + len(r.Differs)
	for _, m := range r.Mailboxes {
		n += len(m.Differs)
	}
	return n
}

// different reports whether the archive lacks something, or has something otherwise than the server.
func (r *AuditResult) different() bool {
	t := r.sum()
	return r.structure()+t.Missing+t.Vanished+t.Differing+t.Damaged > 0
}

// doubtful reports whether the server's answers contradict each other, or do not suffice.
func (r *AuditResult) doubtful() bool {
	doubts := len(r.Doubts)
	for _, m := range r.Mailboxes {
		doubts += len(m.Doubts)
	}
	return doubts > 0
}

// verdict is the last line.
func (r *AuditResult) verdict() string {
	t := r.sum()
	code := r.ExitCode()
	switch {
	case code == exitComplete:
		return fmt.Sprintf("All there: %s in %s%s%s.", humane.Plural(t.Listed, "message"),
			humane.Plural(len(r.Mailboxes), "mailbox"), r.leftOut(), r.octetsToo(&t))
	case code == exitDamaged && r.Err == nil:
		return fmt.Sprintf("NOT EQUAL: %s. Export again, then audit again.", parts(
			part{t.Missing, "%s missing"}, part{t.Vanished, "%s vanished"}, part{t.Differing, "%s differing"},
			part{t.Damaged, "%s damaged"}, part{r.structure(), "%s about whole mailboxes"}))
	case code == exitChanged:
		return "NOT PROVEN: the server's answers contradict each other or do not suffice. Audit again."
	case code == exitPartial:
		unlooked, _ := r.unlooked()
		return fmt.Sprintf("NOT ALL THERE: the server refused %s, as listed. All else is there.", parts(
			part{t.Refused, humane.Plural(t.Refused, "message")}, part{t.NotGiven, "the octets of " + humane.Plural(t.NotGiven, "message")},
			part{unlooked, humane.Plural(unlooked, "mailbox")}))
	case code == exitInterrupted, code == exitLimit:
		return "NOT PROVEN: interrupted. Run the same command again; it begins anew."
	}
	return "NOT PROVEN: stopped by an error. Run the same command again when it is mended."
}

// leftOut says how many mailboxes the verdict is not about.
func (r *AuditResult) leftOut() string {
	if n := r.Skipped + r.Foreign; n > 0 {
		return fmt.Sprintf(" (%s left out)", humane.Count(n))
	}
	return ""
}

// octetsToo says how many bodies were compared.
func (r *AuditResult) octetsToo(t *AuditFigures) string {
	switch {
	case r.SampleAll:
		return ", to the last octet"
	case t.Sampled > 0:
		return fmt.Sprintf("; the octets of %s are the same", humane.Count(t.Compared))
	}
	return ", by UID, flags and date"
}

// part is one number of a verdict and what it is about.
type part struct {
	n    int
	text string // "%s" stands for the number
}

// parts joins those that are not 0.
func parts(list ...part) string {
	var texts []string
	for _, p := range list {
		if p.n > 0 {
			texts = append(texts, strings.ReplaceAll(p.text, "%s", humane.Count(p.n)))
		}
	}
	return strings.Join(texts, ", ")
}
