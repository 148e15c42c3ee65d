package cli

import "github.com/spf13/pflag"

// RunFlags steer a run that copies mail.
type RunFlags struct {
	Mailboxes []string
	Excludes  []string
	DryRun    bool
	Output
}

// Section returns the flags of a run.
func (r *RunFlags) Section() Section {
	fs := NewFlags()
	AddMailboxes(fs, &r.Mailboxes)
	fs.StringArrayVar(&r.Excludes, "exclude", nil, "leave out mailboxes that match `GLOB` (repeatable)")
	fs.BoolVarP(&r.DryRun, "dry-run", "n", false, "only say what would be done")
	r.add(fs)
	return Section{"Run", fs}
}

// AddMailboxes adds --mailbox.
func AddMailboxes(fs *pflag.FlagSet, value *[]string) {
	fs.StringArrayVar(value, "mailbox", nil, "only mailboxes that match `GLOB` (repeatable)")
}

// Output says what a program tells, and where.
type Output struct {
	JSON    bool
	LogFile string
	Quiet   bool
	Verbose bool
}

func (o *Output) add(fs *pflag.FlagSet) {
	AddJSON(fs, &o.JSON)
	fs.StringVar(&o.LogFile, "log-file", "", "add a log of everything done to `FILE`")
	AddQuiet(fs, &o.Quiet)
	fs.BoolVarP(&o.Verbose, "verbose", "v", false, "tell more, also in the log")
}

// AddJSON adds --json.
func AddJSON(fs *pflag.FlagSet, value *bool) {
	fs.BoolVar(value, "json", false, "write the result to stdout as JSON, one object a line")
}

// AddQuiet adds --quiet.
func AddQuiet(fs *pflag.FlagSet, value *bool) {
	fs.BoolVarP(value, "quiet", "q", false, "no progress, only warnings, errors and the result")
}
