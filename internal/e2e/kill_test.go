package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
)

// kills is how many times each half is killed: MAILARK_KILLS, else a few.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("MAILARK_KILLS")); err == nil {
		return n
	}
	return 6
}

// account makes a server whose account has n messages of all sizes, some of them twice.
func account(t *testing.T, n int) *imaptest.Server {
	t.Helper()
	s := server(t)
	a := s.Account("user")
	rng := rand.New(rand.NewPCG(7, 7))
	boxes := []string{"INBOX", "Sent", "日本語/報告", "Lists/a.b"}
	for _, name := range boxes {
		a.AddMailbox(imaptest.Mailbox{Name: name, Subscribed: name != "Sent"})
	}
	for i := range n {
		body := fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\nSubject: %d\r\n\r\n", i%97, i)
		for range rng.IntN(1 << rng.IntN(14)) {
			body = fmt.Appendf(body, "%x\r\n", rng.Uint64())
		}
		m := imaptest.Message{
			Flags: [][]string{nil, {`\Seen`}, {`\Flagged`, "$Work"}}[i%3], Octets: body,
			InternalDate: time.Date(2010, 1, 1+i, i%24, 0, 0, 0, time.FixedZone("", 9*3600)),
		}
		a.AddMessage(boxes[i%len(boxes)], m)
		if i%11 == 0 {
			a.AddMessage(boxes[(i+1)%len(boxes)], m)
		}
	}
	return s
}

func server(t *testing.T) *imaptest.Server {
	t.Helper()
	s, err := imaptest.NewServer(imaptest.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestKillExport kills exports at random moments and runs each again: the archive ends up complete, and what
// was committed when it was killed is not fetched again.
func TestKillExport(t *testing.T) {
	s := account(t, 1000)
	want := s.Account("user").Snapshot()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	whole := timed(func() {
		mailark(t, 0, "mailark-export", reach(s.Addr, "user", filepath.Join(t.TempDir(), "a"))...)
	})
	killed := 0
	for i := 0; killed < kills(); i++ {
		dir := filepath.Join(t.TempDir(), "a")
		after := time.Duration(rng.Int64N(int64(whole)))
		if runKilled(t, after, "mailark-export", reach(s.Addr, "user", dir)...) {
			whole = after // it had ended by itself: a whole run takes less
		} else {
			killed++
		}
		committed := 0
		if r, err := archive.Open(dir, nil); err == nil {
			committed, _ = r.Len()
			_ = r.Close()
		}
		result := lastJSON(t, mailark(t, 0, "mailark-export", reach(s.Addr, "user", "--json", dir)...))
		if before := number(t, result, "archived_before"); before < committed {
			t.Errorf("kill %d after %s: %d were committed, but only %d known to the next run", i, after, committed, before)
		}
		mailark(t, 0, "mailark", "verify", dir)
		target := server(t)
		mailark(t, 0, "mailark-import", reach(target.Addr, "user", "--quiet", dir)...)
		equal(t, fmt.Sprintf("export killed after %s", after), target.Account("user").Snapshot(), want)
	}
	t.Logf("killed %d exports", killed)
}

// TestKillImport kills imports at random moments, runs each again, and compares the target: nothing lost, nothing twice.
func TestKillImport(t *testing.T) {
	s := account(t, 1000)
	want := s.Account("user").Snapshot()
	dir := filepath.Join(t.TempDir(), "a")
	mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	whole := timed(func() {
		ledger := filepath.Join(t.TempDir(), "ledger")
		mailark(t, 0, "mailark-import", reach(server(t).Addr, "user", "--ledger", ledger, dir)...)
	})
	killed := 0
	for i := 0; killed < kills(); i++ {
		target := server(t)
		ledger := filepath.Join(t.TempDir(), "ledger")
		args := reach(target.Addr, "user", "--ledger", ledger, dir)
		after := time.Duration(rng.Int64N(int64(whole)))
		if runKilled(t, after, "mailark-import", args...) {
			whole = after
		} else {
			killed++
		}
		mailark(t, 0, "mailark-import", args...)
		equal(t, fmt.Sprintf("import %d killed after %s", i, after), target.Account("user").Snapshot(), want)
	}
	t.Logf("killed %d imports", killed)
}

func timed(f func()) time.Duration {
	begun := time.Now()
	f()
	return time.Since(begun)
}

func number(t *testing.T, v map[string]any, key string) int {
	t.Helper()
	if n, ok := v[key].(float64); ok {
		return int(n)
	}
	for _, inner := range v {
		if m, ok := inner.(map[string]any); ok {
			if n, ok := m[key].(float64); ok {
				return int(n)
			}
		}
	}
	t.Fatalf("no %q in %v", key, v)
	return 0
}
