package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/maildirx"
)

// ways are the ways to extract, and what --compress calls them.
func ways() []string { return []string{"none", "gzip", "zstd"} }

// oddMail is an account of all that a Maildir tree must hold well: dates before 1970 and far ahead, messages without anything,
// without a last line end, with NUL and bare LF and CR, equal ones with equal and other dates, keywords, gaps between UIDs.
func oddMail(t *testing.T) *imaptest.Server {
	t.Helper()
	s := server(t)
	a := s.Account("user")
	boxes := []string{"INBOX", "Sent", "日本語/報告", "Lists/v1.2"}
	for i, name := range boxes {
		role := map[string]string{"Sent": `\Sent`}[name]
		a.AddMailbox(imaptest.Mailbox{Name: name, Role: role, Subscribed: i != 2, UIDValidity: uint32(1_111_111_111 + i)})
	}
	a.AddMailbox(imaptest.Mailbox{Name: "Empty", UIDValidity: 7})
	jst := time.FixedZone("", 9*3600)
	dates := []time.Time{
		time.Date(1959, 3, 1, 4, 5, 6, 0, jst), time.Date(1970, 1, 1, 9, 0, 0, 0, jst), time.Date(1970, 1, 1, 9, 0, 1, 0, jst),
		time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(2105, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, jst),
	}
	bodies := []string{
		"", "\r\n", "\n", "x", "no header at all", "Subject: no last line end\r\n\r\ntext",
		"Subject: NUL\r\n\r\na\x00b\r\n", "Subject: bare\n\nLF\nonly\n", "Subject: mixed\r\n\r\nLF\nCR\rCRCRLF\r\r\nend\r\n",
		"Subject: 8 bit \xff\xfe\r\n\r\n\xa4\xa2\r\n", "\x1f\x8bSubject: looks compressed\r\n\r\n\r\n",
		"Subject: long line\r\n\r\n" + strings.Repeat("0123456789", 20_000) + "\r\n",
		"Subject: big\r\n\r\n" + strings.Repeat("a line of a message of 3 MiB, more than a spool keeps in memory\r\n", 48_000),
	}
	flags := [][]string{nil, {`\Seen`}, {`\Answered`, `\Flagged`, "$Forwarded"}, {`\Deleted`, `\Draft`, "Work", "$MDNSent"}}
	for i := range 3 * len(bodies) {
		a.AddMessage(boxes[i%len(boxes)], imaptest.Message{
			UID: uint32(10 + 3*i), Octets: []byte(bodies[i%len(bodies)]), InternalDate: dates[i%len(dates)], Flags: flags[i%len(flags)],
		})
	}
	for i, name := range []string{"INBOX", "INBOX", "Sent", "日本語/報告"} {
		a.AddMessage(name, imaptest.Message{Octets: []byte("Subject: again\r\n\r\n"), InternalDate: dates[3].Add(time.Duration(i/3) * time.Hour)})
	}
	return s
}

// exported is an account in a new archive.
func exported(t *testing.T, s *imaptest.Server) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "archive")
	mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
	return dir
}

// TestDovecotReadsTrees has Dovecot serve what extract writes, plain and compressed: it must serve the account the archive was
// made of, with the same UIDs, and find nothing to complain about.
func TestDovecotReadsTrees(t *testing.T) {
	s := oddMail(t)
	dir := exported(t, s)
	want := asServed(t, s.Account("user"))
	for _, way := range ways() {
		// With the plugin on, Dovecot takes a plain file that looks compressed for a compressed one.
		plugins := "mail_plugins = listescape"
		if way != "none" {
			plugins += " zlib"
		}
		d := dovecot(t, imaptest.DovecotOptions{
			Users: map[string]string{"user": "pw"}, Maildir: map[string]string{"user": extracted(t, dir, way)}, Extra: plugins,
		})
		got := snapshot(t, d.Addr, "user")
		equal(t, way, got, want)
		sameUIDs(t, way, got, want)
		rightSizes(t, d.Addr, "user", want)
		// Once more, from Dovecot's caches; they hold a date in 32 bits, so that some dates are others then.
		sameUIDs(t, way+", once more", snapshot(t, d.Addr, "user"), want)
		for line := range strings.Lines(d.Log()) {
			if strings.Contains(line, "Error:") || strings.Contains(line, "Panic:") || strings.Contains(line, "orrupt") {
				t.Error(way, line)
			}
		}
	}
}

// asServed is what Dovecot makes of an account's octets: every bare LF is CRLF, NUL is 0x80.
func asServed(t *testing.T, a *imaptest.Account) imaptest.Snapshot {
	t.Helper()
	other := server(t).Account("user")
	for _, m := range a.Snapshot().Mailboxes {
		other.AddMailbox(imaptest.Mailbox{Name: m.Name, Role: m.Role, Subscribed: m.Subscribed, UIDValidity: m.UIDValidity})
		for _, msg := range a.Messages(m.Name) {
			text := bytes.ReplaceAll(msg.Octets, []byte("\r\n"), []byte("\n"))
			text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
			msg.Octets = bytes.ReplaceAll(text, []byte{0}, []byte{0x80})
			other.AddMessage(m.Name, msg)
		}
	}
	return other.Snapshot()
}

// rightSizes asks for RFC822.SIZE, which Dovecot takes from the W= of file names, before it is asked for a body.
func rightSizes(t *testing.T, addr, user string, want imaptest.Snapshot) {
	t.Helper()
	cl, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cl.Close() }()
	if err := cl.Login(user, "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	for _, m := range want.Mailboxes {
		if _, err := cl.Select(m.Name, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil || len(m.Messages) == 0 {
			continue // what is missing is told elsewhere
		}
		sizes, err := cl.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{UID: true, RFC822Size: true}).Collect()
		if err != nil || len(sizes) != len(m.Messages) {
			t.Fatalf("%s: sizes of %q: %d, %v", user, m.Name, len(sizes), err)
		}
		for i, got := range sizes {
			if got.RFC822Size != m.Messages[i].Size {
				t.Errorf("%s: %q UID %d: RFC822.SIZE %d, want %d", user, m.Name, got.UID, got.RFC822Size, m.Messages[i].Size)
			}
		}
	}
}

// need skips the test where a program is absent.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// letters is an account of ordinary mail, for programs that have no use for anything else.
func letters(t *testing.T) (*imaptest.Server, map[string][]byte) {
	t.Helper()
	s := server(t)
	a := s.Account("user")
	byID := make(map[string][]byte)
	for i := range 60 {
		id := fmt.Sprintf("%d@example.org", i)
		body := fmt.Appendf(nil, "From: Taro <taro@example.org>\r\nTo: hanako@example.org\r\nDate: Mon, %d Mar 2021 10:11:12 +0900\r\n"+
			"Message-ID: <%s>\r\nSubject: =?UTF-8?B?5ZCN5YmN?= letter %d\r\n\r\nHello,\r\n\r\n%s\r\n",
			1+i%28, id, i, strings.Repeat("the words of it\r\n", i*i))
		byID[id] = body
		for j := range 1 + i%2 {
			a.AddMessage([]string{"INBOX", "Work/2016", "日本語"}[(i+j)%3], imaptest.Message{
				Octets: body, InternalDate: time.Date(2021, 3, 1+i%28, 1, 11, 12, 0, time.UTC), Flags: [][]string{nil, {`\Seen`}}[i%2],
			})
		}
	}
	return s, byID
}

// extracted extracts an archive in one of the ways and returns the Maildir++ tree.
func extracted(t *testing.T, dir, way string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	mailark(t, 0, "mailark", "extract", "--compress", way, dir, tree)
	return filepath.Join(tree, "Maildir")
}

// TestNotmuchReads has notmuch index a plain and a gzip tree, find every message and give back its octets.
func TestNotmuchReads(t *testing.T) {
	need(t, "notmuch")
	s, byID := letters(t)
	dir := exported(t, s)
	for _, way := range []string{"none", "gzip"} {
		tree := extracted(t, dir, way)
		conf := filepath.Join(t.TempDir(), "conf")
		text := "[database]\npath=" + tree + "\n[user]\nname=x\nprimary_email=x@example.org\n[new]\ntags=found\nignore=dovecot-uidlist;subscriptions\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sh(t, tree, `notmuch --config="$0" new 2>&1`, conf)
		if got := sh(t, tree, `notmuch --config="$0" count && notmuch --config="$0" count --output=files`, conf); got != "60\n90\n" {
			t.Errorf("%s: notmuch counts %q messages and files, want 60 and 90", way, got)
		}
		if got := sh(t, tree, `notmuch --config="$0" count 'subject:名前 and body:"the words of it"'`, conf); got != "59\n" {
			t.Errorf("%s: notmuch finds %q messages by their words, want 59", way, got)
		}
		for id, body := range byID {
			if got := sh(t, tree, `notmuch --config="$0" show --format=raw "id:$1"`, conf, id); got != string(body) {
				t.Errorf("%s: notmuch shows %d octets of %s, want %d", way, len(got), id, len(body))
			}
		}
	}
}

// muttrc makes mutt give every message to a program by itself, as it is.
const muttrc = `set folder=.
set mbox_type=Maildir
set pipe_split=yes
set pipe_sep=""
set pipe_decode=no
set wait_key=no
set quit=yes
`

// TestMuttReads opens each mailbox of the extracted tree, and of the one that zstd and tar make, in mutt on a terminal of its own
// and has it pipe every message out. Mutt writes the line that ends the header with LF, so line ends are compared as one.
func TestMuttReads(t *testing.T) {
	need(t, "mutt", "script", "zstd", "tar")
	s, byID := letters(t)
	dir := exported(t, s)
	plain := t.TempDir()
	sh(t, plain, `zstd -dc "$0"/segments/*.tar.zst | tar -x --ignore-zeros`, dir)
	for _, tree := range []string{extracted(t, dir, "none"), filepath.Join(plain, "Maildir")} {
		work := t.TempDir()
		for name, text := range map[string]string{
			"muttrc": muttrc, "take": "cat >message.$$.$(date +%N)\n",
			"open": `mutt -n -R -F muttrc -f "$1" -e 'push "<tag-pattern>~A<enter><tag-prefix><pipe-message>sh ./take<enter><exit>"'`,
		} {
			if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mailboxes := 0
		err := maildirx.Walk(tree, func(_ []string, box string) error {
			mailboxes++
			return onTerminal(t, work, "sh ./open '"+box+"'")
		})
		if err != nil || mailboxes != 3 {
			t.Fatalf("%d mailboxes, %v", mailboxes, err)
		}
		found := make(map[string]int)
		files, err := filepath.Glob(filepath.Join(work, "message.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			body, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found[lines(body)]++
		}
		if len(files) != 90 {
			t.Errorf("mutt gives %d messages, want 90", len(files))
		}
		for id, body := range byID {
			if found[lines(body)] == 0 {
				t.Errorf("mutt does not give %s", id)
			}
		}
	}
}

// onTerminal runs a line of shell on a terminal at which nobody types.
func onTerminal(t *testing.T, dir, line string) error {
	t.Helper()
	keys, typist, err := os.Pipe() // at the end of its input, script would type a ^D
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(t.Context(), "script", "-qec", line, "script.log")
	cmd.Dir, cmd.Stdin, cmd.Env = dir, keys, append(os.Environ(), "TERM=xterm", "HOME="+dir)
	err = cmd.Run()
	return errors.Join(err, keys.Close(), typist.Close())
}

func lines(body []byte) string { return strings.ReplaceAll(string(body), "\r\n", "\n") }

// TestPythonReads compares the octets of every message as Python's mailbox module gives them with the catalog's SHA-256.
func TestPythonReads(t *testing.T) {
	need(t, "python3", "zstd", "tar")
	dir := exported(t, oddMail(t))
	plain := t.TempDir()
	sh(t, plain, `zstd -dc "$0"/segments/*.tar.zst | tar -x --ignore-zeros`, dir)
	const script = `
import mailbox, sys, hashlib
def sums(box):
    for key in box.keys():
        print(hashlib.sha256(box.get_bytes(key)).hexdigest())
    for f in box.list_folders():
        sums(box.get_folder(f))
sums(mailbox.Maildir(sys.argv[1], create=False))
`
	for _, tree := range []string{extracted(t, dir, "none"), filepath.Join(plain, "Maildir")} {
		got := strings.Fields(sh(t, tree, `python3 -c "$0" "$1"`, script, tree))
		sameSums(t, "Python", got, catalogSums(t, dir))
	}
}

// catalogSums are the SHA-256 of all messages of an archive.
func catalogSums(t *testing.T, dir string) []string {
	t.Helper()
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var sums []string
	for _, m := range r.Mailboxes() {
		for msg := range r.Messages(m.ID) {
			sums = append(sums, msg.Sum.String())
		}
	}
	return sums
}

// sameSums compares two multisets.
func sameSums(t *testing.T, what string, got, want []string) {
	t.Helper()
	count := make(map[string]int)
	for _, s := range want {
		count[s]++
	}
	for _, s := range got {
		count[s]--
	}
	for s, n := range count {
		if n != 0 {
			t.Errorf("%s: %d messages of SHA-256 %s are missing", what, n, s)
		}
	}
	if len(want) == 0 {
		t.Errorf("%s: there was nothing to compare", what)
	}
}

// TestTarsAgree unpacks an archive of several segments with GNU tar and, in each way it can, with bsdtar: the trees are the same.
func TestTarsAgree(t *testing.T) {
	need(t, "zstd", "tar", "bsdtar", "sha256sum", "diff")
	dir := filepath.Join(t.TempDir(), "archive")
	s := oddMail(t)
	for i := range 3 { // a segment is sealed at the end of the first run
		mailark(t, 0, "mailark-export", reach(s.Addr, "user", dir)...)
		s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: fmt.Appendf(nil, "Subject: one more: %d\r\n\r\n", i)})
	}
	out := t.TempDir()
	sh(t, out, `mkdir gnu a b c; A=$0
set -e
zstd -dc "$A"/segments/*.tar.zst | tar -x --ignore-zeros -C gnu
zstd -dc "$A"/segments/*.tar.zst | bsdtar -x --ignore-zeros -C a
zstd -dc "$A"/segments/*.tar.zst | bsdtar -x --options read_concatenated_archives -C b
for s in "$A"/segments/*.tar.zst; do bsdtar -xf "$s" -C c; done
test $(ls "$A"/segments | wc -l) -gt 1
for d in a b c; do diff -r gnu $d; done
find gnu -type f -printf '%P %T@ %s\n' | sort >gnu.list
for d in a b c; do find $d -type f -printf '%P %T@ %s\n' | sort >list; diff gnu.list list; done
cd "$A" && zstd -qt segments/*.tar.zst catalog.jsonl.zst && sha256sum --quiet -c SHA256SUMS`, dir)
	files := strings.Fields(sh(t, out, `find gnu -path '*/cur/*' -type f -exec sha256sum {} + | sed 's/^[\\]//' | cut -c1-64`))
	sameSums(t, "the tree", files, catalogSums(t, dir))
}

// TestCatalogIsJSON reads the catalog with zstdcat and jq: a line for every message, mailbox by mailbox.
func TestCatalogIsJSON(t *testing.T) {
	need(t, "zstdcat", "jq")
	dir := exported(t, oddMail(t))
	got := strings.Fields(sh(t, dir, `zstdcat catalog.jsonl.zst | jq -r 'select(.t == "message") | .sha256'`))
	sameSums(t, "jq", got, catalogSums(t, dir))
	names := sh(t, dir, `zstdcat catalog.jsonl.zst | jq -r 'select(.t == "mailbox") | .path | join("/")'`)
	for _, name := range []string{"INBOX", "日本語/報告", "Lists/v1.2"} {
		if !strings.Contains(names, name+"\n") {
			t.Errorf("jq shows no mailbox %s", name)
		}
	}
}
