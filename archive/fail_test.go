package archive_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mailark/archive"
	"mailark/internal/durable"
)

// failStep is a hook that lets one step fail with a cause, before or after it, and no other. short: half of a write happens.
func failStep(n int, after, short bool, cause error) durable.Hook {
	return func(s durable.Step, done bool) error {
		switch {
		case s.N != n || done != after:
			return lazy(s, done)
		case short && s.Op == durable.OpWrite && !after:
			return &durable.ShortWriteError{Octets: s.Len / 2, Err: cause}
		}
		return cause
	}
}

// TestFailAtEveryStep lets each step of every scenario fail, as a full or a broken disk does: the program says so, and how
// much room it needs; the archive stays good, and the same run goes on.
func TestFailAtEveryStep(t *testing.T) {
	for _, sc := range scenarios() {
		if sc.hurt {
			continue // TestRebuildCrash and TestRepairCrash do it
		}
		t.Run(sc.name, func(t *testing.T) {
			base := sc.begin(t)
			want, steps := sc.clean(t, base)
			points := 0
			for n := 1; n < len(steps); n++ {
				if sc.name == extractName && n%3 > 0 {
					continue // one delivery is like another
				}
				for _, fault := range []struct {
					after, short bool
					cause        syscall.Errno
				}{
					{false, false, syscall.ENOSPC}, {false, true, syscall.EDQUOT}, {true, n%2 == 0, syscall.EIO},
				} {
					if fault.short && steps[n].Op != durable.OpWrite || fault.after && n%2 > 0 {
						continue
					}
					what := fmt.Sprintf("step %d (%s) %+v", n, steps[n].Op, fault)
					dir := copyDir(t, base)
					err := sc.run(dir, durable.New(failStep(n, fault.after, fault.short, fault.cause)))
					if steps[n].Op != durable.OpChmod && steps[n].Op != durable.OpLink { // whose failure does no harm
						told(t, what, filepath.Join(dir, "a"), err, fault.cause, sc.name == extractName)
					}
					sc.goesOn(t, what, dir, want)
					points++
				}
			}
			t.Logf("%d steps, %d failures", len(steps)-1, points)
		})
	}
}

// told checks what a user is told of a failure.
func told(t *testing.T, what, dir string, err error, cause syscall.Errno, reading bool) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Fatalf("%s: %v, want %v", what, err, cause)
	}
	var space *archive.SpaceError
	if full := cause != syscall.EIO; errors.As(err, &space) != full && !reading {
		t.Errorf("%s: %v: *SpaceError %v", what, err, !full)
	}
	if space != nil && (space.Dir != dir || space.Need < 16<<10 || space.Need > 9<<20 || !strings.Contains(err.Error(), "the disk is full")) {
		t.Errorf("%s: %v: %+v", what, err, space)
	}
}
