package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"mailark/internal/imaptest"
)

// TestChaosAndKill runs the built exporter through a proxy that cuts, stalls and fragments at random, kills some of the runs, and
// goes on until one says that all is there: it is, and each message once. MAILARK_ROUNDS is the number of archives.
func TestChaosAndKill(t *testing.T) {
	s := account(t, 300)
	want := s.Account("user").Snapshot()
	rounds := 2
	if n, err := strconv.Atoi(os.Getenv("MAILARK_ROUNDS")); err == nil {
		rounds = n
	}
	first := uint64(time.Now().UnixNano()) % 1_000_000_000
	for i := range rounds {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			chaosAndKill(t, s, want, seed)
		})
	}
}

func chaosAndKill(t *testing.T, s *imaptest.Server, want imaptest.Snapshot, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	proxy, err := imaptest.StartChaos(imaptest.ChaosOptions{To: s.Addr, Seed: seed, Reach: 1 << 20, Pause: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()
	dir := filepath.Join(t.TempDir(), "archive")
	connections := []string{"1", "4", "8"}[rng.IntN(3)]
	var exits []int
	killed := 0
	for len(exits) == 0 || exits[len(exits)-1] != 0 {
		if len(exits) == 40 {
			t.Fatalf("not complete after %d runs: exit codes %v", len(exits), exits)
		}
		timeout := time.Second << min(len(exits)/3, 4) // a machine may be slow
		args := reach(proxy.Addr, "user", "--quiet", "--timeout", timeout.String(), "--connections", connections, dir)
		var life time.Duration
		if rng.IntN(2) == 0 && killed < 5 {
			life = time.Duration(rng.Int64N(int64(700 * time.Millisecond)))
		}
		exit, said := chance(t, life, args)
		exits = append(exits, exit)
		if exit == -1 {
			killed++
		}
		if !slices.Contains([]int{-1, 0, 3, 14, 75}, exit) { // killed, complete, not all copied, no connection, gave up
			t.Fatalf("exit code %d\n%s", exit, said)
		}
		if _, err := os.Stat(filepath.Join(dir, "archive.json")); err == nil {
			mailark(t, 0, "mailark", "verify", dir)
		}
	}
	equal(t, "the archive", archived(t, dir, "", "/"), want)
	t.Logf("%s at a time: exit codes %v, %d connections, %d cut, %d silent", connections, exits,
		proxy.Connections.Load(), proxy.Cuts.Load(), proxy.Silences.Load())
}

// chance runs the exporter, kills it after life unless that is 0, and returns its exit code, -1 if it was killed.
func chance(t *testing.T, life time.Duration, args []string) (exit int, said string) {
	t.Helper()
	cmd := program(t.Context(), "mailark-export", args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if life > 0 {
		defer time.AfterFunc(life, func() { _ = cmd.Process.Kill() }).Stop()
	}
	err := cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}
