package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/internal/imaptest"
)

// fails runs a program that must end with an exit code, and returns what it said on stderr.
func fails(t *testing.T, exit int, name string, args ...string) string {
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
	return stderr.String()
}

// TestTwoAtOnce starts an export while another one is at work on the same archive: it is refused (exit code 11) and the first
// one goes on, while readers see a whole state. Then the first one is killed: it leaves a lock file that hinders nobody, and
// the next run ends what it began.
func TestTwoAtOnce(t *testing.T) {
	s := account(t, 300)
	want := s.Account("user").Snapshot()
	dir := filepath.Join(t.TempDir(), "a")
	if err := os.Mkdir(dir, 0o700); err != nil { // as after a reboot: the file is there, and nobody holds it
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.SetFaults(imaptest.Faults{Silent: map[string]int{"UID FETCH": 1000}})
	first := program(t.Context(), "mailark-export", reach(s.Addr, "user", dir)...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "archive.json")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the first export makes no archive")
		}
	}
	for range 3 {
		if said := fails(t, 11, "mailark-export", reach(s.Addr, "user", dir)...); !strings.Contains(said, "locked") {
			t.Errorf("it says:\n%s", said)
		}
		mailark(t, 0, "mailark", "verify", dir)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	s.SetFaults(imaptest.Faults{})
	if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
		t.Errorf("there is no lock file: %v", err)
	}
	mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
	mailark(t, 0, "mailark", "verify", dir)
	target := server(t)
	mailark(t, 0, "mailark-import", reach(target.Addr, "user", "--quiet", dir)...)
	equal(t, "after it was killed", target.Account("user").Snapshot(), want)
}

// TestEmptySource exports from an account that has become empty, mailboxes and all: that is said, the archive only grows, and
// it gives back everything.
func TestEmptySource(t *testing.T) {
	s := account(t, 60)
	dir := filepath.Join(t.TempDir(), "a")
	mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
	before := filesBeneath(t, dir)
	empty := server(t)
	empty.Account("user")
	for range 2 { // the second answer is not believed either
		mailark(t, 4, "mailark-export", reach(empty.Addr, "user", "--other-source", dir)...)
	}
	mailark(t, 0, "mailark", "verify", dir)
	for name, old := range before {
		now, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || name != "SHA256SUMS" && !bytes.HasPrefix(now, old) {
			t.Errorf("%s has lost octets: %v", name, err)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	mailark(t, 0, "mailark", "extract", dir, out)
	files, err := filepath.Glob(filepath.Join(out, "Maildir", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(out, "Maildir", ".*", "cur", "*"))
	if err != nil || len(files)+len(more) < 60 {
		t.Errorf("only %d files come back, %v", len(files)+len(more), err)
	}
}

func filesBeneath(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, pattern := range []string{"*", "segments/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if data, err := os.ReadFile(name); err == nil {
				rel, _ := filepath.Rel(dir, name)
				files[rel] = data
			}
		}
	}
	return files
}
