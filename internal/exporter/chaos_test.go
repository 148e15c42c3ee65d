package exporter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// rounds is how often a test with chances is repeated: MAILARK_ROUNDS, else n.
func rounds(n int) int {
	if asked, err := strconv.Atoi(os.Getenv("MAILARK_ROUNDS")); err == nil {
		return asked
	}
	return n
}

// TestChaos exports through a proxy that cuts, resets, stalls, throttles and fragments at random, again and again until a run
// says that all is there, some runs being interrupted. Then all is there, each message once. No run says so before; none takes
// what the line did for the server's own words; the archive is sound after each.
func TestChaos(t *testing.T) {
	base := newRig(t)
	for i, name := range []string{"INBOX", "Sent", "日本語/報告", "Lists/a.b", "Empty"} {
		role := ""
		if name == "Sent" {
			role = `\Sent`
		}
		base.account.AddMailbox(imaptest.Mailbox{Name: name, Role: role, Subscribed: i%2 == 0})
		if name != "Empty" {
			base.fill(name, 60-15*i)
		}
	}
	base.account.AddMessage("INBOX", imaptest.Message{Octets: message(1, 1_500_000)}) // through a file
	base.account.AddMessage("Sent", imaptest.Message{Octets: message(1, 1_500_000)})  // a copy
	base.fill("INBOX", 20)
	var first uint64
	if text := os.Getenv("MAILARK_SEED"); text != "" {
		first, _ = strconv.ParseUint(text, 10, 64)
	} else {
		first = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	n := rounds(12)
	t.Run("rounds", func(t *testing.T) {
		for i := range n {
			seed := first + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				chaosRound(t, base, seed)
			})
		}
	})
	base.checkReadOnly()
}

// chaosRound is one archive and all that befalls it until it is complete.
func chaosRound(t *testing.T, base *rig, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	secure := rng.IntN(3) == 0
	to := base.server.Addr
	if secure {
		to = base.server.TLSAddr
	}
	proxy, err := imaptest.StartChaos(imaptest.ChaosOptions{To: to, Seed: seed, Reach: 4 << 20, Pause: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()
	r := &rig{T: t, server: base.server, account: base.account, opts: base.opts}
	r.opts.Dir = filepath.Join(t.TempDir(), "old-mail")
	r.opts.Session.Port = port(proxy.Addr)
	if secure {
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, base.server.CAPEM, 0o600); err != nil {
			t.Fatal(err)
		}
		r.opts.Session.TLS, r.opts.Session.RootCAs = session.TLSImplicit, ca
	}
	r.opts.Connections = []int{1, 4, 8}[rng.IntN(3)]
	r.opts.Retry = Retry{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	var exits []string
	for run := 0; ; run++ {
		if run == 100 {
			t.Fatalf("seed %d: not complete after %d runs: exits %v", seed, run, exits)
		}
		r.opts.Session.Timeout = 150 * time.Millisecond << min(run/3, 6) // a machine may be slow
		ctx, cancel := context.WithCancel(t.Context())
		r.opts.Progress = func(Progress) {}
		if rng.IntN(4) == 0 {
			stop := rng.IntN(200)
			r.opts.Progress = func(Progress) {
				if stop--; stop == 0 {
					cancel()
				}
			}
		}
		result, err := Run(ctx, r.opts)
		cancel()
		exit := result.ExitCode()
		exits = append(exits, fmt.Sprint(exit))
		switch exit {
		case 0:
			checkComplete(r, result)
			checkNothingNew(t, r)
			t.Logf("seed %d, %d at a time: exits %s; %d connections, %d cut, %d silent", seed, r.opts.Connections, strings.Join(exits, " "),
				proxy.Connections.Load(), proxy.Cuts.Load(), proxy.Silences.Load())
			return
		case 3, 14, 15, 75, 130: // not all copied; no connection; no TLS; gave up; interrupted
		default:
			t.Fatalf("seed %d: exit %d: %v\n%v", seed, exit, err, result)
		}
		if _, err := os.Stat(filepath.Join(r.opts.Dir, "archive.json")); err == nil {
			r.checkSound()
		}
	}
}

// checkNothingNew demands that a run over a good line finds nothing to do.
func checkNothingNew(t *testing.T, r *rig) {
	r.opts.Session.Port, r.opts.Session.TLS = port(r.server.Addr), session.TLSNone
	r.opts.OtherSource = true // the port is another one
	r.opts.Progress, r.opts.Session.Timeout = nil, time.Minute
	result, err := Run(t.Context(), r.opts)
	if f := result.Total(); err != nil || result.ExitCode() != 0 || f.Now+f.Gone+f.FlagsChanged+f.Back != 0 || f.Before != f.Listed {
		t.Errorf("a further run over a good line: exit %d, %v: %+v", result.ExitCode(), err, f)
	}
}

// checkComplete demands that the archive is the account, and that no message is recorded twice.
func checkComplete(r *rig, result *Result) {
	r.Helper()
	total := 0
	for _, m := range r.account.Snapshot().Mailboxes {
		r.checkEqual(m.Name)
		total += len(m.Messages)
		a := r.archive()
		box := r.mailbox(a, m.Name)
		if box.Role() != m.Role || box.Subscribed != m.Subscribed || !box.Listed {
			r.Errorf("mailbox %q: role %q, subscribed %v, listed %v", m.Name, box.Role(), box.Subscribed, box.Listed)
		}
	}
	a := r.archive()
	if records, _ := a.Len(); records != total {
		r.Errorf("the archive has %d records of %d messages", records, total)
	}
	if refused := a.Refusals(); len(refused) != 0 {
		r.Errorf("still refused: %+v", refused)
	}
	if f := result.Total(); f.Before+f.Now != total || f.Gone != 0 {
		r.Errorf("the result counts %+v of %d messages", f, total)
	}
	if i := slices.IndexFunc(a.Mailboxes(), func(m *archive.Mailbox) bool { return len(m.Epochs) > 1 }); i >= 0 {
		r.Errorf("%q has %d epochs", a.Mailboxes()[i].Name(), len(a.Mailboxes()[i].Epochs))
	}
	r.checkSound()
}
