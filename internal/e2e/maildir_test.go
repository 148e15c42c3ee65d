package e2e

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
)

// kept is a message of an archive. Two of them are equal if all that the archive knows of them is.
type kept struct {
	mailbox     string
	subscribed  bool
	uidValidity uint32
	uid         uint32
	date        int64
	flags       string
	sum         archive.Sum
}

// contents are all messages an archive takes to be on the server, by mailbox and UID.
func contents(t *testing.T, dir string) (list []kept) {
	t.Helper()
	a, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	for _, m := range a.Mailboxes() {
		for _, msg := range a.Current(m.ID) {
			flags := slices.Sorted(slices.Values(msg.Flags))
			list = append(list, kept{
				m.Name(), m.Subscribed, a.Epoch(m.ID).UIDValidity, msg.UID, msg.InternalDate.Unix(), strings.Join(flags, " "), msg.Sum,
			})
		}
	}
	slices.SortFunc(list, func(a, b kept) int {
		return cmp.Or(strings.Compare(a.mailbox, b.mailbox), cmp.Compare(a.uid, b.uid), bytes.Compare(a.sum[:], b.sum[:]))
	})
	return list
}

func sameContents(t *testing.T, what string, got, want []kept) {
	t.Helper()
	if len(want) == 0 || len(got) != len(want) {
		t.Fatalf("%s: %d messages, want %d", what, len(got), len(want))
	}
	wrong := 0
	for i := range want {
		if got[i] != want[i] {
			if wrong++; wrong <= 10 {
				t.Errorf("%s: %+v, want %+v", what, got[i], want[i])
			}
		}
	}
}

// awkward is a Maildir++ tree with real, weird and broken mail, of which it takes one in every, but for what Dovecot alters on the wire (NUL) or refuses
// (nothing at all).
func awkward(t *testing.T, every int) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "Maildir")
	boxes := []string{"", ".Work", ".Work.&ZeVnLIqe-"}
	for _, box := range boxes {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(tree, box, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n, octets := range openCorpus(t) {
		if len(octets) == 0 || bytes.IndexByte(octets, 0) >= 0 || n%every != 0 {
			continue
		}
		i := n / every
		sub := []string{"cur", "cur", "new"}[i%3]
		name := fmt.Sprintf("%d.x%d", 900000000+i, i)
		if sub == "cur" {
			name += ":2," + []string{"", "S", "FS", "DRT", "Sa", "b"}[i%6]
		}
		path := filepath.Join(tree, boxes[i%len(boxes)], sub, name)
		if err := os.WriteFile(path, octets, 0o600); err != nil {
			t.Fatal(err)
		}
		date := time.Unix(int64(900000000+i*86400%100000000), 987654321)
		if err := os.Chtimes(path, date, date); err != nil {
			t.Fatal(err)
		}
	}
	for _, box := range boxes {
		if err := os.WriteFile(filepath.Join(tree, box, "dovecot-keywords"), []byte("0 $Junk\n1 Work\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "subscriptions"), []byte("V\t2\n\nWork\nINBOX\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestMaildirIsWhatDovecotServes: the tree below a Dovecot, read from the disk, makes the same archive as Dovecot does over
// IMAP: UIDVALIDITY, UIDs, octets, dates, flags, keywords and subscriptions. Each of the two finds nothing new in the archive
// that the other one made.
func TestMaildirIsWhatDovecotServes(t *testing.T) {
	for name, extra := range map[string]string{
		"plain":      "",
		"compressed": "mail_plugins = zlib\nplugin {\n  zlib_save = gz\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := dovecot(t, imaptest.DovecotOptions{
				Users: map[string]string{"user": "pw", "copy": "pw"}, Maildir: map[string]string{"user": awkward(t, 7)}, Extra: extra,
			})
			user := "user"
			if extra != "" { // let Dovecot write it
				user = "copy"
				dir := filepath.Join(t.TempDir(), "archive")
				mailark(t, 0, "mailark-export", reach(d.Addr, "user", "--mailbox", "Work", dir)...)
				mailark(t, 0, "mailark-import", reach(d.Addr, "copy", dir)...)
			}
			served := filepath.Join(t.TempDir(), "served")
			mailark(t, 0, "mailark-export", reach(d.Addr, user, served)...)
			zipped := strings.Count(sh(t, d.Maildir(user), `find . -path '*/cur/*' -type f -exec head -qc 2 {} + | od -An -tx1 -w2`), "1f 8b")
			if (zipped > 0) != (extra != "") {
				t.Fatalf("%d files are compressed", zipped)
			}
			before := picture(t, d.Maildir(user))
			read := filepath.Join(t.TempDir(), "read")
			mailark(t, 0, "mailark-export", "--maildir", d.Maildir(user), read)
			if after := picture(t, d.Maildir(user)); after != before {
				t.Errorf("the tree has changed from\n%s\nto\n%s", before, after)
			}
			sameContents(t, "read from the disk", contents(t, read), contents(t, served))

			again := mailark(t, 0, "mailark-export", reach(d.Addr, user, "--other-source", "--json", read)...)
			if n := number(t, lastJSON(t, again), "archived_now"); n != 0 {
				t.Errorf("over IMAP %d messages are new in the archive made from the disk", n)
			}
			again = mailark(t, 0, "mailark-export", "--maildir", d.Maildir(user), "--other-source", "--json", served)
			if n := number(t, lastJSON(t, again), "archived_now"); n != 0 {
				t.Errorf("on the disk %d messages are new in the archive made over IMAP", n)
			}
		})
	}
}

// picture is all that a tree is, but for the times of access.
func picture(t *testing.T, tree string) string {
	t.Helper()
	return sh(t, tree, `find . -printf '%p %y %m %T@ %s %i\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum`)
}

// TestMaildirOfMbsync: of the trees that mbsync makes of an account, each in its own layout, the archive has what is in
// their files, by mailbox, with mbsync's UIDs.
func TestMaildirOfMbsync(t *testing.T) {
	mbsync, err := exec.LookPath("mbsync")
	if err != nil {
		t.Skip("mbsync is not installed")
	}
	d := dovecot(t, imaptest.DovecotOptions{Users: map[string]string{"user": "pw"}, Maildir: map[string]string{"user": awkward(t, 50)}})
	served := snapshot(t, d.Addr, "user")
	host, port, _ := strings.Cut(d.Addr, ":")
	for _, style := range []string{"Verbatim", "Legacy", "Maildir++"} {
		t.Run(style, func(t *testing.T) {
			tree := filepath.Join(t.TempDir(), "mail")
			if err := os.Mkdir(tree, 0o700); err != nil {
				t.Fatal(err)
			}
			path, in := "Path "+tree+"/\n", filepath.Join(tree, "INBOX")
			if style == "Maildir++" {
				path, tree = "", in
			}
			config := filepath.Join(t.TempDir(), "mbsyncrc")
			text := fmt.Sprintf("IMAPAccount a\nHost %s\nPort %s\nUser user\nPass pw\nSSLType None\nAuthMechs LOGIN\n\n"+
				"IMAPStore far\nAccount a\n\nMaildirStore near\n%sInbox %s\nSubFolders %s\n\n"+
				"Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\nCopyArrivalDate yes\nSyncState %s/\n",
				host, port, path, in, style, t.TempDir())
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			// It fails over messages it does not like.
			sh(t, t.TempDir(), `"$0" -q -c "$1" -a </dev/null >&2 || true`, mbsync, config)
			before := picture(t, tree)
			dir := filepath.Join(t.TempDir(), "archive")
			mailark(t, 0, "mailark-export", "--maildir", tree, dir)
			again := mailark(t, 0, "mailark-export", "--maildir", tree, "--json", dir)
			if n := number(t, lastJSON(t, again), "archived_now"); n != 0 {
				t.Errorf("a second run copied %d messages", n)
			}
			if picture(t, tree) != before {
				t.Error("the tree has changed")
			}
			got := contents(t, dir)
			count := map[string]int{}
			var sums []string
			for _, m := range got {
				count[m.mailbox]++
				sums = append(sums, m.sum.String())
				if m.uid > 1<<31 || m.uidValidity == 0 {
					t.Errorf("%+v: not mbsync's UID", m)
				}
			}
			for _, m := range served.Mailboxes {
				if n := len(m.Messages); n == 0 || count[m.Name] < n/2 || count[m.Name] > n {
					t.Errorf("%s has %d messages, on the server %d", m.Name, count[m.Name], n)
				}
			}
			slices.Sort(sums)
			if want := fileSums(t, tree); !slices.Equal(sums, want) {
				t.Errorf("%d messages %.200q, want %d, %.200q", len(sums), sums, len(want), want)
			}
		})
	}
}

// fileSums are the SHA-256 of all messages below a directory with LF made CRLF, sorted.
func fileSums(t *testing.T, tree string) (sums []string) {
	t.Helper()
	err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		sub := filepath.Base(filepath.Dir(path))
		if err != nil || e.IsDir() || sub != "cur" && sub != "new" {
			return err
		}
		octets, err := os.ReadFile(path)
		plain := bytes.ReplaceAll(octets, []byte("\r\n"), []byte("\n"))
		sums = append(sums, archive.Sum(sha256.Sum256(bytes.ReplaceAll(plain, []byte("\n"), []byte("\r\n")))).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(sums)
	return sums
}

// TestMaildirCorpus reads trees that others have made, with stray files beside the mail.
func TestMaildirCorpus(t *testing.T) {
	root := shared(t, "corpus/open/maildir")
	trees, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range trees {
		t.Run(e.Name(), func(t *testing.T) {
			tree := filepath.Join(root, e.Name())
			want := fileSums(t, tree)
			dir := filepath.Join(t.TempDir(), "archive")
			mailark(t, 0, "mailark-export", "--maildir", tree, dir)
			var sums []string
			for _, m := range contents(t, dir) {
				sums = append(sums, m.sum.String())
			}
			if slices.Sort(sums); !slices.Equal(sums, want) {
				t.Errorf("%d messages in the archive, want %d", len(sums), len(want))
			}
		})
	}
}
