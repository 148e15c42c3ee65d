package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// testConsole returns a console with the given environment, and what is written to it.
func testConsole(env map[string]string) (con *Console, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &Console{
		Name: "mailark-test", Stdout: stdout, Stderr: stderr,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}, stdout, stderr
}

// testCommand has the flags of a run and one argument, and keeps what it was given.
func testCommand(run *RunFlags, conn *Connection) *Command {
	return &Command{
		Name: "mailark-test", Args: "ARCHIVE", MinArgs: 1, MaxArgs: 1, About: "A test.",
		Sections: []Section{conn.Section(), run.Section()},
		Run: func(_ context.Context, con *Console, _ []string) (int, error) {
			_, err := con.Stdout.Write([]byte("ran\n"))
			return ExitComplete, err
		},
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		env    map[string]string
		exit   int
		stdout string // must be part of it
		stderr string
	}{
		{"plain", "old-mail", nil, ExitComplete, "ran", ""},
		{"help wins over everything", "--help", nil, ExitComplete, "Exit codes:", ""},
		{"version", "--version", nil, ExitComplete, "mailark-test ", ""},
		{"no argument", "", nil, ExitUsage, "", "missing argument ARCHIVE"},
		{"empty argument", " ", nil, ExitUsage, "", "an argument is empty"},
		{"two arguments", "a b", nil, ExitUsage, "", `one argument too many: "b"`},
		{"typo", "--mailbx INBOX a", nil, ExitUsage, "", "did you mean --mailbox?"},
		{"another tool's word", "--folder INBOX a", nil, ExitUsage, "", "did you mean --mailbox?"},
		{"nothing like it", "--zzzzzzzzzz a", nil, ExitUsage, "", "try: mailark-test --help"},
		{"shorthand", "-z a", nil, ExitUsage, "", "unknown shorthand flag"},
		{"value missing", "a --host", nil, ExitUsage, "", "needs an argument: --host"},
		{"bad choice", "--tls ssl a", nil, ExitUsage, "", "want implicit, starttls, none"},
		{"bad number", "--port imap a", nil, ExitUsage, "", "--port"},
		{"bad environment", "a", map[string]string{"MAILARK_PORT": "imap"}, ExitUsage, "", "MAILARK_PORT: "},
		{"password", "--password a", nil, ExitUsage, "", "there is no --password"},
		{"password with value", "--password=hunter2 a", nil, ExitUsage, "", "--password-file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			con, stdout, stderr := testConsole(test.env)
			args := strings.Fields(test.args)
			if test.args == " " {
				args = []string{""}
			}
			exit := testCommand(&RunFlags{}, &Connection{}).run(con, args)
			if exit != test.exit {
				t.Errorf("exit %d, want %d", exit, test.exit)
			}
			if !strings.Contains(stdout.String(), test.stdout) || test.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout %q lacks %q", stdout, test.stdout)
			}
			if !strings.Contains(stderr.String(), test.stderr) || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr %q lacks %q", stderr, test.stderr)
			}
			if strings.Contains(stderr.String(), "hunter2") {
				t.Error("stderr shows the password")
			}
		})
	}
}

// TestEveryFlagFromEnvironment sets each flag by its variable and sees it arrive.
func TestEveryFlagFromEnvironment(t *testing.T) {
	values := map[string]string{
		"stringArray": "a\nb", "bool": "true", "int": "12", "duration": "3s", "string": "text",
		"implicit|starttls|none": "starttls", "auto|plain|login|cram-md5": "login",
		"auto|on|off": "off",
	}
	all := NewFlags()
	var run RunFlags
	var conn Connection
	all.AddFlagSet(conn.Section().Flags)
	all.AddFlagSet(run.Section().Flags)
	env := map[string]string{"MAILARK_PASSWORD": "not a flag"}
	all.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			env["MAILARK_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))] = values[f.Value.Type()]
		}
	})
	if err := all.Parse([]string{"--user", "typed"}); err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if err := fromEnvironment(all, lookup); err != nil {
		t.Fatal(err)
	}
	all.VisitAll(func(f *pflag.Flag) {
		if f.Changed == f.Hidden {
			t.Errorf("--%s: changed is %v", f.Name, f.Changed)
		}
	})
	if conn.User != "typed" {
		t.Errorf("--user is %q: the command line must win", conn.User)
	}
	if len(run.Mailboxes) != 2 || run.Mailboxes[1] != "b" {
		t.Errorf("--mailbox is %q, want a and b", run.Mailboxes)
	}
}

func TestHelpNamesEveryVisibleFlag(t *testing.T) {
	con, stdout, _ := testConsole(nil)
	cmd := testCommand(&RunFlags{}, &Connection{})
	for _, width := range []int{0, 60, 100} {
		stdout.Reset()
		cmd.help(con.Stdout, cmd.Sections, width)
		for _, s := range cmd.Sections {
			s.Flags.VisitAll(func(f *pflag.Flag) {
				if strings.Contains(stdout.String(), "--"+f.Name+" ") == f.Hidden {
					t.Errorf("width %d: --%s shown is %v", width, f.Name, f.Hidden)
				}
			})
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"mailbox", "host", "port", "password-file", "dry-run", "json", "user", "quiet"}
	tests := map[string]string{
		"mailbx": "mailbox", "Mailbox": "mailbox", "mialbox": "mailbox", "label": "mailbox", "hots": "host",
		"pasword-file": "password-file", "password-f": "password-file", "server": "host", "zz": "", "frobnicate": "", "": "",
	}
	for word, want := range tests {
		if got := suggest(word, known); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestInterruptedErrorIsCanceled(t *testing.T) {
	err := error(&InterruptedError{})
	if !errors.Is(err, context.Canceled) || ExitCode(err) != ExitInterrupted {
		t.Error("an interruption must be context.Canceled and exit 130")
	}
}
