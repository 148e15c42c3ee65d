package maildirx

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailark/internal/durable"
)

// dovecotIMAP is Dovecot's IMAP process. Started by hand it serves one signed-in session on its
// standard input and output: no daemon, no port, no password.
const dovecotIMAP = "/usr/lib/dovecot/imap"

// dovecot is a home directory with a Maildir++ tree and a configuration.
type dovecot struct {
	home, separator string
}

func newDovecot(t *testing.T, separator string) *dovecot {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "dovecot", "--version").Output()
	if err != nil || !strings.HasPrefix(string(version), "2.3.") {
		t.Skip("no Dovecot 2.3 on this machine")
	}
	if _, err := os.Stat(dovecotIMAP); err != nil {
		t.Skip("no " + dovecotIMAP)
	}
	home, err := os.MkdirTemp("", "maildirx-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	d := &dovecot{home: home, separator: separator}
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = /dev/stderr
ssl = no
mail_location = maildir:%[1]s/Maildir
mail_plugins = listescape
first_valid_uid = 1
namespace inbox {
  inbox = yes
  separator = %[2]s
}
`, home, separator)
	if os.Getuid() == 0 {
		conf += "mail_uid = nobody\nmail_gid = nogroup\n"
	}
	if err := os.WriteFile(filepath.Join(home, "dovecot.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// handOver gives the tree to the user Dovecot reads it as, since it does not read mail as root.
func (d *dovecot) handOver(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("no user nobody")
	}
	uid, errUID := strconv.Atoi(nobody.Uid)
	gid, errGID := strconv.Atoi(nobody.Gid)
	err = errors.Join(errUID, errGID, filepath.WalkDir(d.home, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// talk sends commands, each after the answer to the one before, and returns the untagged answers to each.
// A command that is not answered OK fails the test.
func (d *dovecot) talk(t *testing.T, commands ...string) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, dovecotIMAP, "-c", filepath.Join(d.home, "dovecot.conf"))
	cmd.Env = []string{"USER=mailark", "HOME=" + d.home}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Scan() // the greeting
	var answers [][]string
	for i, c := range append(commands, "LOGOUT") {
		tag := fmt.Sprintf("a%d ", i)
		if _, err := io.WriteString(stdin, tag+c+"\r\n"); err != nil {
			t.Errorf("%s: %v", c, err)
			break
		}
		var untagged []string
		for lines.Scan() && !strings.HasPrefix(lines.Text(), tag) {
			untagged = append(untagged, lines.Text())
		}
		if !strings.HasPrefix(lines.Text(), tag+"OK ") {
			t.Errorf("%s: %q", c, lines.Text())
		}
		answers = append(answers, untagged)
	}
	if err := cmd.Wait(); err != nil || len(answers) != len(commands)+1 {
		t.Fatalf("Dovecot answered %d commands of %d: %v\n%s", len(answers), len(commands)+1, err, stderr.String())
	}
	if s := stderr.String(); strings.Contains(s, "Error") || strings.Contains(s, "Panic") || strings.Contains(s, "Warning") {
		t.Errorf("Dovecot complains: %s", s)
	}
	return answers
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// served is a mailbox of the tree and what Dovecot must say of it.
type served struct {
	path []string
	raw  string // on the wire, "%" for the separator; empty: what the directory's name says
}

func servedMailboxes() []served {
	return []served{
		{[]string{"INBOX"}, "INBOX"},
		{[]string{"INBOX", "kid"}, "INBOX%kid"},
		{[]string{"Work", "2016"}, "Work%2016"},
		{[]string{"v1.2", "..", "."}, "v1.2%..%."},
		{[]string{"日本語", "台北"}, "&ZeVnLIqe-%&U,BTFw-"},
		{[]string{"送信済み.古い"}, "&kAFP4W4IMH8-.&U+QwRA-"},
		{[]string{"R&D", "&&"}, "R&-D%&-&-"},
		{[]string{"~a", "~", "b~"}, "~a%~%b~"},
		{[]string{`back\slash`, `\2e`}, `back\slash%\2e`},
		{[]string{" lead", "trail "}, " lead%trail "},
		{[]string{"cur"}, "cur"},
		{[]string{"😀"}, "&2D3eAA-"},
		{[]string{"control\x01"}, "control&AAE-"},
		{[]string{"caf\xe9"}, "caf&7+k-"},
		{[]string{"nul\x00"}, "nul&7wA-"},
		{[]string{"gap", "", "x"}, "gap%&7wE-%x"},
		{[]string{"Long", strings.Repeat("x", 300)}, ""},
		{[]string{strings.Repeat("長い名前", 60), "b.c"}, ""},
		{[]string{"looks~0123456789abcdef"}, ""},
	}
}

// wire is the mailbox's name on the wire.
func (s served) wire(separator string) string {
	if s.raw != "" {
		return strings.ReplaceAll(s.raw, "%", separator)
	}
	return strings.ReplaceAll(strings.TrimPrefix(Dir(s.path), Root+"/."), ".", separator)
}

// write makes the tree: two messages in each mailbox, with UIDs that leave gaps.
func (d *dovecot) write(t *testing.T, mailboxes []served) {
	t.Helper()
	steps := durable.New(nil)
	var paths [][]string
	for i, m := range mailboxes {
		dir := filepath.Join(d.home, Dir(m.path))
		if err := Init(steps, dir); err != nil {
			t.Fatal(err)
		}
		number := uint32(i + 1)
		list := UIDList{UIDValidity: 1000 + number, UIDNext: 900}
		if i%2 == 0 {
			list.GUID = fmt.Sprintf("%032x", number)
		}
		keywords := []string{"$Forwarded", "", "todo"}
		letter := func(k string) (byte, bool) { return byte('a' + slices.Index(keywords, k)), true }
		for _, msg := range []struct {
			uid   uint32
			flags []string
		}{
			{7, []string{`\Seen`, `todo`, `\Answered`}},
			{700 + number, []string{`$Forwarded`, `\Draft`, `\Flagged`, `\Deleted`}},
		} {
			delivery := testDelivery(dir, msg.uid, "Subject: x\r\n\r\nbody\r\n")
			delivery.Name.Unique = Unique(testDate, number, 1, msg.uid, testArchive)
			delivery.Name.Flags = Flags(msg.flags, letter)
			if err := Deliver(steps, delivery); err != nil {
				t.Fatal(err)
			}
			list.Entries = append(list.Entries, UIDEntry{UID: msg.uid, File: delivery.Name.Base()})
		}
		var uidlist, table bytes.Buffer
		_, err := list.WriteTo(&uidlist)
		err = errors.Join(err, WriteKeywords(&table, keywords),
			steps.WriteFile(filepath.Join(dir, UIDListFile), uidlist.Bytes()),
			steps.WriteFile(filepath.Join(dir, KeywordsFile), table.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, m.path)
	}
	var subscriptions bytes.Buffer
	err := errors.Join(WriteSubscriptions(&subscriptions, paths),
		steps.WriteFile(filepath.Join(d.home, Root, SubscriptionsFile), subscriptions.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	d.handOver(t)
}

func TestDovecotServesTheTree(t *testing.T) {
	// A slash in a level can only be served if the separator is another.
	withSlash := append(servedMailboxes(), served{[]string{"a/b", "c/d"}, "a/b%c/d"})
	for separator, mailboxes := range map[string][]served{"/": servedMailboxes(), "^": withSlash} {
		t.Run("separator "+separator, func(t *testing.T) {
			d := newDovecot(t, separator)
			d.write(t, mailboxes)
			d.checkNames(t, mailboxes)
			d.checkMessages(t, mailboxes)
			d.checkFiles(t, mailboxes)
		})
	}
}

// names reads LIST and LSUB answers: those that can be selected.
func (d *dovecot) names(t *testing.T, answers []string) []string {
	t.Helper()
	var names []string
	for _, line := range answers {
		_, name, ok := strings.Cut(line, ") "+quote(d.separator)+" ")
		if !ok {
			t.Errorf("answer %q", line)
		}
		if strings.HasPrefix(name, `"`) {
			name = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(strings.Trim(name, `"`))
		}
		if !strings.Contains(line, `\Noselect`) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (d *dovecot) checkNames(t *testing.T, mailboxes []served) {
	t.Helper()
	var want []string
	for _, m := range mailboxes {
		want = append(want, m.wire(d.separator))
	}
	slices.Sort(want)
	answers := d.talk(t, `LIST "" "*"`, `LSUB "" "*"`)
	if got := d.names(t, answers[0]); !slices.Equal(got, want) {
		t.Errorf("LIST gives %q, want %q", got, want)
	}
	if got := d.names(t, answers[1]); !slices.Equal(got, want) {
		t.Errorf("LSUB gives %q, want %q", got, want)
	}
}

func (d *dovecot) checkMessages(t *testing.T, mailboxes []served) {
	t.Helper()
	var commands []string
	for _, m := range mailboxes {
		name := quote(m.wire(d.separator))
		commands = append(commands, "STATUS "+name+" (MESSAGES UIDNEXT UIDVALIDITY)", "EXAMINE "+name,
			"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)")
	}
	answers := d.talk(t, commands...)
	for i, m := range mailboxes {
		status, fetch := strings.Join(answers[3*i], "\n"), answers[3*i+2]
		if want := fmt.Sprintf("(MESSAGES 2 UIDNEXT 900 UIDVALIDITY %d)", 1001+i); !strings.HasSuffix(status, want) {
			t.Errorf("%.60q: STATUS gives %s, want %s", m.path, status, want)
		}
		want := []string{
			fmt.Sprintf("UID %d", 7), `\Answered`, `\Seen`, "todo",
			fmt.Sprintf("UID %d", 701+i), `\Deleted`, `\Draft`, `\Flagged`, "$Forwarded",
		}
		if got := fetched(t, fetch); !slices.Equal(got, want) {
			t.Errorf("%.60q: FETCH gives %q, want %q", m.path, got, want)
		}
	}
}

// fetched reads the UID and the flags out of FETCH answers, and checks the date and the size.
func fetched(t *testing.T, answers []string) []string {
	t.Helper()
	var got []string
	for _, line := range answers {
		_, uid, _ := strings.Cut(line, "UID ")
		uid, _, _ = strings.Cut(uid, " ")
		_, flags, _ := strings.Cut(line, "FLAGS (")
		flags, _, _ = strings.Cut(flags, ")")
		_, date, _ := strings.Cut(line, `INTERNALDATE "`)
		date, _, _ = strings.Cut(date, `"`)
		when, err := time.Parse("_2-Jan-2006 15:04:05 -0700", date)
		if err != nil || !when.Equal(testDate) || !strings.Contains(line, "RFC822.SIZE 20") {
			t.Errorf("%s: want the date %v and the size 20", line, testDate)
		}
		words := strings.Fields(flags)
		slices.SortFunc(words, func(a, b string) int { // system flags first
			return strings.Compare(strings.ReplaceAll(a, `\`, "\x00"), strings.ReplaceAll(b, `\`, "\x00"))
		})
		got = append(append(got, "UID "+uid), words...)
	}
	return got
}

// checkFiles reads what Dovecot has made of its files, and what it writes by itself.
func (d *dovecot) checkFiles(t *testing.T, mailboxes []served) {
	t.Helper()
	d.talk(t, "CREATE "+quote("~new.one"+d.separator+"&ZeVnLIqe-.x"), "SUBSCRIBE "+quote("~new.one"+d.separator+"&ZeVnLIqe-.x"),
		"UNSUBSCRIBE INBOX", "SELECT INBOX", `UID STORE 7 +FLAGS (another)`, `UID STORE 7 -FLAGS (\Seen)`)
	made := []string{"~new.one", "日本語.x"}
	var found []string
	err := Walk(filepath.Join(d.home, Root), func(path []string, dir string) error {
		found = append(found, filepath.Join(d.home, Dir(path)))
		list, err := os.Open(filepath.Join(dir, UIDListFile))
		if errors.Is(err, os.ErrNotExist) && slices.Equal(path, made) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = list.Close() }()
		uids, err := ParseUIDList(list)
		if err == nil && !slices.Equal(path, made) && len(uids.Entries) != 2 {
			err = fmt.Errorf("%q has the list %+v", path, uids)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if !slices.Contains(found, filepath.Join(d.home, Dir(made))) || len(found) != len(mailboxes)+1 {
		t.Errorf("Walk found %q, want %d mailboxes and %q", found, len(mailboxes), Dir(made))
	}

	keywords, err := ParseKeywords(strings.NewReader(readString(t, filepath.Join(d.home, Root, KeywordsFile))))
	if !slices.Contains(keywords, "another") || !slices.Contains(keywords, "todo") || err != nil {
		t.Errorf("keywords are %q, %v", keywords, err)
	}
	files, err := Messages(filepath.Join(d.home, Root))
	if err != nil || len(files) != 2 {
		t.Fatalf("Messages = %v, %v", files, err)
	}
	flags := append(SystemFlags(files[0].Name.Flags), Keywords(files[0].Name.Flags, keywords)...)
	slices.Sort(flags)
	if want := []string{`\Answered`, "another", "todo"}; !slices.Equal(flags, want) {
		t.Errorf("after STORE the file says %q, want %q", flags, want)
	}

	subscribed, err := ParseSubscriptions(strings.NewReader(readString(t, filepath.Join(d.home, Root, SubscriptionsFile))))
	if err != nil || len(subscribed) != len(mailboxes) || !slices.EqualFunc(subscribed[len(subscribed)-1:], [][]string{made}, slices.Equal) {
		t.Errorf("subscriptions are %q, %v", subscribed, err)
	}
}
