package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"
)

// Command is one program, or one subcommand of a program.
type Command struct {
	Name     string // as typed: "mailark-export", "mailark list"
	Args     string // "ARCHIVE [MAILBOX]"
	Short    string // one line, for the list of subcommands
	About    string // paragraphs for --help
	Sections []Section
	MinArgs  int
	MaxArgs  int
	// Unpiped: a broken pipe on stdout or stderr does not end the program, which has work to finish.
	Unpiped bool
	// Run does the work. An error is reported; if no code but 0 or 1 comes with it, ExitCode finds one.
	Run func(ctx context.Context, con *Console, args []string) (exit int, err error)
}

// Section is a group of flags under one title in --help.
type Section struct {
	Title string
	Flags *pflag.FlagSet
}

// NewFlags returns an empty set of flags for a Section.
func NewFlags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	return fs
}

// garbagePercent is how much garbage may pile up, in percent of what is in use, before it is collected. What is in use is a few
// large buffers, which cost nothing to look through; Go's own 100 would double the memory for no gain in speed.
const garbagePercent = 6

// saveMemory leaves the last word to GOGC.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// Main runs a command with this process's arguments and returns the exit code.
func Main(c *Command) int { return c.run(newConsole(c.Name), os.Args[1:]) }

// Dispatch runs the subcommand the first argument names and returns the exit code.
func Dispatch(program, about string, commands []*Command) int {
	con := newConsole(program)
	var names []string
	for _, c := range commands {
		names = append(names, strings.TrimPrefix(c.Name, program+" "))
	}
	word := ""
	if len(os.Args) > 1 {
		word = os.Args[1]
	}
	switch word {
	case "-h", "--help", "help":
		listCommands(con.Stdout, program, about, commands)
		return ExitComplete
	case "--version":
		_, _ = fmt.Fprintln(con.Stdout, program, Version())
		return ExitComplete
	case "":
		listCommands(con.Stderr, program, about, commands)
		return ExitUsage
	}
	for i, name := range names {
		if name == word {
			return commands[i].run(con, os.Args[2:])
		}
	}
	err := usagef("unknown command %q", word)
	err.Hint = "try: " + program + " --help"
	if guess := suggest(word, names); guess != "" {
		err.Hint = fmt.Sprintf("did you mean %s %s?", program, guess)
	}
	con.report(err)
	return ExitUsage
}

func listCommands(w io.Writer, program, about string, commands []*Command) {
	_, _ = fmt.Fprintf(w, "%s\n\nUsage:\n", about)
	for _, c := range commands {
		_, _ = fmt.Fprintf(w, "  %-44s %s\n", c.Name+" "+c.Args, c.Short)
	}
	_, _ = fmt.Fprintf(w, "\n%s COMMAND --help tells more.\n\nExit codes:\n%s", program, exitTable)
}

func (c *Command) run(con *Console, args []string) int {
	saveMemory()
	code, err := c.parseAndRun(con, args)
	if err == nil {
		return code
	}
	con.report(err)
	if code == ExitComplete || code == ExitError {
		return ExitCode(err)
	}
	return code
}

func (c *Command) parseAndRun(con *Console, args []string) (int, error) {
	own := NewFlags()
	help := own.BoolP("help", "h", false, "show this help and exit")
	version := own.Bool("version", false, "show the version and exit")
	sections := append(append([]Section(nil), c.Sections...), Section{"Help", own})
	all := NewFlags()
	all.Usage = func() {}
	for _, s := range sections {
		all.AddFlagSet(s.Flags)
	}
	if err := all.Parse(args); err != nil {
		return ExitUsage, c.flagError(all, err)
	}
	switch {
	case *help:
		c.help(con.Stdout, sections, con.screen.width())
		return ExitComplete, nil
	case *version:
		_, _ = fmt.Fprintln(con.Stdout, strings.Fields(c.Name)[0], Version())
		return ExitComplete, nil
	}
	if err := errors.Join(fromEnvironment(all, con.LookupEnv), c.checkArgs(all.Args())); err != nil {
		return ExitUsage, err
	}
	ctx, stop := withSignals(context.Background(), con, c.Unpiped)
	defer stop()
	code, err := c.Run(ctx, con, all.Args())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // once stopped, all that breaks on the way out breaks because of it
	}
	return code, err
}

func (c *Command) checkArgs(args []string) error {
	usage := "usage: " + c.Name + " [flags] " + c.Args
	if len(args) < c.MinArgs {
		missing := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(c.Args))[len(args)]
		return &UsageError{Text: "missing argument " + missing, Hint: usage}
	}
	if len(args) > c.MaxArgs {
		return &UsageError{Text: fmt.Sprintf("one argument too many: %q", args[c.MaxArgs]), Hint: usage}
	}
	for _, a := range args {
		if a == "" {
			return &UsageError{Text: "an argument is empty", Hint: usage}
		}
	}
	return nil
}

// flagError words a mistake in the flags. A *UsageError from a flag's own check is passed as it is,
// without the value, which may be a secret.
func (c *Command) flagError(all *pflag.FlagSet, err error) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		return usage
	}
	out := &UsageError{Text: err.Error(), Hint: "try: " + c.Name + " --help"}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		all.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if guess := suggest(unknown.GetSpecifiedName(), names); guess != "" {
			out.Hint = "did you mean --" + guess + "?"
		}
	}
	return out
}

func (c *Command) help(w io.Writer, sections []Section, width int) {
	_, _ = fmt.Fprintf(w, "Usage: %s [flags] %s\n\n%s\n", c.Name, c.Args, c.About)
	for _, s := range sections {
		_, _ = fmt.Fprintf(w, "\n%s:\n", s.Title)
		s.Flags.VisitAll(func(f *pflag.Flag) { helpFlag(w, f, width) })
	}
	_, _ = fmt.Fprintf(w, "\nEvery flag can also come from the environment: --log-file from "+
		"MAILARK_LOG_FILE, and so on.\nRepeatable flags are one value a line there. "+
		"The command line wins.\n\nExit codes:\n%s", exitTable)
}

// helpIndent is the column at which the explanations of flags start.
const helpIndent = 30

// helpFlag writes one flag: names, kind of value, explanation wrapped to width (0: no wrapping).
func helpFlag(w io.Writer, f *pflag.Flag, width int) {
	if f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	left := "      --" + f.Name
	if f.Shorthand != "" {
		left = "  -" + f.Shorthand + ", --" + f.Name
	}
	if f.Value.Type() != "bool" {
		left += " " + value
	}
	if kind := f.Value.Type(); f.DefValue != "" && (kind == "string" || strings.Contains(kind, "|")) {
		usage += " (default " + f.DefValue + ")"
	}
	left += "  "
	if len(left) > helpIndent {
		_, _ = fmt.Fprintln(w, left)
		left = ""
	}
	line := fmt.Sprintf("%-*s", helpIndent, left)
	empty := true
	for _, word := range strings.Fields(usage) {
		if width > helpIndent+20 && !empty && len(line)+1+len(word) > width {
			_, _ = fmt.Fprintln(w, line)
			line, empty = strings.Repeat(" ", helpIndent), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	_, _ = fmt.Fprintln(w, line)
}
