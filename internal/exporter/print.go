package exporter

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mailark/internal/humane"
	"mailark/internal/limit"
)

// shown is how many refused messages are listed one by one.
const shown = 20

// Print writes the result for people. verbose: every mailbox, not only those where something happened.
func (r *Result) Print(w io.Writer, verbose bool) error {
	var out strings.Builder
	total := r.Total()
	r.printHead(&out, &total)
	r.printTable(&out, &total, verbose)
	r.printTrouble(&out)
	fmt.Fprintln(&out, r.line())
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// String is the result as Print writes it, without the mailboxes where nothing happened.
func (r *Result) String() string {
	var out strings.Builder
	_ = r.Print(&out, false) // a Builder takes everything
	return out.String()
}

func (r *Result) printHead(out *strings.Builder, total *Figures) {
	fmt.Fprintf(out, "%s at %s to %s: %s in %s, %v\n", humane.Printable(r.Source.User), humane.Printable(r.Source.Host), humane.Printable(r.Dir),
		humane.Plural(total.Listed, "message"), humane.Plural(len(r.Mailboxes), "mailbox"), r.Duration.Round(duration(r.Duration)))
	switch {
	case r.DryRun:
		fmt.Fprintf(out, "Dry run: %s to copy (about %s), %s archived already\n",
			humane.Plural(total.Left, "message"), humane.Octets(total.LeftOctets), humane.Count(total.Before))
	case total.Now == 0 && total.Before == total.Listed:
		fmt.Fprintf(out, "Nothing new: all %s were archived before\n", humane.Plural(total.Before, "message"))
	case total.Now == 0:
		fmt.Fprintf(out, "Nothing copied: %s archived before\n", humane.Plural(total.Before, "message"))
	default:
		fmt.Fprintf(out, "Copied %s (%s, which took %s in the archive), %s archived before\n",
			humane.Plural(total.Now, "message"), humane.Octets(total.Octets), humane.Octets(r.Stored), humane.Count(total.Before))
	}
	var notes []string
	for _, n := range []struct {
		n    int
		text string
	}{
		{total.Linked, "of those copied had octets that were there already, and were stored once"},
		{total.FlagsChanged, "archived before have other flags now"},
		{total.Gone, "are no longer on the server, and stay in the archive"},
		{total.Back, "that were gone are back on the server"},
		{total.Vanished, "vanished from the server while the run went on"},
		{total.SizeDiffers, "were not of the size the server had told, which does no harm"},
	} {
		if n.n > 0 {
			notes = append(notes, fmt.Sprintf("  %s %s", humane.Count(n.n), n.text))
		}
	}
	for _, name := range r.Unlisted {
		notes = append(notes, fmt.Sprintf("  mailbox %s is no longer on the server; its mail stays in the archive", humane.Printable(name)))
	}
	if same := len(r.which(func(m *Mailbox) bool { return m.Unchanged })); same > 0 {
		notes = append(notes, fmt.Sprintf("  %s not opened, for the server's figures show that nothing has changed there (--full opens all)",
			humane.Plural(same, "mailbox")))
	}
	if r.Skipped > 0 {
		notes = append(notes, fmt.Sprintf("  %s left out by --mailbox or --exclude", humane.Plural(r.Skipped, "mailbox")))
	}
	if r.Foreign > 0 {
		notes = append(notes, fmt.Sprintf("  %s left out, for they are other people's or shared", humane.Plural(r.Foreign, "mailbox")))
	}
	for _, note := range notes {
		fmt.Fprintln(out, note)
	}
}

// printTable writes a line for each mailbox. Names come last, because how wide they are on a
// terminal nobody knows.
func (r *Result) printTable(out *strings.Builder, total *Figures, verbose bool) {
	list := r.which(func(m *Mailbox) bool {
		return verbose || m.Now+m.Vanished+m.Refused+m.Left+m.FlagsChanged+m.Gone+m.Back > 0
	})
	if len(list) == 0 {
		return
	}
	row := func(f *Figures, name string) {
		fmt.Fprintf(out, "%10s %10s %10s %10s %10s %10s  %s\n", humane.Count(f.Listed), humane.Count(f.Before), humane.Count(f.Now),
			humane.Count(f.Vanished), humane.Count(f.Refused), humane.Count(f.Left), name)
	}
	fmt.Fprintf(out, "%10s %10s %10s %10s %10s %10s\n", "listed", "before", "now", "vanished", "refused", "left")
	for _, m := range list {
		name := humane.Printable(m.Name)
		if m.NewEpoch {
			name += " (renumbered by the server)"
		}
		row(&m.Figures, name)
	}
	if len(list) < len(r.Mailboxes) {
		fmt.Fprintf(out, "%67s%s without changes\n", "", humane.Plural(len(r.Mailboxes)-len(list), "mailbox"))
	}
	if len(r.Mailboxes) > 1 {
		row(total, "in all")
	}
}

func (r *Result) printTrouble(out *strings.Builder) {
	for i, m := range r.Refused {
		if i == shown {
			fmt.Fprintf(out, "not copied: %s more; mailark status lists them all\n", humane.Plural(len(r.Refused)-shown, "message"))
			break
		}
		fmt.Fprintf(out, "not copied: %s UID %d: %s\n", humane.Printable(m.Mailbox), m.UID, humane.Printable(m.Text))
	}
	for _, m := range r.failed() {
		fmt.Fprintf(out, "not copied: mailbox %s: %s\n", humane.Printable(m.Name), humane.Printable(m.Failed))
	}
	for _, m := range r.changed() {
		fmt.Fprintf(out, "look: mailbox %s: %s\n", humane.Printable(m.Name), humane.Printable(m.Changed))
	}
	if r.Unseen > 0 {
		fmt.Fprintf(out, "not reached: %s\n", humane.Plural(r.Unseen, "mailbox"))
	}
	for _, text := range r.Changed {
		fmt.Fprintf(out, "look: %s\n", humane.Printable(text))
	}
}

// line is the verdict.
func (r *Result) line() string {
	total := r.Total()
	switch code := r.ExitCode(); {
	case r.DryRun && r.Err == nil:
		return "Nothing was copied: this was a dry run."
	case code == exitComplete:
		return fmt.Sprintf("Complete: all %s listed are in the archive.", humane.Plural(total.Before+total.Now, "message")) +
			vanishedToo(total.Vanished)
	case code == exitPartial:
		return fmt.Sprintf("NOT COMPLETE: %s and %s were not copied. Run the same command again to try once more.",
			humane.Plural(total.Refused+total.Left, "message"), humane.Plural(len(r.failed()), "whole mailbox"))
	case code == exitChanged:
		return "The server's answers contradict each other or the last run. Run the same command again."
	case code == exitLimit:
		var ended *limit.Error
		errors.As(r.Err, &ended)
		return fmt.Sprintf("Stopped at %s %s: %s copied and safe. Run the same command again; it goes on from here.",
			ended.Flag, ended.Value, humane.Plural(total.Now, "message"))
	case code == exitInterrupted:
		return fmt.Sprintf("Interrupted: %s copied and safe. Run the same command again; it goes on from here.",
			humane.Plural(total.Now, "message"))
	}
	return fmt.Sprintf("NOT COMPLETE: stopped by an error; %s copied and safe. Run the same command again when it is mended.",
		humane.Plural(total.Now, "message"))
}

func vanishedToo(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" %s vanished from the server before it could be copied.", humane.Plural(n, "other"))
}

// duration is what a duration is rounded to for people.
func duration(d time.Duration) time.Duration {
	if d < time.Minute {
		return 10 * time.Millisecond
	}
	return time.Second
}
