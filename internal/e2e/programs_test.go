package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/internal/imaptest"
)

// programs is where TestMain has built the three programs.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mailark-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	for name, source := range map[string]string{"mailark-export": "export", "mailark-import": "import", "mailark": "mailark"} {
		build := exec.CommandContext(context.Background(), "go", "build", "-o", filepath.Join(dir, name), "mailark/cmd/"+source)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	return m.Run()
}

// program is a command of ours, ready to run, with the password in its environment.
func program(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MAILARK_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "MAILARK_PASSWORD=pw")
	return cmd
}

// mailark runs a program to its end and demands an exit code. It returns what came on stdout.
func mailark(t *testing.T, exit int, name string, args ...string) string {
	t.Helper()
	cmd := program(t.Context(), name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != exit {
		t.Fatalf("%s %s: exit code %d, want %d\n%s%s", name, strings.Join(args, " "), got, exit, &stdout, &stderr)
	}
	return stdout.String()
}

// runKilled starts a program and kills it (SIGKILL) after d. ended says that it was faster.
func runKilled(t *testing.T, d time.Duration, name string, args ...string) (ended bool) {
	t.Helper()
	cmd := program(t.Context(), name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if code := cmd.ProcessState.ExitCode(); err != nil && code != -1 {
		t.Fatalf("%s %s: exit code %d before it was killed", name, strings.Join(args, " "), code)
	}
	return err == nil
}

// reach are the flags that lead to a server on loopback.
func reach(addr, user string, args ...string) []string {
	host, port, _ := strings.Cut(addr, ":")
	return append([]string{"--host", host, "--port", port, "--tls", "none", "--user", user}, args...)
}

// snapshot reads a whole account.
func snapshot(t *testing.T, addr, user string) imaptest.Snapshot {
	t.Helper()
	s, err := imaptest.SnapshotIMAP(t.Context(), imaptest.Login{Addr: addr, User: user, Password: "pw"})
	if err != nil {
		t.Fatalf("read %s at %s: %v", user, addr, err)
	}
	return s
}

// equal demands that two accounts hold the same.
func equal(t *testing.T, what string, got, want imaptest.Snapshot) {
	t.Helper()
	diff := imaptest.Diff(got, want)
	for i, d := range diff {
		if i == 20 {
			t.Errorf("%s: and %d more differences", what, len(diff)-i)
			break
		}
		t.Errorf("%s: %s", what, d)
	}
	if want.Count() == 0 {
		t.Errorf("%s: there was nothing to compare", what)
	}
}

// dovecot starts a real server, or skips.
func dovecot(t *testing.T, o imaptest.DovecotOptions) *imaptest.Dovecot {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailark-dovecot-") // short enough for Unix sockets
	if err != nil {
		t.Fatal(err)
	}
	d, err := imaptest.StartDovecot(t.Context(), dir, o)
	if err != nil {
		_ = os.RemoveAll(dir)
		if errors.Is(err, imaptest.ErrNoDovecot) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return d
}

// shared is the folder of test material beside the checkout, or skips.
func shared(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("MAILARK_SHARED")
	if root == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		root = filepath.Join(wd, "../../../shared")
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: set MAILARK_SHARED to the folder of test material", name)
	}
	return path
}
