package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/humane"
)

// runsShown is how many runs status tells about.
const runsShown = 5

func statusCommand() *cli.Command {
	var json bool
	fs := cli.NewFlags()
	cli.AddJSON(fs, &json)
	return &cli.Command{
		Name: "mailark status", Args: "ARCHIVE", MinArgs: 1, MaxArgs: 1,
		Short: "say what is in it, when it was brought up to date, and what is missing",
		About: "Says where the mail came from, how much there is, how the last runs ended and what is missing.\n" +
			"An export or import that is at work, and how far it is, is shown too.\n" +
			"Exit code 3 when something is missing. Damage is found by mailark verify, not here.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(_ context.Context, con *cli.Console, args []string) (int, error) {
			r, err := archive.Open(args[0], options(con))
			if err != nil {
				return 0, err
			}
			defer func() { _ = r.Close() }()
			s, err := readStatus(r, args[0])
			if err != nil {
				return 0, err
			}
			out := cli.NewPrinter(con.Stdout)
			if json {
				out.JSON(s)
			} else {
				s.print(out)
			}
			if len(s.Missing) > 0 {
				return cli.ExitPartial, out.Err()
			}
			return cli.ExitComplete, out.Err()
		},
	}
}

type status struct {
	ID        string         `json:"id"`
	Version   int            `json:"version"`
	Source    archive.Source `json:"source"`
	Created   time.Time      `json:"created"`
	Mailboxes int            `json:"mailboxes"`
	Messages  int            `json:"messages"`
	Gone      int            `json:"gone"`
	Distinct  int            `json:"distinct"`
	Octets    int64          `json:"octets"`
	Disk      int64          `json:"disk"`
	Running   []running      `json:"running"` // at work now, or killed while they were
	Runs      []statusRun    `json:"runs"`
	Missing   []missing      `json:"missing"`
}

type statusRun struct {
	Start   time.Time  `json:"start"`
	End     *time.Time `json:"end,omitempty"`
	Exit    *int       `json:"exit,omitempty"`
	Summary string     `json:"summary,omitempty"`
}

type missing struct {
	Mailbox string `json:"mailbox,omitempty"`
	UID     uint32 `json:"uid,omitempty"`
	Why     string `json:"why"`
}

func readStatus(r *archive.Reader, dir string) (*status, error) {
	info := r.Info()
	s := &status{
		ID: info.ID, Version: info.Version, Source: info.Source, Created: info.Created, Missing: []missing{},
	}
	_, s.Distinct = r.Len()
	for _, m := range r.Mailboxes() {
		s.Mailboxes++
		for msg := range r.Messages(m.ID) {
			s.Messages++
			s.Octets += msg.Size
			if msg.Gone {
				s.Gone++
			}
		}
		if lacking := lacks(r, m); lacking != "" {
			s.Missing = append(s.Missing, missing{Mailbox: m.Name(), Why: lacking})
		}
	}
	for _, refused := range r.Refusals() {
		s.Missing = append(s.Missing, missing{
			Mailbox: r.Mailbox(refused.Mailbox).Name(), UID: refused.UID, Why: "refused by the server: " + refused.Text,
		})
	}
	awaited, lost := r.PutAside()
	for _, k := range awaited {
		s.Missing = append(s.Missing, missing{
			Mailbox: r.Mailbox(k.Mailbox).Name(), UID: k.UID, Why: "its octets were damaged and put aside; run mailark-export again",
		})
	}
	for _, k := range lost {
		s.Missing = append(s.Missing, missing{
			Mailbox: r.Mailbox(k.Mailbox).Name(), UID: k.UID, Why: "lost: its octets were damaged, and it has left the server",
		})
	}
	s.Running = readRunning(dir)
	s.addRuns(r.Runs())
	var err error
	s.Disk, err = r.Size()
	return s, err
}

// lacks says why a mailbox cannot be called complete, or "".
func lacks(r *archive.Reader, m *archive.Mailbox) string {
	if !m.Listed || m.HasAttr(`\Noselect`) || m.HasAttr(`\NonExistent`) {
		return ""
	}
	e := r.Epoch(m.ID)
	switch {
	case e == nil:
		return "never copied"
	case e.State == nil:
		return "not yet copied whole"
	}
	return ""
}

func (s *status) addRuns(runs []archive.Run) {
	if len(runs) == 0 {
		why := "everything: no run has been recorded"
		if s.exporting() {
			why = s.unended()
		}
		s.Missing = append(s.Missing, missing{Why: why})
	}
	for i, run := range runs {
		last := i == len(runs)-1
		if last && run.End.IsZero() {
			s.Missing = append(s.Missing, missing{Why: s.unended()})
		}
		if i < len(runs)-runsShown {
			continue
		}
		line := statusRun{Start: run.Start, Summary: run.Summary}
		if !run.End.IsZero() {
			line.End, line.Exit = &run.End, &run.Exit
		}
		s.Runs = append(s.Runs, line)
	}
}

// exporting reports whether an export is at work.
func (s *status) exporting() bool {
	return slices.ContainsFunc(s.Running, func(r running) bool { return r.Running && r.Ledger == "" })
}

// unended says what is missing because the last run has no end in the catalog.
func (s *status) unended() string {
	if s.exporting() {
		return "what the export that is at work has not copied yet"
	}
	return "the last run did not end: run mailark-export again"
}

func (s *status) print(out *cli.Printer) {
	out.Linef("source     %s at %s", s.Source.User, s.Source.Host)
	out.Linef("created    %s", s.Created.Format("2006-01-02 15:04"))
	gone := ""
	if s.Gone > 0 {
		gone = " (" + humane.Count(s.Gone) + " of them no longer on the server)"
	}
	out.Linef("mail       %s%s in %s, %s", counted(s.Messages, "message", "messages"), gone,
		counted(s.Mailboxes, "mailbox", "mailboxes"), humane.Octets(s.Octets))
	out.Linef("on disk    %s, %s distinct messages", humane.Octets(s.Disk), humane.Count(s.Distinct))
	for i := range s.Running {
		s.Running[i].print(out, time.Now())
	}
	for i, run := range s.Runs {
		text := "did not end"
		if i == len(s.Runs)-1 && s.exporting() {
			text = "is at work"
		}
		if run.End != nil {
			text = run.Summary
		}
		out.Linef("run        %s  %s", run.Start.Format("2006-01-02 15:04"), text)
	}
	if len(s.Missing) == 0 {
		out.Linef("missing    nothing")
	}
	for _, m := range s.Missing {
		where := m.Mailbox
		if m.UID > 0 {
			where += " uid " + humane.Count(m.UID)
		}
		if where != "" {
			where += ": "
		}
		out.Linef("missing    %s%s", where, strings.TrimSpace(m.Why))
	}
}
