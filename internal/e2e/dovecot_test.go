package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mailark/internal/imaptest"
)

// corpus is a realistic Maildir++ tree: the one MAILARK_CORPUS names, else one of n messages made now.
func corpus(t *testing.T, n int) string {
	t.Helper()
	if tree := os.Getenv("MAILARK_CORPUS"); tree != "" {
		return tree
	}
	maker := shared(t, "bench/gen-corpus")
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	out := filepath.Join(t.TempDir(), "corpus")
	if said, err := exec.CommandContext(t.Context(), maker, "-n", strconv.Itoa(n), "--text-mb", "8", "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("gen-corpus: %v\n%s", err, said)
	}
	return filepath.Join(out, "maildir")
}

// lastJSON is the object on the last line of a program's --json output.
func lastJSON(t *testing.T, out string) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var v map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
		t.Fatalf("no JSON: %v in %q", err, out)
	}
	return v
}

// TestDovecotRoundTrip carries a corpus from one account of a real server into an archive and up into another: names, roles,
// subscriptions, and per mailbox the multiset of octets, dates, flags and keywords are equal; a second run of either half
// does nothing; the tree that plain zstd and tar make, and the one mailark extract makes, are served by Dovecot with the
// same UIDs.
func TestDovecotRoundTrip(t *testing.T) {
	tree := corpus(t, 300)
	d := dovecot(t, imaptest.DovecotOptions{
		Users:   map[string]string{"old": "pw", "new": "pw", "plain": "pw", "extracted": "pw"},
		Maildir: map[string]string{"old": tree},
	})
	want := snapshot(t, d.Addr, "old")
	dir := filepath.Join(t.TempDir(), "archive")
	mailark(t, 0, "mailark-export", reach(d.Addr, "old", dir)...)
	equal(t, "the source after the export", snapshot(t, d.Addr, "old"), want)
	mailark(t, 0, "mailark", "verify", dir)

	again := lastJSON(t, mailark(t, 0, "mailark-export", reach(d.Addr, "old", "--json", dir)...))
	if n, total := number(t, again, "archived_now"), number(t, again, "listed"); n != 0 || total != want.Count() {
		t.Errorf("second export: %d of %d messages fetched again, of %d on the server", n, total, want.Count())
	}

	mailark(t, 0, "mailark-import", reach(d.Addr, "new", dir)...)
	got := snapshot(t, d.Addr, "new")
	equal(t, "the target", got, want)
	second := lastJSON(t, mailark(t, 0, "mailark-import", reach(d.Addr, "new", "--json", dir)...))
	if n, total := number(t, second, "uploaded"), number(t, second, "wanted"); n != 0 || total != want.Count() {
		t.Errorf("second import: %d of %d messages uploaded again, of %d in the archive", n, total, want.Count())
	}
	equal(t, "the target after a second import", snapshot(t, d.Addr, "new"), want)
	sameUIDs(t, "second import", snapshot(t, d.Addr, "new"), got)

	plain := t.TempDir()
	sh(t, plain, `zstd -dc "$0"/segments/*.tar.zst | tar -x --ignore-zeros && cd "$0" && sha256sum --quiet -c SHA256SUMS`, dir)
	if err := d.Fill("plain", filepath.Join(plain, "Maildir")); err != nil {
		t.Fatal(err)
	}
	sameUIDs(t, "the tree of zstd and tar", snapshot(t, d.Addr, "plain"), want)

	extracted := filepath.Join(t.TempDir(), "tree")
	mailark(t, 0, "mailark", "extract", dir, extracted)
	if err := d.Fill("extracted", filepath.Join(extracted, "Maildir")); err != nil {
		t.Fatal(err)
	}
	served := snapshot(t, d.Addr, "extracted")
	equal(t, "the extracted tree", served, want)
	sameUIDs(t, "the extracted tree", served, want)
	pythonReads(t, filepath.Join(plain, "Maildir"), want.Count())
}

// sh runs a line of shell in dir; args are $0, $1 …
func sh(t *testing.T, dir, line string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", line}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// sameUIDs demands equal UIDVALIDITY, and for each UID equal octets, flags and keywords.
func sameUIDs(t *testing.T, what string, got, want imaptest.Snapshot) {
	t.Helper()
	compared := 0
	for _, w := range want.Mailboxes {
		g := got.Mailbox(w.Name)
		if w.NoSelect {
			continue
		}
		if g == nil || g.UIDValidity != w.UIDValidity && len(w.Messages) > 0 {
			t.Errorf("%s: mailbox %q: %+v, want UIDVALIDITY %d", what, w.Name, g, w.UIDValidity)
			continue
		}
		if len(g.Messages) != len(w.Messages) {
			t.Errorf("%s: mailbox %q has %d messages, want %d", what, w.Name, len(g.Messages), len(w.Messages))
			continue
		}
		for i, m := range w.Messages {
			if o := g.Messages[i]; o.UID != m.UID || o.SHA256 != m.SHA256 || strings.Join(o.Flags, " ") != strings.Join(m.Flags, " ") {
				t.Errorf("%s: mailbox %q: %+v, want %+v", what, w.Name, o, m)
			}
			compared++
		}
	}
	if compared == 0 {
		t.Errorf("%s: there was nothing to compare", what)
	}
}

// pythonReads counts the messages as Python's mailbox module sees them.
func pythonReads(t *testing.T, tree string, want int) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Log("python3 is not installed: not tried")
		return
	}
	const script = `
import mailbox, sys
def count(box):
    return sum(1 for m in box if m.as_bytes() is not None) + sum(count(box.get_folder(f)) for f in box.list_folders())
print(count(mailbox.Maildir(sys.argv[1], create=False)))
`
	out, err := exec.CommandContext(t.Context(), "python3", "-c", script, tree).Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	var n int
	if err := json.Unmarshal(out, &n); err != nil || n != want {
		t.Errorf("Python's mailbox reads %s messages, want %d", strings.TrimSpace(string(out)), want)
	}
}
