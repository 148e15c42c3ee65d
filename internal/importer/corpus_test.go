package importer

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// corpus is the real messages of the shared test corpus; the test is skipped where it is not at hand.
func corpus(t *testing.T) []msgSpec {
	t.Helper()
	shared := os.Getenv("MAILARK_SHARED")
	for dir := "."; shared == ""; dir = filepath.Join(dir, "..") {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			shared = filepath.Join(dir, "..", "shared")
		}
		if len(dir) > 40 {
			break
		}
	}
	var msgs []msgSpec
	err := filepath.WalkDir(filepath.Join(shared, "corpus", "open", "messages"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		msgs = append(msgs, msgSpec{octets: string(data), date: day(len(msgs))})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared corpus is not here; set MAILARK_SHARED")
	}
	must(t, err)
	return msgs
}

// TestCorpusDovecot: a real server, which makes CRLF of LF and other things, and everything in the
// corpus. What it takes is recognised without the ledger.
func TestCorpusDovecot(t *testing.T) {
	msgs := corpus(t)
	d, err := imaptest.StartDovecot(t.Context(), t.TempDir(), imaptest.DovecotOptions{})
	if errors.Is(err, imaptest.ErrNoDovecot) {
		t.Skip(err)
	}
	must(t, err)
	defer func() { must(t, d.Stop()) }()
	host, port, err := net.SplitHostPort(d.Addr)
	must(t, err)
	n, err := strconv.Atoi(port)
	must(t, err)
	dir := newArchive(t, boxSpec{path: []string{"Corpus"}, msgs: msgs})
	opts := options(t, dir, newServer(t, imaptest.ServerOptions{}))
	opts.Target = session.Options{Host: host, Port: n, TLS: session.TLSNone, User: "new", Password: opts.Target.Password}

	first, err := Run(t.Context(), opts)
	must(t, err)
	a := first.Total()
	t.Logf("first %s", numbers(a))
	for _, p := range first.Problems {
		t.Logf("UID %d: %s", p.Key.UID, p.Text)
	}
	if a.Uploaded+a.Refused != len(msgs) || a.Refused > 5 {
		t.Errorf("first import: %s", numbers(a))
	}
	must(t, os.Remove(ledgerFile(t, dir)))
	second, err := Run(t.Context(), opts)
	must(t, err)
	if b := second.Total(); b.Adopted != a.Uploaded || b.Uploaded != 0 {
		t.Errorf("second import, ledger lost: %s", numbers(b))
	}
}

// TestCorpusMemory: through a server that alters nothing, octet by octet.
func TestCorpusMemory(t *testing.T) {
	msgs := corpus(t)
	dir := newArchive(t, boxSpec{path: []string{"Corpus"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	sum, err := Run(t.Context(), opts)
	must(t, err)
	if total := sum.Total(); total.Uploaded != len(msgs) {
		t.Errorf("import: %s %v", numbers(total), sum.Problems)
	}
	wantMail(t, s, "Corpus", msgs)
}
