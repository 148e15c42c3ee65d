package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"mailark/internal/cli"
	"mailark/internal/exporter"
)

// modes are what to do in place of one run, and the flags that go with it.
type modes struct {
	audit, list, final bool

	sample exporter.Sample
	report string

	set *pflag.FlagSet
}

func (m *modes) section() cli.Section {
	fs := cli.NewFlags()
	fs.BoolVar(&m.list, "list", false, "show mailboxes, messages and sizes; copy nothing (without ARCHIVE)")
	fs.BoolVar(&m.final, "final", false, "repeat the run, comparing everything, until two in a row agree (for the last day)")
	fs.BoolVar(&m.audit, "audit", false, "compare ARCHIVE with the server, message by message; change neither")
	fs.Var((*sampleFlag)(&m.sample), "sample", "with --audit: fetch the octets of `N|all` messages again and compare them")
	fs.Uint64Var(&m.sample.Seed, "sample-seed", 0, "take the same sample as the audit that told this `SEED`")
	fs.StringVar(&m.report, "report", "", "with --audit: write the report, JSON, to `FILE` (default in ARCHIVE/audits)")
	m.set = fs
	return cli.Section{Title: "In place of one run", Flags: fs}
}

// sampleFlag is N or "all".
type sampleFlag exporter.Sample

func (s *sampleFlag) Type() string { return "N|all" }

func (s *sampleFlag) String() string {
	switch {
	case s.All:
		return "all"
	case s.N > 0:
		return strconv.Itoa(s.N)
	}
	return ""
}

func (s *sampleFlag) Set(text string) error {
	if text == "all" {
		s.All, s.N = true, 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return fmt.Errorf("want a number of messages, or all")
	}
	s.All, s.N = false, n
	return nil
}

// check finds flags and arguments that contradict each other.
func (f *flags) check(args []string) error {
	chosen := ""
	for _, mode := range []struct {
		on   bool
		name string
	}{{f.list, "--list"}, {f.final, "--final"}, {f.audit, "--audit"}} {
		switch {
		case mode.on && chosen != "":
			return &cli.UsageError{
				Text: chosen + " and " + mode.name + " do not go together", Hint: "run the command once for each",
			}
		case mode.on:
			chosen = mode.name
		}
	}
	for _, name := range []string{"sample", "sample-seed", "report"} {
		if f.set.Changed(name) && !f.audit {
			return &cli.UsageError{
				Text: "--" + name + " has no meaning without --audit", Hint: "add --audit, or leave it out",
			}
		}
	}
	if f.DryRun && chosen != "" {
		hint := chosen + " copies nothing anyway: leave out --dry-run"
		if f.final {
			hint = "leave one of them out"
		}
		return &cli.UsageError{Text: chosen + " and --dry-run do not go together", Hint: hint}
	}
	if f.believeEmpty && (f.audit || f.list) {
		return &cli.UsageError{Text: chosen + " marks nothing as gone, so --believe-empty has no meaning", Hint: "leave it out"}
	}
	return f.checkArchive(args)
}

func (f *flags) checkArchive(args []string) error {
	const usage = "usage: mailark-export [flags] ARCHIVE"
	switch {
	case f.list && len(args) > 0:
		return &cli.UsageError{
			Text: fmt.Sprintf("--list shows what is on the server and takes no archive: %q", args[0]),
			Hint: "leave it out; mailark list shows what is in an archive",
		}
	case !f.list && len(args) == 0:
		return &cli.UsageError{Text: "missing argument ARCHIVE", Hint: usage}
	}
	return nil
}
