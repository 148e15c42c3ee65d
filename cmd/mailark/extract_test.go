package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"mailark/archive"
	"mailark/internal/cli"
)

func TestAdvise(t *testing.T) {
	for _, tc := range []struct {
		err  error
		exit int
		hint string // part of it; "": the usual one
	}{
		{archive.ErrExists, cli.ExitError, "new or empty"},
		{archive.ErrInside, cli.ExitError, "outside the archive"},
		{archive.ErrBusy, cli.ExitError, "wait"},
		{syscall.ENOSPC, cli.ExitTargetFull, "up to 12.3 MB before compression"},
		{syscall.EDQUOT, cli.ExitTargetFull, "up to 12.3 MB before compression"},
		{os.ErrPermission, cli.ExitError, "where you may write"},
		{syscall.EROFS, cli.ExitError, "where you may write"},
		{syscall.ENOTDIR, cli.ExitError, "must be a directory"},
		{syscall.EINVAL, cli.ExitError, "colon"},
		{&archive.DamageError{File: "x"}, cli.ExitDifference, ""},
		{syscall.EIO, cli.ExitError, ""},
	} {
		err := advise(fmt.Errorf("extract to tree: %w", tc.err), 12_345_678)
		var advice *cli.Advice
		if errors.As(err, &advice) != (tc.hint != "") || advice != nil && !strings.Contains(advice.Hint, tc.hint) {
			t.Errorf("%v: advice %+v, want %q", tc.err, advice, tc.hint)
		}
		if code := cli.ExitCode(err); code != tc.exit || !errors.Is(err, tc.err) {
			t.Errorf("%v: exit code %d, want %d", tc.err, code, tc.exit)
		}
	}
}
