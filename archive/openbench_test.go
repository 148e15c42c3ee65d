package archive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// bigArchive is an archive of n messages of a few octets, all different, as years of runs leave one: mailboxes of all
// sizes, dates in many zones, flags and keywords, later flag changes and messages that are gone. MAILARK_BENCH_ARCHIVES
// names a directory to keep it in for the next time.
func bigArchive(b *testing.B, n int) string {
	b.Helper()
	root := os.Getenv("MAILARK_BENCH_ARCHIVES")
	if root == "" {
		root = b.TempDir()
	}
	dir := filepath.Join(root, strconv.Itoa(n))
	if r, err := archive.Open(dir, nil); err == nil {
		records, _ := r.Len()
		if err := r.Close(); err != nil || records != n {
			b.Fatalf("%s has %d messages (%v)", dir, records, err)
		}
		return dir
	}
	// About a thousand messages a commit, as with frames of 64 MiB and mail of usual size.
	opts := &archive.Options{FrameSize: 1 << 20, Window: 1 << 20, Program: "mailark bench"}
	w, err := archive.Create(dir, archive.Source{Host: "mail.example.org", User: "u"}, opts)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(w.BeginRun(archive.Source{}), fill(w, n), w.EndRun(0, ""), w.Close()); err != nil {
		b.Fatal(err)
	}
	return dir
}

// fill adds n messages to an empty archive.
func fill(w *archive.Writer, n int) error {
	const boxes = 12
	for i := range boxes {
		name := fmt.Sprintf("Work/%d", 2000+i)
		m, err := w.SetMailbox(archive.MailboxInfo{Path: strings.Split(name, "/"), Raw: name, Delim: "/"})
		if err != nil {
			return err
		}
		if _, err := w.OpenEpoch(m.ID, uint32(1_000_000+i)); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(2, uint64(n)))
	zones := []int{0, 9 * 3600, 9 * 3600, 3600, 7200, -5 * 3600, -8 * 3600, 5*3600 + 1800}
	words := []string{`\Answered`, `\Flagged`, "$Forwarded", "NonJunk", "$Label1", "$MDNSent"}
	sp := spool.New(w.SpoolDir())
	keys := make([]archive.Key, 0, n)
	for i := range n {
		if _, err := fmt.Fprintf(sp, "%x %d\r\n", rng.Uint64(), i); err != nil {
			return err
		}
		// The first mailbox has half of the mail, the second a quarter, and so on.
		box := 1 + min(boxes-1, 63-bitLen(rng.Uint64()>>1))
		k := archive.Key{Mailbox: uint32(box), Epoch: 1, UID: uint32(i + 1 + i/7)}
		flags := []string{`\Seen`}
		for _, word := range words {
			if rng.IntN(6) == 0 {
				flags = append(flags, word)
			}
		}
		zone := time.FixedZone("", zones[rng.IntN(len(zones))])
		date := time.Unix(1_000_000_000+int64(i)*600+rng.Int64N(600), 0).In(zone)
		if _, err := w.Add(context.Background(), k, date, flags, sp); err != nil {
			return err
		}
		keys = append(keys, k)
		if i%10 == 9 {
			if _, err := w.SetFlags(keys[rng.IntN(len(keys))], flags); err != nil {
				return err
			}
		}
		if i%5000 == 4999 {
			if err := w.SetGone(true, keys[len(keys)-200:]...); err != nil {
				return err
			}
		}
	}
	return nil
}

func bitLen(v uint64) (n int) {
	for ; v > 0; v >>= 1 {
		n++
	}
	return n
}

// sizes runs a benchmark with archives of each size; the largest is left out when testing.Short.
func sizes(b *testing.B, list []int, bench func(b *testing.B, dir string, n int)) {
	b.Helper()
	for _, n := range list {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			if n >= 1_000_000 && testing.Short() {
				b.Skip("short")
			}
			bench(b, bigArchive(b, n), n)
		})
	}
}

// peak is the most memory the process had resident since resetPeak, in octets, where the system tells (Linux: proc(5)).
func peak() (float64, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, after, ok := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscanf(after, "%g kB", &kib); err != nil {
		return 0, false
	}
	return kib * 1024, ok
}

func resetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // where there is none, peak has nothing to tell either
}

// BenchmarkOpen opens archives for reading: the whole catalog is replayed.
func BenchmarkOpen(b *testing.B) {
	sizes(b, []int{100_000, 1_000_000}, func(b *testing.B, dir string, n int) {
		resetPeak()
		for b.Loop() {
			r, err := archive.Open(dir, nil)
			if err != nil {
				b.Fatal(err)
			}
			if records, _ := r.Len(); records != n {
				b.Fatalf("%d messages", records)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		if octets, ok := peak(); ok {
			b.ReportMetric(octets/(1<<20), "peak-MiB")
		}
		r, err := archive.Open(dir, nil)
		if err != nil {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MiB")
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkOpenWriter opens archives for writing.
func BenchmarkOpenWriter(b *testing.B) {
	sizes(b, []int{100_000, 1_000_000}, func(b *testing.B, dir string, _ int) {
		for b.Loop() {
			w, err := archive.OpenWriter(dir, nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkShow is what it takes to show one message: open, find, decompress, compare the SHA-256.
func BenchmarkShow(b *testing.B) {
	sizes(b, []int{10_000, 100_000}, func(b *testing.B, dir string, _ int) {
		sp := spool.New(b.TempDir())
		rng := rand.New(rand.NewPCG(3, 3))
		for b.Loop() {
			r, err := archive.Open(dir, nil)
			if err != nil {
				b.Fatal(err)
			}
			msgs := r.Current(1)
			if err := r.Load(b.Context(), msgs[rng.IntN(len(msgs))], sp); err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
