package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/limit"
	"mailark/internal/session"
)

// Why a run ends early, for callers that branch on it. Errors of the archive and of the session come
// through as they are.
var (
	// ErrUsage says that a glob fits no mailbox of the archive (exit code 64). Nothing was done.
	ErrUsage = errors.New("choose mailboxes")
	// ErrTargetFull says that the target answered OVERQUOTA (exit code 13).
	ErrTargetFull = errors.New("the target is full")
	// ErrGaveUp says that the connection was lost again and again without progress (exit code 75).
	ErrGaveUp = errors.New("gave up after several tries without progress")
	// errArithmetic: the numbers of a mailbox do not add up.
	errArithmetic = errors.New("internal error: the numbers do not add up")
)

// Exit codes (DESIGN.md, "Command lines").
const (
	exitComplete    = 0
	exitError       = 1
	exitPartial     = 3
	exitDamage      = 7
	exitLimit       = 8
	exitNoArchive   = 10
	exitLocked      = 11
	exitTargetFull  = 13
	exitConnect     = 14
	exitTLS         = 15
	exitSignIn      = 16
	exitUsage       = 64
	exitTemporary   = 75
	exitInterrupted = 130
)

// Summary is what a run did. In every mailbox, and in all:
//
//	wanted = done before + uploaded + adopted + refused + damaged + left
type Summary struct {
	Target    string          `json:"target"` // user@host
	Ledger    string          `json:"ledger"`
	DryRun    bool            `json:"dry_run,omitempty"`
	Start     time.Time       `json:"start"`
	Duration  time.Duration   `json:"duration_ns"`
	Mailboxes []MailboxResult `json:"mailboxes"`
	Problems  []Problem       `json:"problems"` // every message not uploaded, by name, but those left to do
	Notes     []string        `json:"notes"`    // what a careful reader wants to know; no failures
	Source    string          `json:"source"`   // "", or what is wrong with the archive's last export
	Damage    string          `json:"damage"`   // "", or what the archive itself is known to have lost
	Reason    string          `json:"reason"`   // "", or why the run ended early
	Err       error           `json:"-"`        // the same as an error; Run returns it too
}

// MailboxResult is one mailbox of the archive, and what became of its mail.
type MailboxResult struct {
	Name     string `json:"mailbox"` // in the archive, levels joined by "/"
	Target   string `json:"target"`  // on the target
	Created  bool   `json:"created,omitempty"`
	Wanted   int    `json:"wanted"`
	Before   int    `json:"before"`   // uploaded or adopted by earlier runs
	Uploaded int    `json:"uploaded"` // now
	Adopted  int    `json:"adopted"`  // now: was there already
	Altered  int    `json:"altered"`  // of Adopted: with other line ends, NULs or newlines at the end
	Refused  int    `json:"refused"`  // by the server, now or earlier
	Damaged  int    `json:"damaged"`  // cannot be read from the archive
	Left     int    `json:"left"`     // to do
	InDoubt  int    `json:"in_doubt"` // of Left: sent, and the target could not be asked
	Missing  int    `json:"missing"`  // not there any more: taken in this run, or before the target numbered anew
	Octets   int64  `json:"octets"`   // uploaded now

	KeywordsDropped map[string]int `json:"keywords_dropped,omitempty"` // the target takes no such keyword
	FlagsDropped    map[string]int `json:"flags_dropped,omitempty"`    // no IMAP flags
	DatesDropped    int            `json:"dates_dropped,omitempty"`    // INTERNALDATE that cannot be said in IMAP

	Reason string `json:"reason,omitempty"` // why the mailbox was given up
}

// Problem names one message that was not uploaded.
type Problem struct {
	Mailbox string      `json:"mailbox"` // in the archive
	Key     archive.Key `json:"key"`
	Kind    string      `json:"kind"` // refused, damaged, in doubt
	Text    string      `json:"text"` // the server's own words, or the damage
	Earlier bool        `json:"earlier,omitempty"`
}

// add sums up; names, maps and reasons are left alone.
func (r *MailboxResult) add(o *MailboxResult) {
	r.Wanted += o.Wanted
	r.Before += o.Before
	r.Uploaded += o.Uploaded
	r.Adopted += o.Adopted
	r.Refused += o.Refused
	r.Damaged += o.Damaged
	r.Left += o.Left
	r.InDoubt += o.InDoubt
	r.Missing += o.Missing
	r.Altered += o.Altered
	r.Octets += o.Octets
}

// addsUp checks the equation of Summary.
func (r *MailboxResult) addsUp() bool {
	return r.Wanted == r.Before+r.Uploaded+r.Adopted+r.Refused+r.Damaged+r.Left && r.InDoubt <= r.Left
}

// Total is the sum of all mailboxes.
func (s *Summary) Total() MailboxResult {
	var total MailboxResult
	for i := range s.Mailboxes {
		total.add(&s.Mailboxes[i])
	}
	return total
}

// ExitCode is the exit code of DESIGN.md's table.
func (s *Summary) ExitCode() int {
	if s.Err != nil {
		return ExitCode(s.Err)
	}
	total := s.Total()
	if total.Refused+total.Damaged+total.Missing > 0 || total.Left > 0 && !s.DryRun {
		return exitPartial
	}
	for i := range s.Mailboxes {
		if s.Mailboxes[i].Reason != "" {
			return exitPartial
		}
	}
	if s.Damage != "" {
		return exitPartial
	}
	return exitComplete
}

// ExitCode is the exit code that belongs to an error of this package; nil is 0.
func ExitCode(err error) int {
	var (
		damage *archive.DamageError
		ended  *limit.Error
	)
	table := []struct {
		is   error
		code int
	}{
		{context.Canceled, exitInterrupted},
		{ErrUsage, exitUsage},
		{ErrTargetFull, exitTargetFull},
		{ErrGaveUp, exitTemporary},
		{ErrLedgerLocked, exitLocked},
		{archive.ErrNotArchive, exitNoArchive},
		{session.ErrTLS, exitTLS},
		{session.ErrSignIn, exitSignIn},
		{session.ErrConnect, exitConnect},
	}
	if err == nil {
		return exitComplete
	}
	if errors.As(err, &ended) {
		return exitLimit
	}
	for _, row := range table {
		if errors.Is(err, row.is) {
			return row.code
		}
	}
	switch {
	case errors.As(err, &damage):
		return exitDamage
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitTargetFull // the disk of the ledger
	}
	return exitError
}

// Print writes the summary for people.
func (s *Summary) Print(w io.Writer) error {
	p := &printer{w: w}
	head := "Upload to"
	if s.DryRun {
		head = "Plan of an upload to"
	}
	p.linef("%s %s", head, printable(s.Target))
	p.linef("")
	s.printTable(p)
	s.printProblems(p)
	s.printNotes(p)
	p.linef("")
	p.linef("%s", s.verdict())
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (s *Summary) printTable(p *printer) {
	const row = "%8d %8d %8d %8d %8d %8d %8d  %s"
	p.linef("%8s %8s %8s %8s %8s %8s %8s  %s",
		"wanted", "before", "uploaded", "adopted", "refused", "damaged", "left", "mailbox")
	for i := range s.Mailboxes {
		r := &s.Mailboxes[i]
		name := printable(r.Name)
		if r.Target != r.Name {
			name += " -> " + printable(r.Target)
		}
		if r.Created {
			name += " (new)"
		}
		p.linef(row, r.Wanted, r.Before, r.Uploaded, r.Adopted, r.Refused, r.Damaged, r.Left, name)
	}
	total := s.Total()
	p.linef(row, total.Wanted, total.Before, total.Uploaded, total.Adopted, total.Refused, total.Damaged,
		total.Left, fmt.Sprintf("total of %d", len(s.Mailboxes)))
	p.linef("")
	if !s.DryRun {
		p.linef("%s (%s) uploaded in %v", humane.Plural(total.Uploaded, "message"), humane.Octets(total.Octets), s.Duration.Round(time.Millisecond))
	}
	p.linef("ledger: %s", printable(s.Ledger))
}

func (s *Summary) printProblems(p *printer) {
	if len(s.Problems) == 0 {
		return
	}
	p.linef("")
	p.linef("Not uploaded:")
	if s.Total().Refused > 0 {
		p.linef("  (--retry-refused sends again what was refused in earlier runs)")
	}
	for _, m := range s.Problems {
		when := ""
		if m.Earlier {
			when = " (in an earlier run)"
		}
		p.linef("  %s UID %d: %s%s: %s", printable(m.Mailbox), m.Key.UID, m.Kind, when, printable(m.Text))
	}
}

func (s *Summary) printNotes(p *printer) {
	notes := slices.Clone(s.Notes)
	for i := range s.Mailboxes {
		r := &s.Mailboxes[i]
		if r.Reason != "" {
			notes = append(notes, fmt.Sprintf("%s was given up: %s", r.Name, r.Reason))
		}
		notes = append(notes, dropped(r.Name, "keyword", r.KeywordsDropped)...)
		notes = append(notes, dropped(r.Name, "flag", r.FlagsDropped)...)
		if r.Altered > 0 {
			notes = append(notes, fmt.Sprintf("%s: %s found there already, with other line ends than in the archive",
				r.Name, humane.Plural(r.Altered, "message")))
		}
		if r.DatesDropped > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d dates cannot be said in IMAP and were left out",
				r.Name, r.DatesDropped))
		}
	}
	for _, note := range []string{s.Source, s.Damage} {
		if note != "" {
			notes = append(notes, note)
		}
	}
	if len(notes) == 0 {
		return
	}
	p.linef("")
	p.linef("Notes:")
	for _, note := range notes {
		p.linef("  %s", printable(note))
	}
}

func (s *Summary) verdict() string {
	total := s.Total()
	var ended *limit.Error
	switch {
	case errors.As(s.Err, &ended):
		return fmt.Sprintf("Stopped at %s %s. Nothing is lost: run the same command again and it goes on.", ended.Flag, ended.Value)
	case s.Err != nil && s.ExitCode() == exitInterrupted:
		return "Interrupted. Nothing is lost: run the same command again and it goes on."
	case s.Err != nil:
		return "Ended early: " + printable(s.Reason)
	case s.DryRun:
		return fmt.Sprintf("%d messages would be uploaded, or found there. Nothing was sent.", total.Left)
	case total.Missing > 0:
		return fmt.Sprintf("Not complete: of what was uploaded, %s not there any more: see above.",
			humane.Plural(total.Missing, "message")+map[bool]string{true: " is", false: " are"}[total.Missing == 1])
	case s.Damage != "" && total.Refused+total.Damaged+total.Left == 0:
		return fmt.Sprintf("Not complete: all %s messages that the archive can give were uploaded or were there already, but it "+
			"has been damaged: see above.", humane.Count(total.Wanted))
	case s.ExitCode() == exitPartial:
		return "Finished, but not everything was uploaded: see above."
	}
	if s.Source != "" {
		return fmt.Sprintf("Complete as far as the archive goes: all %s messages in it were uploaded or were there already.",
			humane.Count(total.Wanted))
	}
	return fmt.Sprintf("Complete: all %s messages were uploaded or were there already.", humane.Count(total.Wanted))
}

// dropped is a note per name that was left out, in order of name.
func dropped(mailbox, kind string, names map[string]int) []string {
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		notes = append(notes, fmt.Sprintf("%s: %s %s was left out of %d messages", mailbox, kind, name, names[name]))
	}
	return notes
}

// printable keeps a hostile name or answer from doing anything to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) && r != ' ' {
			return '?'
		}
		return r
	}, s)
}
