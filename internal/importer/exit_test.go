package importer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"mailark/internal/durable"
	"mailark/internal/imaptest"
)

// crashExit is how the helper process ends when it dies as it should.
const crashExit = 99

// lazy leaves out the syncs, which only a power cut would miss.
func lazy(s durable.Step, done bool) error {
	if !done && (s.Op == durable.OpSync || s.Op == durable.OpSyncDir) {
		return durable.ErrSkip
	}
	return nil
}

// TestHelperProcessOfCrashes is not a test but the process that dies in TestExitAtEveryStep: MAILARK_CRASH says where.
func TestHelperProcessOfCrashes(t *testing.T) {
	order := os.Getenv("MAILARK_CRASH")
	if order == "" {
		t.Skip("there is no order to crash")
	}
	var at int
	var after bool
	if _, err := fmt.Sscanf(order, "%d %t", &at, &after); err != nil {
		t.Fatal(err)
	}
	opts := options(t, os.Getenv("MAILARK_CRASH_DIR"), &imaptest.Server{Addr: os.Getenv("MAILARK_CRASH_ADDR")})
	opts.Ledger = os.Getenv("MAILARK_CRASH_LEDGER")
	opts.FS = durable.New(func(s durable.Step, done bool) error {
		if s.N == at && done == after {
			os.Exit(crashExit) //nolint:revive // this is the death
		}
		return lazy(s, done)
	})
	_, err := Run(t.Context(), opts)
	t.Fatalf("still alive: %v", err)
}

// TestExitAtEveryStep lets the process end before and after every step of the ledger, while messages are on their way to the
// server; then it runs again, and dies once more at another step; at the third run nothing is lost and nothing is there twice.
func TestExitAtEveryStep(t *testing.T) {
	msgs := twins(24)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	steps := durable.New(lazy)
	opts := options(t, dir, newServer(t, imaptest.ServerOptions{}))
	opts.Ledger, opts.FS = filepath.Join(t.TempDir(), "l", "ledger.jsonl"), steps
	runWant(t, opts, fmt.Sprintf("%d=0+%d+0+0+0+0", len(msgs), len(msgs)), 0)
	n := steps.Steps()
	var deaths atomic.Int32
	t.Cleanup(func() {
		t.Logf("%d steps, died %d times", n, deaths.Load())
		if deaths.Load() < int32(n) { // how answers fall into batches differs a little from run to run
			t.Errorf("died %d times only, at %d steps", deaths.Load(), n)
		}
	})
	for step := 1; step <= n; step++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d after %v", step, after), func(t *testing.T) {
				t.Parallel()
				s := newServer(t, imaptest.ServerOptions{NoUIDPlus: step%2 == 0})
				opts := options(t, dir, s)
				opts.Ledger = filepath.Join(t.TempDir(), "l", "ledger.jsonl")
				if exit(t, opts, step, after) {
					deaths.Add(1)
				}
				exit(t, opts, 1+step%5, !after)
				sum, err := Run(t.Context(), opts)
				if total := sum.Total(); err != nil || total.Before+total.Uploaded != len(msgs) {
					t.Errorf("last run: %s %v", numbers(total), err)
				}
				sameMail(t, s, "INBOX", msgs)
			})
		}
	}
}

// exit imports in a process of its own, which ends before or after a step; died is false if it came to its end before.
func exit(t *testing.T, opts Options, step int, after bool) (died bool) {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHelperProcessOfCrashes$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("MAILARK_CRASH=%d %t", step, after), "MAILARK_CRASH_DIR="+opts.Archive,
		"MAILARK_CRASH_ADDR="+net.JoinHostPort(opts.Target.Host, strconv.Itoa(opts.Target.Port)), "MAILARK_CRASH_LEDGER="+opts.Ledger)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if ended != nil && ended.ExitCode() == crashExit {
		return true
	}
	if !bytes.Contains(said.Bytes(), []byte("still alive: <nil>")) {
		t.Errorf("step %d after %v: exit code %d\n%s", step, after, cmd.ProcessState.ExitCode(), &said)
	}
	return false
}
