//go:build unix

package imaptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	mailUID      = 65534 // nobody; Dovecot refuses to touch mail as root
	dovecotStart = 15 * time.Second
	dovecotStop  = 5 * time.Second
)

// Dovecot is a running private Dovecot 2.3. It trusts the disk cache (mail_fsync = never), which makes
// it many times faster than one in service; Extra can set that back.
type Dovecot struct {
	Addr    string // 127.0.0.1:port, plain and STARTTLS
	TLSAddr string // 127.0.0.1:port, implicit TLS
	CAPEM   []byte // the certificate, for RootCAs
	Dir     string
	opts    DovecotOptions
	binary  string
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended, with
	exit    error
}

// StartDovecot starts a Dovecot whose every file lies under dir. It needs root and an installed
// dovecot-imapd; else the error wraps ErrNoDovecot. The caller must call Stop.
func StartDovecot(ctx context.Context, dir string, o DovecotOptions) (*Dovecot, error) {
	binary, err := exec.LookPath("dovecot")
	if err != nil {
		if binary = "/usr/sbin/dovecot"; !isFile(binary) {
			return nil, fmt.Errorf("%w: it is not installed (dovecot-imapd)", ErrNoDovecot)
		}
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it can only be started by root", ErrNoDovecot)
	}
	if o.Users == nil {
		o.Users = map[string]string{"old": "pw", "new": "pw"}
	}
	if o.Separator == "" {
		o.Separator = "/"
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("start Dovecot: %w", err)
	}
	d := &Dovecot{Dir: dir, opts: o, binary: binary}
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("prepare Dovecot in %s: %w", dir, err)
	}
	for try := 0; ; try++ { // another process may take a port between the choice and the start
		ports, err := freePorts(2)
		if err == nil {
			err = d.launch(ctx, ports)
		}
		if err == nil || try == 2 {
			return d, err
		}
	}
}

// Restart starts a Dovecot that was stopped again, on the same ports and with the same mail.
func (d *Dovecot) Restart(ctx context.Context) error {
	var ports []int
	for _, addr := range []string{d.Addr, d.TLSAddr} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("restart Dovecot: %w", err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("restart Dovecot: %w", err)
		}
		ports = append(ports, n)
	}
	return d.launch(ctx, ports)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (d *Dovecot) path(name ...string) string {
	return filepath.Join(append([]string{d.Dir}, name...)...)
}

// prepare lays out certificate, passwords and mail.
func (d *Dovecot) prepare() error {
	for _, sub := range []string{"run", "mail", "tls"} {
		if err := os.MkdirAll(d.path(sub), 0o750); err != nil {
			return err
		}
	}
	if err := reachable(d.path("mail")); err != nil {
		return err
	}
	cert, err := NewCertificate("", time.Time{})
	if err != nil {
		return err
	}
	d.CAPEM = cert.CertPEM
	var passwd bytes.Buffer
	for user, password := range d.opts.Users {
		fmt.Fprintf(&passwd, "%s:{PLAIN}%s\n", user, password)
	}
	for name, data := range map[string][]byte{
		"tls/cert.pem": cert.CertPEM, "tls/key.pem": cert.KeyPEM, "passwd": passwd.Bytes(),
	} {
		if err := os.WriteFile(d.path(name), data, 0o600); err != nil {
			return err
		}
	}
	if err := os.Chown(d.path("passwd"), -1, dovecotGroup()); err != nil {
		return err
	}
	if err := os.Chmod(d.path("passwd"), 0o640); err != nil { //nolint:gosec // G302: Dovecot's own user reads it
		return err
	}
	for user := range d.opts.Users {
		if err := d.Fill(user, d.opts.Maildir[user]); err != nil {
			return err
		}
	}
	return nil
}

// reachable lets the mail user walk down to path. Test directories are often closed to others.
func reachable(path string) error {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 != 0 {
			continue
		}
		if err := os.Chmod(p, info.Mode().Perm()|0o011); err != nil {
			return err
		}
	}
	return nil
}

// Fill replaces an account's mail by a copy of a Maildir++ tree; "": by nothing. Messages are hard
// links where that is possible.
func (d *Dovecot) Fill(user, maildir string) error {
	home := d.path("mail", user)
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	if maildir != "" {
		if err := copyMaildir(maildir, filepath.Join(home, "Maildir")); err != nil {
			return fmt.Errorf("fill %s: %w", user, err)
		}
	}
	return os.Chown(home, mailUID, mailUID)
}

// Maildir is where Dovecot keeps an account's mail.
func (d *Dovecot) Maildir(user string) string { return d.path("mail", user, "Maildir") }

func (d *Dovecot) launch(ctx context.Context, ports []int) error {
	if err := os.WriteFile(d.path("dovecot.conf"), []byte(d.config(ports)), 0o600); err != nil {
		return fmt.Errorf("start Dovecot: %w", err)
	}
	d.Addr = fmt.Sprintf("127.0.0.1:%d", ports[0])
	d.TLSAddr = fmt.Sprintf("127.0.0.1:%d", ports[1])
	d.cmd = exec.Command(d.binary, "-F", "-c", d.path("dovecot.conf")) //nolint:noctx // it lives until Stop
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}            // a ^C for the test is not for Dovecot
	// A file, no pipe: children that outlive the first process would keep a pipe open.
	said, err := os.Create(d.path("start.log"))
	if err != nil {
		return fmt.Errorf("start Dovecot: %w", err)
	}
	d.cmd.Stdout, d.cmd.Stderr = said, said
	err = errors.Join(d.cmd.Start(), said.Close())
	if err != nil {
		return fmt.Errorf("start Dovecot: %w", err)
	}
	d.exited = make(chan struct{})
	go func() {
		defer close(d.exited)
		d.exit = d.cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, dovecotStart)
	defer cancel()
	for {
		if answers(ctx, d.Addr) && answers(ctx, d.TLSAddr) {
			return nil
		}
		select {
		case <-d.exited:
			return fmt.Errorf("start Dovecot: %w: %s%s", d.exit, d.read("start.log"), d.Log())
		case <-ctx.Done():
			_ = d.Stop() // the start's error is the one to tell
			return fmt.Errorf("start Dovecot: %w: %s", ctx.Err(), d.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers reports whether somebody accepts connections.
func answers(ctx context.Context, addr string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close() // only tried
	return true
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
		if err != nil {
			return nil, err
		}
		defer func() { _ = ln.Close() }()
		addr, ok := ln.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("strange address %v", ln.Addr())
		}
		ports = append(ports, addr.Port)
	}
	return ports, nil
}

// Log is the end of Dovecot's log.
func (d *Dovecot) Log() string {
	log := d.read("dovecot.log")
	return log[max(0, len(log)-4000):]
}

func (d *Dovecot) read(name string) string {
	text, err := os.ReadFile(d.path(name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Stop ends this Dovecot and no other: the process that StartDovecot started and the group of its
// children, which would serve open connections for another while. A second Stop does nothing.
func (d *Dovecot) Stop() error {
	pid := d.cmd.Process.Pid
	if ended(d.exited) {
		return nil
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop Dovecot: %w", err)
	}
	select {
	case <-d.exited:
	case <-time.After(dovecotStop):
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop Dovecot: %w", err)
	}
	<-d.exited
	return nil
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (d *Dovecot) config(ports []int) string {
	return strings.NewReplacer(
		"$DIR", d.Dir, "$IMAPS", fmt.Sprint(ports[1]), "$IMAP", fmt.Sprint(ports[0]),
		"$UID", fmt.Sprint(mailUID), "$SEPARATOR", d.opts.Separator, "$PREFIX", d.opts.Prefix,
	).Replace(dovecotConfig) + d.opts.Extra + "\n"
}

const dovecotConfig = `base_dir = $DIR/run
state_dir = $DIR/run
instance_name = mailark-$IMAP
log_path = $DIR/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <$DIR/tls/cert.pem
ssl_key = <$DIR/tls/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
passdb {
  driver = passwd-file
  args = $DIR/passwd
}
userdb {
  driver = static
  args = uid=$UID gid=$UID home=$DIR/mail/%u
}
mail_location = maildir:~/Maildir
first_valid_uid = 1000
first_valid_gid = 0
mail_max_userip_connections = 100
mail_fsync = never
auth_failure_delay = 0
namespace inbox {
  inbox = yes
  separator = $SEPARATOR
  prefix = $PREFIX
  mailbox Drafts {
    special_use = \Drafts
  }
  mailbox Sent {
    special_use = \Sent
  }
  mailbox Trash {
    special_use = \Trash
  }
  mailbox Archive {
    special_use = \Archive
  }
}
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = $IMAP
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = $IMAPS
    ssl = yes
  }
  service_count = 0
  process_min_avail = 1
}
service imap {
  process_limit = 200
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`
