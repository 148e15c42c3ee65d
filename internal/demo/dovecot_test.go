package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mailark/internal/imaptest"
)

// TestDovecotRoundTrip carries the sample mailbox into a real Dovecot, off it, and into an empty
// account there, all with the real programs, and compares the two accounts.
func TestDovecotRoundTrip(t *testing.T) {
	dir := t.TempDir()
	users := map[string]string{"old": password, "new": password}
	dovecot, err := imaptest.StartDovecot(t.Context(), filepath.Join(dir, "dovecot"), imaptest.DovecotOptions{
		Users: users, Extra: "mail_plugins = $mail_plugins listescape", // allows a dot in a level
	})
	if errors.Is(err, imaptest.ErrNoDovecot) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dovecot.Stop() })
	memory, err := imaptest.NewServer(imaptest.ServerOptions{Users: map[string]string{"old": password}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	fill(memory.Account("old"))

	p := build(t, dir)
	p.run("mailark-export", memory.TLSAddr, memory.CAPEM, "old", "first")
	p.run("mailark-import", dovecot.TLSAddr, dovecot.CAPEM, "old", "first")
	p.run("mailark-export", dovecot.TLSAddr, dovecot.CAPEM, "old", "second")
	p.run("mailark-import", dovecot.TLSAddr, dovecot.CAPEM, "new", "second")

	before, after := snapshot(t, dovecot, "old"), snapshot(t, dovecot, "new")
	for _, d := range imaptest.Diff(before, after) {
		t.Error(d)
	}
	if want := memory.Account("old").Snapshot().Count(); after.Count() != want {
		t.Errorf("%d messages arrived, want %d", after.Count(), want)
	}
}

// programs are the real programs and where they work.
type programs struct {
	t   *testing.T
	dir string
}

func build(t *testing.T, dir string) *programs {
	t.Helper()
	for name, pkg := range map[string]string{"mailark-export": "export", "mailark-import": "import"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../cmd/"+pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &programs{t: t, dir: dir}
}

// run runs a program against an account; it must succeed.
func (p *programs) run(program, addr string, ca []byte, user, archive string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "ca.pem"), ca, 0o600); err != nil {
		p.t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(p.dir, program), "--host", "localhost", "--port", port, "--ca-cert", "ca.pem",
		"--user", user, "--password-file", "password", archive)
	cmd.Dir, cmd.Env = p.dir, plainEnvironment()
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func snapshot(t *testing.T, d *imaptest.Dovecot, user string) imaptest.Snapshot {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(d.CAPEM)
	snap, err := imaptest.SnapshotIMAP(context.Background(), imaptest.Login{
		Addr: d.TLSAddr, TLS: &tls.Config{RootCAs: pool, ServerName: "localhost"}, User: user, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	return snap
}
