package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/maildirx"
)

// realServer starts Cyrus or Courier on loopback by the script NAME-up of the test material, or skips: it needs root, Debian's
// apt-get and its package archive, since the packages are unpacked, not installed. It returns host:port.
func realServer(t *testing.T, name string) string {
	t.Helper()
	script := shared(t, "bench/"+name+"-up")
	if os.Getuid() != 0 {
		t.Skipf("%s can only be started by root", name)
	}
	need(t, "apt-get", "dpkg", "unshare", "openssl")
	if name == "cyrus" {
		need(t, "saslpasswd2")
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "-m", "true").CombinedOutput(); err != nil {
		t.Skipf("no namespace of mounts to be had here: %v: %s", err, out)
	}
	dir, err := os.MkdirTemp("", "mailark-"+name+"-") // short enough for Unix sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for p := dir; p != filepath.Dir(p); p = filepath.Dir(p) { // the servers' mail user has to get through
		if info, err := os.Stat(p); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(p, info.Mode().Perm()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
	addr := freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	said, err := os.Create(filepath.Join(dir, "up.log")) // no pipe: the daemon would keep it open
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	up := exec.CommandContext(ctx, script, dir, port)
	up.Stdout, up.Stderr = said, said
	err = errors.Join(up.Run(), said.Close())
	t.Cleanup(func() { _ = exec.Command(shared(t, "bench/"+name+"-down"), dir).Run() })
	if unpacked, _ := filepath.Glob(filepath.Join(dir, "root", "*")); len(unpacked) == 0 {
		t.Skipf("the packages of %s cannot be had here: %v", name, err)
	}
	if err != nil {
		text, _ := os.ReadFile(said.Name())
		t.Skipf("%s does not start here: %v\n%s", name, err, text)
	}
	return addr
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// load puts a Maildir++ tree into an account by IMAP, with flags, keywords, dates and subscriptions, and with roles where the
// server takes them. It returns how many messages the server refused.
func load(t *testing.T, addr, user, tree string) (refused int) {
	t.Helper()
	cl, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cl.Close() }()
	if err := cl.Login(user, "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	ns, err := cl.Namespace().Wait()
	if err != nil || len(ns.Personal) == 0 {
		t.Fatalf("NAMESPACE: %+v, %v", ns, err)
	}
	taken := 0
	err = maildirx.Walk(tree, func(path []string, dir string) error {
		name := path[0]
		if len(path) > 1 || name != "INBOX" {
			name = ns.Personal[0].Prefix + strings.Join(path, string(ns.Personal[0].Delim))
			create(t, cl, name)
		}
		yes, no := loadMailbox(t, cl, name, dir)
		taken, refused = taken+yes, refused+no
		return nil
	})
	if err != nil || taken < 100 {
		t.Fatalf("load %s: %d messages taken, %d refused, %v", tree, taken, refused, err)
	}
	return refused
}

// create makes a mailbox, subscribed unless it is called Trash.
func create(t *testing.T, cl *imapclient.Client, name string) {
	t.Helper()
	o := new(imap.CreateOptions)
	if role := imap.MailboxAttr(`\` + name); cl.Caps().Has(imap.CapCreateSpecialUse) &&
		slices.Contains([]imap.MailboxAttr{imap.MailboxAttrSent, imap.MailboxAttrDrafts, imap.MailboxAttrTrash, imap.MailboxAttrArchive}, role) {
		o.SpecialUse = []imap.MailboxAttr{role}
	}
	if err := cl.Create(name, o).Wait(); err != nil {
		t.Fatalf("CREATE %q: %v", name, err)
	}
	if strings.HasSuffix(name, "Trash") {
		return
	}
	if err := cl.Subscribe(name).Wait(); err != nil {
		t.Fatalf("SUBSCRIBE %q: %v", name, err)
	}
}

func loadMailbox(t *testing.T, cl *imapclient.Client, name, dir string) (taken, refused int) {
	t.Helper()
	var table []string
	if text, err := os.ReadFile(filepath.Join(dir, maildirx.KeywordsFile)); err == nil {
		if table, err = maildirx.ParseKeywords(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := maildirx.Messages(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		body, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		o := &imap.AppendOptions{Time: info.ModTime()}
		for _, flag := range append(maildirx.SystemFlags(f.Name.Flags), maildirx.Keywords(f.Name.Flags, table)...) {
			o.Flags = append(o.Flags, imap.Flag(flag))
		}
		cmd := cl.Append(name, int64(len(body)), o)
		_, err = cmd.Write(body)
		err = errors.Join(err, cmd.Close())
		_, waitErr := cmd.Wait()
		var answer *imap.Error
		switch err = errors.Join(err, waitErr); {
		case err == nil:
			taken++
		case errors.As(err, &answer) && answer.Type == imap.StatusResponseTypeNo:
			refused++
		default:
			t.Fatalf("APPEND %s to %q: %v", f.Path, name, err)
		}
	}
	return taken, refused
}

// archived is what an archive holds, by its catalog; mailark verify compares that with the octets. prefix is the source's.
func archived(t *testing.T, dir, prefix, delim string) imaptest.Snapshot {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	const nul = "\x00"
	snap := imaptest.Snapshot{Delim: nul, Prefix: strings.ReplaceAll(prefix, delim, nul)}
	for _, m := range r.Mailboxes() {
		box := imaptest.MailboxSnapshot{
			Name: strings.Join(m.Path, nul), Role: m.Role(), Subscribed: m.Subscribed, NoSelect: m.HasAttr(`\Noselect`),
		}
		for _, msg := range r.Current(m.ID) {
			flags := slices.Clone(msg.Flags)
			slices.Sort(flags)
			box.Messages = append(box.Messages, imaptest.MessageSnapshot{
				UID: msg.UID, Flags: flags, InternalDate: msg.InternalDate, Size: msg.Size, SHA256: msg.Sum.String(),
			})
		}
		snap.Mailboxes = append(snap.Mailboxes, box)
	}
	return snap
}

// TestRealServers carries the corpus from a Cyrus and from a Courier into an archive, and back into another account there. What
// counts is what the server serves, since each alters some octets when it takes them. Both halves do nothing when run again.
func TestRealServers(t *testing.T) {
	tree := corpus(t, 150)
	for _, name := range []string{"cyrus", "courier"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := realServer(t, name)
			refused := load(t, addr, "old", tree)
			want := snapshot(t, addr, "old")
			dir := filepath.Join(t.TempDir(), "archive")
			begun := time.Now()
			mailark(t, 0, "mailark-export", reach(addr, "old", dir)...)
			t.Logf("%d messages copied in %v; the server had refused %d", want.Count(), time.Since(begun), refused)
			mailark(t, 0, "mailark", "verify", dir)
			equal(t, "the archive", archived(t, dir, want.Prefix, want.Delim), want)
			equal(t, "the source after the export", snapshot(t, addr, "old"), want)
			checkVaried(t, want)

			again := lastJSON(t, mailark(t, 0, "mailark-export", reach(addr, "old", "--json", dir)...))
			if n, total := number(t, again, "archived_now"), number(t, again, "listed"); n != 0 || total != want.Count() {
				t.Errorf("second export: %d of %d messages fetched again, of %d on the server", n, total, want.Count())
			}

			mailark(t, 0, "mailark-import", reach(addr, "new", dir)...)
			equal(t, "the other account", snapshot(t, addr, "new"), want)
			second := lastJSON(t, mailark(t, 0, "mailark-import", reach(addr, "new", "--json", dir)...))
			if n, total := number(t, second, "uploaded"), number(t, second, "wanted"); n != 0 || total != want.Count() {
				t.Errorf("second import: %d of %d messages uploaded again, of %d in the archive", n, total, want.Count())
			}
		})
	}
}

// checkVaried demands that a snapshot has something of all that is to be compared.
func checkVaried(t *testing.T, s imaptest.Snapshot) {
	t.Helper()
	var flags, keywords, subscribed, plain int
	dates := map[string]bool{}
	for _, m := range s.Mailboxes {
		if m.Subscribed {
			subscribed++
		} else {
			plain++
		}
		for _, msg := range m.Messages {
			dates[fmt.Sprint(msg.InternalDate.Year())] = true
			for _, f := range msg.Flags {
				if strings.HasPrefix(f, `\`) {
					flags++
				} else {
					keywords++
				}
			}
		}
	}
	if flags == 0 || keywords == 0 || subscribed == 0 || plain == 0 || len(dates) < 5 {
		t.Errorf("there is too little to compare: %d flags, %d keywords, %d subscriptions, %d without, %d years",
			flags, keywords, subscribed, plain, len(dates))
	}
}
