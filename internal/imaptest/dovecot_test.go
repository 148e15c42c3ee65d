//go:build unix

package imaptest

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

func TestDovecot(t *testing.T) {
	fill := filepath.Join(t.TempDir(), "Maildir")
	writeMaildir(t, fill)
	d := startDovecot(t, DovecotOptions{
		Maildir: map[string]string{"old": fill}, Extra: "imap_capability = IMAP4rev1 NAMESPACE",
	})
	for user, want := range map[string]int{"old": 2, "new": 0} {
		snap, err := SnapshotIMAP(t.Context(), Login{Addr: d.Addr, User: user, Password: "pw"})
		if err != nil {
			t.Fatal(err, d.Log())
		}
		if snap.Count() != want {
			t.Errorf("%s: %d messages", user, snap.Count())
		}
	}
	conn, err := net.Dial("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cl := imapclient.New(conn, nil)
	if err := cl.Login("old", "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	if caps := cl.Caps(); caps.Has(imap.CapUIDPlus) || !caps.Has(imap.CapNamespace) {
		t.Errorf("the configuration line had no effect: %v", caps)
	}
	_ = cl.Close()
	if _, err := tls.Dial("tcp", d.TLSAddr, trust(t, d.CAPEM)); err != nil {
		t.Error(err)
	}
	pid := d.cmd.Process.Pid
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Kill(-pid, 0) // the whole family, also those who serve an open connection
		if errors.Is(err, syscall.ESRCH) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %v", err)
		}
	}
	info, err := os.Stat(filepath.Join(fill, "cur", "1.M1.x,S=4:2,S"))
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != uint32(os.Getuid()) {
		t.Error("the tree that filled the account was touched")
	}
}

func writeMaildir(t *testing.T, dir string) {
	t.Helper()
	for name, octets := range map[string]string{
		"cur/1.M1.x,S=4:2,S": "a\r\n\n", "new/2.M2.x": "b\r\n", ".Sent/cur/3.M3.x:2,": "", "tmp/x": "", ".Sent/maildirfolder": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(octets), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, ".Sent/cur/3.M3.x:2,")); err != nil {
		t.Fatal(err)
	}
}

// startDovecot starts a Dovecot for one test, or skips it.
func startDovecot(t *testing.T, o DovecotOptions) *Dovecot {
	t.Helper()
	d, err := StartDovecot(t.Context(), t.TempDir(), o)
	if errors.Is(err, ErrNoDovecot) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestNoDovecot(t *testing.T) {
	if _, err := exec.LookPath("dovecot"); err == nil || isFile("/usr/sbin/dovecot") {
		t.Setenv("PATH", "")
		if os.Geteuid() == 0 {
			t.Skip("Dovecot is installed and this is root")
		}
	}
	if _, err := StartDovecot(t.Context(), t.TempDir(), DovecotOptions{}); !errors.Is(err, ErrNoDovecot) {
		t.Errorf("got %v", err)
	}
}
