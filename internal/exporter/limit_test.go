package exporter

import (
	"errors"
	"os"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/limit"
	"mailark/internal/progress"
)

// Runs that each end at a limit add up to one without; none goes far beyond it, and each gets on.
func TestMaxTransfer(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 120)
	r.fill("Other", 40)
	r.opts.Limits = limit.Limits{Transfer: 60_000}
	copied, runs := 0, 0
	for ; copied < 160 && runs < 40; runs++ {
		res, err := Run(t.Context(), r.opts)
		now := res.Total().Now
		copied += now
		if copied == 160 {
			break
		}
		var ended *limit.Error
		if !errors.As(err, &ended) || res.ExitCode() != 8 || ended.Flag != "--max-transfer" {
			t.Fatalf("after %d messages: exit %d, %v", copied, res.ExitCode(), err)
		}
		if octets := res.Total().Octets; octets < 60_000 || octets > 60_000+(spools+DefaultConnections+1)*9_100 {
			t.Errorf("a run copied %d octets", octets)
		}
		if records, _ := r.archive().Len(); records != copied {
			t.Fatalf("%d messages are in the archive, the runs told of %d", records, copied)
		}
	}
	if runs < 3 {
		t.Errorf("only %d runs were ended", runs)
	}
	r.opts.Limits = limit.Limits{}
	if res := r.run(0); res.Total().Now != 160-copied {
		t.Errorf("the last run copied %d", res.Total().Now)
	}
	r.checkEqual("INBOX")
	r.checkEqual("Other")
	r.checkSound()
}

// A message larger than the limit is copied all the same, one a run, or no run would ever get past it.
func TestMaxTransferSmall(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 3)
	r.opts.Limits = limit.Limits{Transfer: 1}
	for range 4 {
		res, _ := Run(t.Context(), r.opts)
		if res.Total().Now == 0 && res.ExitCode() != 0 {
			t.Fatalf("a run copied nothing: %v", res)
		}
	}
	r.opts.Limits = limit.Limits{}
	r.run(0)
	r.checkEqual("INBOX")
}

// The limit of time also ends the pause in which a run waits for a server that is away.
func TestMaxDuration(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 3)
	r.server.SetFaults(imaptest.Faults{Greeting: imaptest.Always}) // "Too many connections"
	r.opts.Retry = Retry{Backoff: time.Hour, Wait: time.Hour}
	r.opts.Limits = limit.Limits{Duration: 50 * time.Millisecond}
	res, err := Run(t.Context(), r.opts)
	var ended *limit.Error
	if !errors.As(err, &ended) || res.ExitCode() != 8 || ended.Flag != "--max-duration" {
		t.Errorf("exit %d, %v", res.ExitCode(), err)
	}
}

// While a run is at work others can see where it stands; afterwards there is nothing to see.
func TestSeenFromOutside(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 20)
	seen := 0
	r.opts.Progress = func(p Progress) {
		rep, running, err := progress.Read(archive.Running(r.opts.Dir), archive.Lock(r.opts.Dir))
		if err != nil || rep == nil || !running || rep.Run != "export" || rep.PID != os.Getpid() {
			t.Fatalf("at %d messages: %+v, running %v, %v", p.Messages, rep, running, err)
		}
		seen++
	}
	var through []string
	r.opts.Done = func(m Mailbox) { through = append(through, m.Name) }
	r.run(0)
	if seen < 20 || len(through) != 1 || through[0] != "INBOX" {
		t.Errorf("seen %d times, through %q", seen, through)
	}
	if _, err := os.Stat(archive.Running(r.opts.Dir)); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	r.opts.Progress = nil
	r.opts.DryRun = true
	r.opts.Done = func(Mailbox) {
		if rep, _, _ := progress.Read(archive.Running(r.opts.Dir), archive.Lock(r.opts.Dir)); rep != nil {
			t.Error("a dry run calls itself a run")
		}
	}
	r.run(0)
}

// The limits of --final are those of all its passes together.
func TestFinalLimits(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 60)
	r.opts.Limits = limit.Limits{Transfer: 1 << 30, Duration: time.Hour}
	if f, err := Final(t.Context(), r.opts, 3, func(int, *Result) {}); err != nil || f.ExitCode() != 0 {
		t.Fatalf("limits that are not reached: %v", err)
	}
	size := func() (octets int64) {
		for _, m := range r.account.Messages("INBOX") {
			octets += int64(len(m.Octets))
		}
		return octets
	}
	before := size()
	r.fill("INBOX", 30)
	r.opts.Limits.Transfer = size() - before + 1 // what the first pass finds, and one octet
	var ended *limit.Error
	f, err := Final(t.Context(), r.opts, 4, func(int, *Result) { r.fill("INBOX", 1) })
	// A pass that reaches the limit with its last message may be whole, and then the next one ends at once.
	if !errors.As(err, &ended) || f.ExitCode() != 8 || len(f.Passes) < 2 || len(f.Passes) > 3 {
		t.Errorf("exit %d, %v, %d passes", f.ExitCode(), err, len(f.Passes))
	}
}

// An audit that fetches bodies again keeps to the limits, and says that it did not come to its end.
func TestAuditLimits(t *testing.T) {
	r := newRig(t)
	r.fill("INBOX", 60)
	r.run(0)
	r.opts.Limits = limit.Limits{Transfer: 20_000}
	var ended *limit.Error
	res, err := Audit(t.Context(), r.opts, Sample{All: true})
	if !errors.As(err, &ended) || res.Exit != 8 {
		t.Errorf("exit %d, %v", res.Exit, err)
	}
}
