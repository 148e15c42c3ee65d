//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailark/internal/imaptest"
)

// smallDisk mounts a file system of so many octets, or skips. grow gives it more room.
func smallDisk(t *testing.T, size string) (dir string, grow func(size string)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir, func(size string) {
		if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,size="+size, dir).CombinedOutput(); err != nil {
			t.Fatalf("remount: %v: %s", err, out)
		}
	}
}

// fill adds messages that cannot be compressed.
func fill(a *imaptest.Account, from, n, size int) {
	rng := rand.New(rand.NewPCG(uint64(from), 1))
	for i := range n {
		body := fmt.Appendf(nil, "Subject: %d\r\n\r\n", from+i)
		for len(body) < size {
			body = fmt.Appendf(body, "%c", rune(rng.IntN(0x2000)+0x4000))
		}
		a.AddMessage("INBOX", imaptest.Message{Octets: body})
	}
}

// TestFullDisk exports to a disk that becomes full: the exit code is 13, the words say how much room is needed, what was there
// stays and is undamaged, and with more room the same command ends what it began.
func TestFullDisk(t *testing.T) {
	for _, test := range []struct {
		name string
		size int // of a message; beyond 1 MiB it goes through a file on its way
		n    int
	}{{"many messages", 20_000, 400}, {"a big message", 12_000_000, 1}} {
		t.Run(test.name, func(t *testing.T) {
			disk, grow := smallDisk(t, "4m")
			s := server(t)
			a := s.Account("user")
			fill(a, 0, 20, 2000)
			dir := filepath.Join(disk, "archive")
			mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
			fill(a, 20, test.n, test.size)
			for range 2 {
				said := fails(t, 13, "mailark-export", reach(s.Addr, "user", dir)...)
				if !strings.Contains(said, "the disk is full") || !strings.Contains(said, "free at least ") ||
					!strings.Contains(said, " MB in "+dir+" and run the same command again") {
					t.Errorf("it says:\n%s", said)
				}
				mailark(t, 0, "mailark", "verify", dir)
			}
			grow("400m")
			result := lastJSON(t, mailark(t, 0, "mailark-export", reach(s.Addr, "user", "--json", dir)...))
			if before := number(t, result, "archived_before"); before < 20 {
				t.Errorf("%d messages were there before, of 20 at least", before)
			}
			mailark(t, 0, "mailark", "verify", dir)
			target := server(t)
			mailark(t, 0, "mailark-import", reach(target.Addr, "user", "--quiet", dir)...)
			equal(t, "after a full disk", target.Account("user").Snapshot(), a.Snapshot())
		})
	}
}

// TestReadOnlyMount puts an archive on a file system that nobody can write to: everything that reads works, the import says
// where else its ledger may lie, and then uploads all.
func TestReadOnlyMount(t *testing.T) {
	disk, _ := smallDisk(t, "16m")
	s := server(t)
	fill(s.Account("user"), 0, 20, 2000)
	dir := filepath.Join(disk, "archive")
	mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
	mailark(t, 0, "mailark", "verify", dir)
	mailark(t, 0, "mailark", "status", dir)
	mailark(t, 0, "mailark", "extract", dir, filepath.Join(t.TempDir(), "out"))
	target := server(t)
	if said := fails(t, 1, "mailark-import", reach(target.Addr, "user", dir)...); !strings.Contains(said, "--ledger") {
		t.Errorf("it says:\n%s", said)
	}
	if said := fails(t, 1, "mailark-export", reach(s.Addr, "user", dir)...); !strings.Contains(said, "may write") {
		t.Errorf("it says:\n%s", said)
	}
	mailark(t, 0, "mailark-import", reach(target.Addr, "user", "--ledger", filepath.Join(t.TempDir(), "ledger"), dir)...)
	equal(t, "from a read-only archive", target.Account("user").Snapshot(), s.Account("user").Snapshot())
}
