package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"mailark/internal/durable"
)

// crashExit is how the helper process ends when it dies as it should.
const crashExit = 99

// TestHelperProcessOfCrashes is not a test but the process that dies in TestCrashAtEveryStep: MAILARK_CRASH says where.
func TestHelperProcessOfCrashes(t *testing.T) {
	var at, scene int
	var after bool
	order := os.Getenv("MAILARK_CRASH")
	if order == "" {
		t.Skip("there is no order to crash")
	}
	if _, err := fmt.Sscanf(order, "%d %d %t", &scene, &at, &after); err != nil {
		t.Fatal(err)
	}
	hook := func(s durable.Step, done bool) error {
		if s.N == at && done == after {
			os.Exit(crashExit) //nolint:revive // this is the death
		}
		return lazy(s, done)
	}
	if err := scenarios()[scene].run(os.Getenv("MAILARK_CRASH_DIR"), durable.New(hook)); err != nil {
		t.Fatal(err)
	}
}

// crash runs a scenario in a process of its own, which ends (no deferred calls, what was buffered is lost) before or after a
// step.
func crash(t *testing.T, scene int, dir string, step int, after bool) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHelperProcessOfCrashes$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("MAILARK_CRASH=%d %d %t", scene, step, after), "MAILARK_CRASH_DIR="+dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	var ended *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &ended) || ended.ExitCode() != crashExit {
		t.Fatalf("step %d after %v: %v, want exit code %d\n%s", step, after, err, crashExit, &said)
	}
}

// TestCrashAtEveryStep lets the process end before and after every durable step of every scenario; then it runs again and
// compares everything. With rebuild and repair, "before" is enough unless MAILARK_ROUNDS asks for more than one round.
func TestCrashAtEveryStep(t *testing.T) {
	for i, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base := sc.begin(t)
			want, steps := sc.clean(t, base)
			points := 0
			for n := 1; n < len(steps); n++ {
				for _, after := range []bool{false, true} {
					if testing.Short() && (n+points)%4 > 0 && after || sc.hurt && after && rounds() == 1 {
						continue
					}
					dir := copyDir(t, base)
					crash(t, i, dir, n, after)
					sc.goesOn(t, fmt.Sprintf("died at step %d (%s), after it %v", n, steps[n].Op, after), dir, want)
					points++
				}
			}
			t.Logf("%d steps, %d deaths", len(steps)-1, points)
		})
	}
}

// TestCrashWhileRecovering dies at every step of a run, and again at a step of the run that recovers: one of the first, where
// the recovery is, and mostly at some later one too. Of rebuild and repair it takes every second step, with more than one
// round (MAILARK_ROUNDS) every one.
func TestCrashWhileRecovering(t *testing.T) {
	const recovery = 8 // steps at most
	for _, sc := range archives() {
		t.Run(sc.name, func(t *testing.T) {
			base := sc.begin(t)
			want, steps := sc.clean(t, base)
			points := 0
			for n := 1; n < len(steps); n++ {
				if sc.hurt && n%2 == 0 && rounds() == 1 {
					continue
				}
				for _, m := range []int{1 + n%recovery, 1 + (n*5)%len(steps)}[:1+n%2] {
					dir := copyDir(t, base)
					what := "died after step " + strconv.Itoa(n) + " and then " + strconv.Itoa(m)
					if err := sc.run(dir, durable.New(killAt(n, true))); !errors.Is(err, errKilled) && n < len(steps)-1 {
						t.Fatalf("%s: %v, want to be killed", what, err)
					}
					if err := sc.run(dir, durable.New(killAt(m, n%2 == 0))); err != nil && !errors.Is(err, errKilled) {
						t.Fatalf("%s: %v, want to be killed", what, err)
					}
					sc.goesOn(t, what, dir, want)
					points++
				}
			}
			t.Logf("%d steps, %d pairs of deaths", len(steps)-1, points)
		})
	}
}
