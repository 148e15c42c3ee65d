package archive_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// benchMail is what the benchmarks archive: the files of the Maildir tree that MAILARK_BENCH_MAILDIR names,
// else made-up mail of words and base64. Octets in all, and the bodies.
func benchMail(b *testing.B) (int64, [][]byte) {
	b.Helper()
	var bodies [][]byte
	var total int64
	if root := os.Getenv("MAILARK_BENCH_MAILDIR"); root != "" {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) != "cur" {
				return err
			}
			body, err := os.ReadFile(path)
			bodies, total = append(bodies, body), total+int64(len(body))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return total, bodies
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var body bytes.Buffer
		for range 200 {
			body.WriteString([]string{"mail ", "archive ", "server\r\n", "regards ", "日本 ", "meeting "}[rng.IntN(6)])
		}
		if rng.IntN(6) == 0 {
			attachment := make([]byte, 200_000)
			for i := range attachment {
				attachment[i] = byte(rng.Uint32())
			}
			body.WriteString(base64.StdEncoding.EncodeToString(attachment))
		}
		bodies, total = append(bodies, body.Bytes()), total+int64(body.Len())
	}
	return total, bodies
}

func writeBench(b *testing.B, dir string, lanes int, bodies [][]byte) {
	b.Helper()
	w, err := archive.Create(dir, archive.Source{Host: "h", User: "u"}, &archive.Options{Lanes: lanes})
	if err != nil {
		b.Fatal(err)
	}
	if err := w.BeginRun(archive.Source{}); err != nil {
		b.Fatal(err)
	}
	mbox, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := w.OpenEpoch(mbox.ID, 1); err != nil {
		b.Fatal(err)
	}
	sp := spool.New(w.SpoolDir())
	for i, body := range bodies {
		if _, err := sp.Write(body); err != nil {
			b.Fatal(err)
		}
		k := archive.Key{Mailbox: mbox.ID, Epoch: 1, UID: uint32(i + 1)}
		if _, err := w.Add(context.Background(), k, time.Unix(int64(i), 0), []string{`\Seen`}, sp); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(w.EndRun(0, ""), w.Close()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWrite is everything between a received message and the disk: SHA-256, compression, fsync.
func BenchmarkWrite(b *testing.B) {
	total, bodies := benchMail(b)
	for _, bench := range []struct {
		name  string
		lanes int
	}{{"1lane", 1}, {"2lanes", 2}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(total)
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), "a")
				writeBench(b, dir, bench.lanes, bodies)
				r, err := archive.Open(dir, nil)
				if err != nil {
					b.Fatal(err)
				}
				size, err := r.Size()
				if err := errors.Join(err, r.Close()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(100*float64(size)/float64(total), "%size")
			}
		})
	}
}

// BenchmarkVerify reads and hashes everything.
func BenchmarkVerify(b *testing.B) {
	total, bodies := benchMail(b)
	dir := filepath.Join(b.TempDir(), "a")
	writeBench(b, dir, 2, bodies)
	b.SetBytes(total)
	for b.Loop() {
		res, err := archive.Verify(b.Context(), dir, nil, nil)
		if err != nil || len(res.Problems) > 0 {
			b.Fatal(res, err)
		}
	}
}

// BenchmarkLoad reads single messages from all over the archive.
func BenchmarkLoad(b *testing.B) {
	_, bodies := benchMail(b)
	dir := filepath.Join(b.TempDir(), "a")
	writeBench(b, dir, 2, bodies)
	r, err := archive.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	sp := spool.New(b.TempDir())
	rng := rand.New(rand.NewPCG(3, 3))
	for b.Loop() {
		m := r.Message(archive.Key{Mailbox: 1, Epoch: 1, UID: uint32(rng.IntN(len(bodies)) + 1)})
		if err := r.Load(b.Context(), m, sp); err != nil {
			b.Fatal(err)
		}
	}
}
