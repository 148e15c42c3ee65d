package exporter

import (
	"fmt"
	"io"
	"strings"

	"mailark/internal/humane"
)

// Print writes the report for people.
func (r *AuditResult) Print(w io.Writer) error {
	var out strings.Builder
	r.printHead(&out)
	r.printTable(&out)
	r.printDifferences(&out)
	r.printUnproven(&out)
	fmt.Fprintln(&out, r.Verdict)
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// String is the report as Print writes it.
func (r *AuditResult) String() string {
	var out strings.Builder
	_ = r.Print(&out) // a Builder takes everything
	return out.String()
}

func (r *AuditResult) printHead(out *strings.Builder) {
	fmt.Fprintf(out, "Audit of %s: %s at %s\n",
		humane.Printable(r.Dir), humane.Printable(r.Source.User), humane.Printable(r.Source.Host))
	t := &r.Total
	fmt.Fprintf(out, "%s on the server, in %s: %s archived, %s missing, %s refused\n", humane.Plural(t.Listed, "message"),
		humane.Plural(len(r.Mailboxes), "mailbox"), humane.Count(t.Archived), humane.Count(t.Missing), humane.Count(t.Refused))
	fmt.Fprintf(out, "%s vanished from the server since the last export, %s differing\n",
		humane.Count(t.Vanished), humane.Count(t.Differing+t.Damaged))
	switch {
	case r.SampleAll:
		fmt.Fprintf(out, "Octets of all messages compared: %s of %s are the same (%s)\n",
			humane.Count(t.Compared), humane.Count(t.Sampled), humane.Octets(t.Octets))
	case t.Sampled > 0:
		fmt.Fprintf(out, "Octets of a sample compared: %s of %s are the same (%s), --sample-seed %d\n",
			humane.Count(t.Compared), humane.Count(t.Sampled), humane.Octets(t.Octets), r.Seed)
	default:
		fmt.Fprintln(out, "Octets were not compared; --sample N or --sample all does it")
	}
	for _, n := range []struct {
		n    int
		text string
	}{
		{t.Gone, "left the server earlier, as the archive knows; they stay in it"},
		{t.SizeDiffers, "are not of the size the server tells, which does no harm"},
		{t.ZoneDiffers, "have their date in another zone now, which does no harm"},
	} {
		if n.n > 0 {
			fmt.Fprintf(out, "  %s %s\n", humane.Count(n.n), n.text)
		}
	}
	if r.Skipped > 0 {
		fmt.Fprintf(out, "  %s left out by --mailbox or --exclude\n", humane.Plural(r.Skipped, "mailbox"))
	}
	if r.Foreign > 0 {
		fmt.Fprintf(out, "  %s left out, for they are other people's or shared\n", humane.Plural(r.Foreign, "mailbox"))
	}
}

// column is one column of a table of numbers.
type column struct {
	title string
	value func(m *AuditedMailbox) string
	width int
}

// printTable writes a line for each mailbox. Columns with nothing but zeros that are in the head anyway are left
// out, for the sake of the names, which come last because they may be wide.
func (r *AuditResult) printTable(out *strings.Builder) {
	if len(r.Mailboxes) == 0 {
		return
	}
	count := func(title string, value func(f *AuditFigures) int) column {
		return column{title: title, value: func(m *AuditedMailbox) string { return humane.Count(value(&m.AuditFigures)) }}
	}
	columns := []column{
		{title: "UIDVALIDITY", value: func(m *AuditedMailbox) string { return fmt.Sprint(m.UIDValidity) }},
		{title: "exists", value: func(m *AuditedMailbox) string { return humane.Count(m.Exists) }},
		count("archived", func(f *AuditFigures) int { return f.Archived }),
		count("missing", func(f *AuditFigures) int { return f.Missing }),
	}
	for _, c := range []column{
		count("refused", func(f *AuditFigures) int { return f.Refused }),
		count("vanished", func(f *AuditFigures) int { return f.Vanished }),
		count("differ", func(f *AuditFigures) int { return f.Differing + f.Damaged }),
		count("octets", func(f *AuditFigures) int { return f.Compared }),
	} {
		if c.value(&AuditedMailbox{AuditFigures: r.Total}) != "0" {
			columns = append(columns, c)
		}
	}
	rows := r.Mailboxes
	if len(rows) > 1 {
		rows = append(rows[:len(rows):len(rows)], &AuditedMailbox{Name: "in all", AuditFigures: r.Total})
	}
	for i := range columns {
		c := &columns[i]
		c.width = len(c.title)
		for _, m := range rows {
			c.width = max(c.width, len(c.value(m)))
		}
		fmt.Fprintf(out, "%*s ", c.width, c.title)
	}
	fmt.Fprintln(out, " mailbox")
	for i, m := range rows {
		for j, c := range columns {
			text := c.value(m)
			if m.UIDValidity == 0 && j == 0 || !m.Looked && i < len(r.Mailboxes) {
				text = "-"
			}
			fmt.Fprintf(out, "%*s ", c.width, text)
		}
		fmt.Fprintf(out, " %s%s\n", humane.Printable(m.Name), m.remark())
	}
}

// remark says why a mailbox has no figures.
func (m *AuditedMailbox) remark() string {
	switch {
	case m.NoMail:
		return "  (holds no mail)"
	case m.Failed != "":
		return "  (not compared)"
	}
	return ""
}

// shownSet is how many octets of a UID set are shown.
const shownSet = 60

func (r *AuditResult) printDifferences(out *strings.Builder) {
	for _, m := range r.Mailboxes {
		name := humane.Printable(m.Name)
		for _, text := range m.Differs {
			fmt.Fprintf(out, "differs: mailbox %s: %s\n", name, humane.Printable(text))
		}
		if m.Missing > 0 {
			fmt.Fprintf(out, "missing: %s: %s, about %s, UID %s\n", name, humane.Plural(m.Missing, "message"),
				humane.Octets(m.MissingOctets), cutSet(m.MissingUIDs, shownSet))
		}
		if m.Vanished > 0 {
			fmt.Fprintf(out, "vanished: %s: %s, UID %s\n",
				name, humane.Plural(m.Vanished, "message"), cutSet(m.VanishedUIDs, shownSet))
		}
	}
	for _, name := range r.Unlisted {
		fmt.Fprintf(out, "differs: mailbox %s has left the server since the last export\n", humane.Printable(name))
	}
	for _, text := range r.Differs {
		fmt.Fprintf(out, "differs: %s\n", humane.Printable(text))
	}
	for i, d := range r.Differences {
		if i == shown {
			fmt.Fprintf(out, "differs: %s more; the report in JSON has them\n",
				humane.Plural(r.Total.Differing+r.Total.Damaged-shown, "message"))
			break
		}
		fmt.Fprintf(out, "differs: %s UID %d: %s: %s on the server, %s in the archive\n", humane.Printable(d.Mailbox),
			d.UID, d.What, humane.Printable(cutSum(d.Server)), humane.Printable(cutSum(d.Archive)))
	}
}

// sha256Is is what a checksum in a Difference begins with.
const sha256Is = "SHA-256 "

// cutSum shortens a checksum; the report in JSON has it whole.
func cutSum(text string) string {
	const digits = 12
	if strings.HasPrefix(text, sha256Is) && len(text) > len(sha256Is)+digits {
		return text[:len(sha256Is)+digits] + "…"
	}
	return text
}

// printUnproven writes what was refused, and what was not compared or does not fit together.
func (r *AuditResult) printUnproven(out *strings.Builder) {
	for _, list := range []struct {
		title    string
		messages []Refused
	}{{"refused", r.Refused}, {"not given again", r.NotGiven}} {
		for i, m := range list.messages {
			if i == shown {
				fmt.Fprintf(out, "%s: %s more; the report in JSON has them\n",
					list.title, humane.Plural(len(list.messages)-shown, "message"))
				break
			}
			fmt.Fprintf(out, "%s: %s UID %d: %s\n", list.title, humane.Printable(m.Mailbox), m.UID, humane.Printable(m.Text))
		}
	}
	for _, m := range r.Mailboxes {
		for _, text := range m.Doubts {
			fmt.Fprintf(out, "look: mailbox %s: %s\n", humane.Printable(m.Name), humane.Printable(text))
		}
		if m.Failed != "" {
			fmt.Fprintf(out, "not compared: mailbox %s: %s\n", humane.Printable(m.Name), humane.Printable(m.Failed))
		}
	}
	for _, text := range r.Doubts {
		fmt.Fprintf(out, "look: %s\n", humane.Printable(text))
	}
	for _, text := range r.Untold {
		fmt.Fprintf(out, "not compared: the server does not tell %s\n", text)
	}
	if r.Unseen > 0 {
		fmt.Fprintf(out, "not reached: %s\n", humane.Plural(r.Unseen, "mailbox"))
	}
	if r.Total.NotAsked > 0 {
		fmt.Fprintf(out, "not reached: the octets of %s\n", humane.Plural(r.Total.NotAsked, "message"))
	}
}
