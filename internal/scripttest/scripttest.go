// Package scripttest runs the scripts that test the programs as their users run them: real
// processes, their exit codes and what they print. It is imported by tests only.
//
// It keeps nothing: every script has a directory of its own, which goes with it.
package scripttest

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mailark/internal/imaptest"
)

// HearHangUps makes SIGHUP end the programs a test starts, also where the tests themselves were started by nohup:
// an ignored signal stays ignored in a child, one that is caught does not.
func HearHangUps(t *testing.T) {
	t.Helper()
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
}

// Command is a command that scripts can use.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Run runs every script in testdata/script. Besides testscript's own commands and the given ones
// there are:
//
//	exits CODE PROGRAM ARG…   runs a program that must end with the exit code
//	flip FILE OFFSET          turns one bit of the octet at an offset; negative: from the end
//	server NAME KIND…         starts a server; see startServer
//	fault NAME KIND           makes a server misbehave; see addFault
//	deliver NAME MAILBOX TEXT puts a message into a mailbox of a server
//	same NAME NAME            two servers must hold the same mail
//	seen NAME COMMAND         waits until a server has been sent a command
//	await FILE TEXT           waits until a file holds a text
//	signal INT|TERM|HUP|USR1  sends a signal to every program in the background
func Run(t *testing.T, commands map[string]Command) {
	t.Helper()
	HearHangUps(t)
	all := map[string]Command{
		"exits": exits, "flip": flip,
		"server": startServer, "fault": addFault, "deliver": deliver, "same": same, "seen": seen, "signal": sendSignal,
		"await": await,
	}
	for name, command := range commands {
		all[name] = command
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Cmds: all, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			// What the developer's own environment says must not steer the programs.
			kept := env.Vars[:0]
			for _, v := range env.Vars {
				if !strings.HasPrefix(v, "MAILARK_") {
					kept = append(kept, v)
				}
			}
			env.Vars = append(kept, "TZ=Asia/Tokyo")
			env.Values[serversKey{}] = make(map[string]*imaptest.Server)
			return nil
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		code = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	Flip(ts, ts.MkAbs(args[0]), at)
}

// Flip turns one bit of the octet at an offset of a file; a negative one counts from the end.
func Flip(ts *testscript.TestScript, path string, offset int64) {
	data, err := os.ReadFile(path)
	ts.Check(err)
	if offset < 0 {
		offset += int64(len(data))
	}
	data[offset] ^= 1
	ts.Check(os.Chmod(path, 0o600))
	ts.Check(os.WriteFile(path, data, 0o600))
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}
	if neg || len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal INT|TERM|HUP|USR1")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(signals[args[0]]); !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}
