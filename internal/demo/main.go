// Command demo shows Mailark at work on a made-up mailbox: it starts two IMAP servers in memory, runs
// the real programs between them as a user would, and compares what the servers hold in the end.
//
// Usage: demo DIR, DIR being where the programs were built. It leaves the archive in a temporary
// directory, which it names. It ends with a code other than 0 on any difference.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"mailark/internal/imaptest"
)

const (
	user     = "taro"
	password = "open sesame"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: demo DIR")
	}
	dir, err := os.MkdirTemp("", "mailark-demo-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	d := &demo{bin: os.Args[1], dir: dir, archive: filepath.Join(dir, "old-mail")}
	if err := os.WriteFile(d.path("password"), []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	from, err := d.server("old")
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := d.server("new")
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	fill(from.Account(user))
	if err := d.play(ctx, from, to); err != nil {
		return err
	}
	fmt.Printf("\nThe archive is in %s\n", d.archive)
	return audit(from.Account(user).Snapshot(), to.Account(user).Snapshot())
}

// demo is where the programs are and where everything goes.
type demo struct {
	bin, dir, archive string
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// server starts an empty server and writes its certificate beside the archive.
func (d *demo) server(name string) (*imaptest.Server, error) {
	s, err := imaptest.NewServer(imaptest.ServerOptions{Users: map[string]string{user: password}})
	if err != nil {
		return nil, fmt.Errorf("start the %s server: %w", name, err)
	}
	if err := os.WriteFile(d.path(name+".pem"), s.CAPEM, 0o600); err != nil {
		return nil, fmt.Errorf("write certificate: %w", err)
	}
	return s, nil
}

// play runs the programs one after the other.
func (d *demo) play(ctx context.Context, from, to *imaptest.Server) error {
	steps := []struct {
		say     string
		program string
		args    []string
	}{
		{"Copy the whole account off the old server.", "mailark-export", append(d.account(from, "old"), d.archive)},
		{"Read everything back and compare every checksum.", "mailark", []string{"verify", d.archive}},
		{"Look into the archive.", "mailark", []string{"list", d.archive}},
		{"Upload it to the new server.", "mailark-import", append(d.account(to, "new"), d.archive)},
	}
	for _, s := range steps {
		fmt.Printf("\n# %s\n$ %s %s\n", s.say, s.program, strings.Join(s.args, " "))
		cmd := exec.CommandContext(ctx, filepath.Join(d.bin, s.program), s.args...)
		cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, plainEnvironment()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("run %s: %w", s.program, err)
		}
	}
	return nil
}

// account is how the programs reach a server. A real one needs host and user only, and asks for the
// password.
func (d *demo) account(s *imaptest.Server, name string) []string {
	_, port, _ := net.SplitHostPort(s.TLSAddr)
	return []string{
		"--host", "localhost", "--port", port, "--ca-cert", d.path(name + ".pem"),
		"--user", user, "--password-file", d.path("password"),
	}
}

// plainEnvironment is the environment without what would steer the programs.
func plainEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MAILARK_") {
			env = append(env, v)
		}
	}
	return env
}

func fill(a *imaptest.Account) {
	for _, box := range sample() {
		a.AddMailbox(imaptest.Mailbox{Name: box.name, Role: box.role, Subscribed: box.subscribed})
		for _, msg := range box.msgs {
			a.AddMessage(box.name, imaptest.Message{Octets: msg.octets, Flags: msg.flags, InternalDate: msg.date})
		}
	}
}

func audit(from, to imaptest.Snapshot) error {
	diffs := imaptest.Diff(from, to)
	for _, d := range diffs {
		fmt.Println("different:", d)
	}
	if len(diffs) > 0 {
		return fmt.Errorf("the servers do not hold the same mail: %d differences", len(diffs))
	}
	fmt.Printf("equal: %d mailboxes, %d messages\n", len(from.Mailboxes), from.Count())
	return nil
}
