package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/scripttest"
)

// openTerminal makes a terminal: what the screen shows is read from master.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	err = errors.Join(err, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	return master, slave
}

// A terminal that is closed under a run ends it in good order: what came is committed and the run recorded, though
// the bar has nowhere to be drawn any more and the shell says hang up again.
func TestTerminalCloses(t *testing.T) {
	scripttest.HearHangUps(t)
	server, err := imaptest.NewServer(imaptest.ServerOptions{Users: map[string]string{scripttest.User: scripttest.Password}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	for i := range 40 {
		server.Account(scripttest.User).AddMessage("INBOX", imaptest.Message{
			Octets: fmt.Appendf(nil, "Subject: %d\r\n\r\n%s", i, bytes.Repeat([]byte("x"), 20_000)), InternalDate: time.Unix(1e9, 0),
		})
	}
	_, port, _ := net.SplitHostPort(server.Addr)
	dir := filepath.Join(t.TempDir(), "a")
	master, slave := openTerminal(t)
	defer func() { _ = master.Close() }()
	cmd := exec.CommandContext(t.Context(), "mailark-export", "--host", "127.0.0.1", "--port", port, "--tls", "none",
		"--user", scripttest.User, "--bwlimit", "40K", dir)
	cmd.Env = append(os.Environ(), "TERM=xterm", "MAILARK_PASSWORD="+scripttest.Password)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := errors.Join(cmd.Start(), slave.Close()); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	under := regexp.MustCompile(`[1-9][0-9]* of 40 messages`)
	for buf := make([]byte, 4096); !under.MatchString(shown.String()); {
		n, err := master.Read(buf)
		shown.Write(buf[:n])
		if err != nil {
			t.Fatalf("the terminal shows %q: %v", shown.String(), err)
		}
	}
	if err := master.Close(); err != nil { // the kernel says hang up
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	for err = cmd.Process.Signal(syscall.SIGHUP); err == nil; err = cmd.Process.Signal(syscall.SIGHUP) {
		time.Sleep(time.Millisecond)
	}
	var ended *exec.ExitError
	if err := <-waited; !errors.As(err, &ended) || ended.ExitCode() != 130 {
		t.Errorf("it ended with %v", err)
	}
	a, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	runs := a.Runs()
	if n, _ := a.Len(); n == 0 || n == 40 || len(runs) != 1 || runs[0].Exit != 130 || runs[0].End.IsZero() {
		t.Errorf("%d messages, runs %+v", n, runs)
	}
}
