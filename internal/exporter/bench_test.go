package exporter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// BenchmarkExport copies the Maildir++ tree that MAILARK_BENCH_MAILDIR names from a Dovecot. The CPU time is that of the exporter
// alone; -cpuprofile shows where it goes.
func BenchmarkExport(b *testing.B) {
	tree := os.Getenv("MAILARK_BENCH_MAILDIR")
	if tree == "" {
		b.Skip("MAILARK_BENCH_MAILDIR names no Maildir++ tree")
	}
	dir, err := os.MkdirTemp("", "mailark-dovecot-") // short enough for Unix sockets
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	d, err := imaptest.StartDovecot(b.Context(), dir, imaptest.DovecotOptions{Maildir: map[string]string{"old": tree}, Users: map[string]string{"old": "pw"}})
	if errors.Is(err, imaptest.ErrNoDovecot) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Stop() })
	export := func() int64 {
		o := Options{
			Session: session.Options{
				Host: "127.0.0.1", Port: port(d.Addr), TLS: session.TLSNone, User: "old", Program: "mailark benchmark",
				Password: func(context.Context) (string, error) { return "pw", nil },
			},
			Dir: filepath.Join(b.TempDir(), "archive"),
		}
		result, err := Run(b.Context(), o)
		if err != nil || result.ExitCode() != 0 {
			b.Fatal(err, result)
		}
		if err := os.RemoveAll(o.Dir); err != nil {
			b.Fatal(err)
		}
		return result.Total().Octets
	}
	export() // the server makes its indices
	begun := cpuTime(b)
	b.ResetTimer()
	for range b.N {
		b.SetBytes(export())
	}
	b.ReportMetric((cpuTime(b)-begun).Seconds()/float64(b.N), "cpu-s/op")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
