package main

import (
	"fmt"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

// findMailboxes returns the mailboxes with a name, decoded or as on the wire. There can be several
// when a server changed its hierarchy delimiter.
func findMailboxes(r *archive.Reader, name string) ([]*archive.Mailbox, error) {
	var found []*archive.Mailbox
	for _, m := range r.Mailboxes() {
		inbox := strings.EqualFold(name, "INBOX") && m.Name() == "INBOX"
		if m.Name() == name || m.Raw == name || inbox {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return nil, &cli.UsageError{
			Text: fmt.Sprintf("no mailbox %q in the archive", name),
			Hint: "mailark list " + r.Dir() + " shows the names",
		}
	}
	return found, nil
}

// letters are the flags as in Maildir file names, and + for keywords.
func letters(flags []string) string {
	known := []struct{ flag, letter string }{
		{`\Draft`, "D"}, {`\Flagged`, "F"}, {`\Answered`, "R"}, {`\Seen`, "S"}, {`\Deleted`, "T"},
	}
	out, rest := "", len(flags)
	for _, k := range known {
		for _, f := range flags {
			if strings.EqualFold(f, k.flag) {
				out += k.letter
				rest--
				break
			}
		}
	}
	if rest > 0 {
		out += "+"
	}
	return dash(out)
}

func day(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format("2006-01-02")
}

func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humane.Count(n) + " " + many
}
