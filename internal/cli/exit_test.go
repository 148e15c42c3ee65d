package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"mailark/archive"
	"mailark/internal/session"
)

func TestExitCode(t *testing.T) {
	tests := []struct {
		err  error
		exit int
		hint string // must be part of it
	}{
		{nil, ExitComplete, ""},
		{errors.New("something"), ExitError, ""},
		{context.Canceled, ExitInterrupted, "run the same command again"},
		{&UsageError{Text: "t", Hint: "h"}, ExitUsage, "h"},
		{archive.ErrNotArchive, ExitNoArchive, "archive.json"},
		{&archive.VersionError{Version: 2}, ExitNoArchive, "newer Mailark"},
		{archive.ErrLocked, ExitLocked, "other run"},
		{archive.ErrExists, ExitError, "new, empty or an archive"},
		{&archive.DamageError{File: "catalog.jsonl.zst", Reason: "torn"}, ExitDifference, "mailark verify"},
		{session.ErrConnect, ExitConnect, "--port"},
		{session.ErrTLS, ExitTLS, "--tls"},
		{session.ErrSignIn, ExitSignIn, "app password"},
		{&session.Error{Class: session.ClassFinal, Code: "OVERQUOTA"}, ExitTargetFull, ""},
		{&session.Error{Class: session.ClassFinal}, ExitError, ""},
		{&session.Error{Class: session.ClassRetry}, ExitTemporary, ""},
		{&session.Error{Class: session.ClassWait}, ExitTemporary, ""},
		{syscall.ENOSPC, ExitTargetFull, "free some space"},
		{&archive.SpaceError{Dir: "/mnt/mail", Need: 75_000_000, Err: syscall.EDQUOT}, ExitTargetFull, "free at least 75.0 MB in /mnt/mail"},
		{syscall.EIO, ExitError, "look after it"},
		{syscall.EROFS, ExitError, "--ledger"},
		{fs.ErrPermission, ExitError, "may write"},
	}
	for _, test := range tests {
		err := test.err
		if err != nil {
			err = fmt.Errorf("open %q: %w", "old-mail", test.err)
		}
		if got := ExitCode(err); got != test.exit {
			t.Errorf("ExitCode(%v) = %d, want %d", err, got, test.exit)
		}
		if err == nil {
			continue
		}
		if got := hint(err); !strings.Contains(got, test.hint) || test.hint == "" && got != "" {
			t.Errorf("hint(%v) = %q, want %q in it", err, got, test.hint)
		}
	}
}

func TestExitTableNamesEveryCode(t *testing.T) {
	codes := []int{
		ExitComplete, ExitError, ExitPartial, ExitChanged, ExitDifference, ExitLimit, ExitNoArchive, ExitLocked,
		ExitTargetFull, ExitConnect, ExitTLS, ExitSignIn, ExitUsage, ExitTemporary, ExitInterrupted,
	}
	lines := strings.Split(strings.TrimSuffix(exitTable, "\n"), "\n")
	if len(lines) != len(codes) {
		t.Fatalf("the table has %d lines for %d codes", len(lines), len(codes))
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, code := range codes {
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[i]), fmt.Sprint(code)))
		if row := fmt.Sprintf("| %d | %s |", code, text); !strings.Contains(string(readme), row) {
			t.Errorf("README.md lacks %q", row)
		}
		if !strings.HasPrefix(strings.TrimSpace(lines[i]), fmt.Sprintf("%d  ", code)) {
			t.Errorf("line %q is not about %d", lines[i], code)
		}
	}
}
