package exporter

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/spool"
)

// maildirRig is a Maildir tree and the archive it is copied into.
type maildirRig struct {
	*testing.T
	root string
	opts Options
}

func newMaildirRig(t *testing.T) *maildirRig {
	r := &maildirRig{T: t, root: t.TempDir()}
	r.opts = Options{Maildir: r.root, Dir: filepath.Join(t.TempDir(), "old-mail"), Retry: Retry{
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}}
	return r
}

func (r *maildirRig) put(name, text string) {
	r.Helper()
	path := filepath.Join(r.root, name)
	box := filepath.Dir(filepath.Dir(path))
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(box, sub), 0o700); err != nil {
			r.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *maildirRig) rename(from, to string) {
	r.Helper()
	if err := os.Rename(filepath.Join(r.root, from), filepath.Join(r.root, to)); err != nil {
		r.Fatal(err)
	}
}

// run exports and demands the exit code, and of all mailboxes the figures "listed before now linked gone flags".
func (r *maildirRig) run(exit int, figures string) *Result {
	r.Helper()
	result, err := Run(r.Context(), r.opts)
	f := result.Total()
	got := fmt.Sprint(f.Listed, f.Before, f.Now, f.Linked, f.Gone, f.FlagsChanged)
	if result.ExitCode() != exit || got != figures {
		r.Fatalf("exit %d, figures %s, want %d, %s (error %v)\n%+v", result.ExitCode(), got, exit, figures, err, result)
	}
	return result
}

// holds demands what the archive takes to be in the mailboxes: "mailbox flags octets", sorted by mailbox and UID.
func (r *maildirRig) holds(want ...string) {
	r.Helper()
	a, err := archive.Open(r.opts.Dir, nil)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	var got []string
	for _, m := range a.Mailboxes() {
		for _, msg := range a.Current(m.ID) {
			sp := spool.New(r.TempDir())
			if err := a.Load(r.Context(), msg, sp); err != nil {
				r.Fatal(err)
			}
			var b strings.Builder
			if _, err := io.Copy(&b, sp.Open()); err != nil {
				r.Fatal(err)
			}
			_ = sp.Close()
			got = append(got, fmt.Sprintf("%s %s %q", m.Name(), strings.Join(msg.Flags, ","), b.String()))
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		r.Errorf("the archive holds\n%s\nwant\n%s", g, w)
	}
}

// TestMaildirRunByRun: what happens to a tree without UIDs between runs is found out message by message, and a run after
// which nothing happened does nothing.
func TestMaildirRunByRun(t *testing.T) {
	r := newMaildirRig(t)
	r.put("cur/1.a:2,S", "one\n")
	r.put("new/2.b", "two\n")
	r.put(".Work/cur/3.c:2,", "three\n")
	r.opts.DryRun = true
	r.run(0, "3 0 0 0 0 0")
	if _, err := os.Stat(r.opts.Dir); err == nil {
		t.Fatal("a dry run has made the archive")
	}
	r.opts.DryRun = false
	r.run(0, "3 0 3 0 0 0")
	r.run(0, "3 3 0 0 0 0")
	r.holds(`INBOX \Seen "one\r\n"`, `INBOX  "two\r\n"`, `Work  "three\r\n"`)

	r.rename("new/2.b", "cur/2.b:2,F")
	r.run(0, "3 3 0 0 0 1")
	r.put("new/4.d", "four\n")
	r.opts.DryRun = true
	r.run(0, "4 3 0 0 0 0")
	r.opts.DryRun = false
	r.run(0, "4 3 1 0 0 0")
	r.rename("cur/1.a:2,S", ".Work/cur/1.a:2,S")
	r.run(0, "4 3 1 1 1 0")
	if err := os.Remove(filepath.Join(r.root, ".Work/cur/3.c:2,")); err != nil {
		t.Fatal(err)
	}
	r.run(0, "3 3 0 0 1 0")
	r.run(0, "3 3 0 0 0 0")
	r.holds(`INBOX \Flagged "two\r\n"`, `INBOX  "four\r\n"`, `Work \Seen "one\r\n"`)

	// Without the UIDs everything is read again into a new epoch, and nothing is there twice.
	if err := os.RemoveAll(filepath.Join(r.opts.Dir, uidsDir)); err != nil {
		t.Fatal(err)
	}
	r.run(0, "3 0 3 3 0 0")
	r.run(0, "3 3 0 0 0 0")
	r.holds(`INBOX \Flagged "two\r\n"`, `INBOX  "four\r\n"`, `Work \Seen "one\r\n"`)
	if res, err := archive.Verify(t.Context(), r.opts.Dir, nil, nil); err != nil || len(res.Problems) > 0 {
		t.Errorf("verify: %v, %v", res.Problems, err)
	}
}

// TestMaildirRefusals: what cannot be read is named with the system's words, and all else is copied.
func TestMaildirRefusals(t *testing.T) {
	r := newMaildirRig(t)
	for i := range 9 {
		r.put(fmt.Sprintf("cur/%d:2,", i), fmt.Sprintf("%d\n", i))
	}
	r.put("cur/z,S=99:2,", "\x1f\x8b nonsense")
	if err := os.Symlink("/etc/hostname", filepath.Join(r.root, "cur/link:2,")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink("/", filepath.Join(r.root, ".root")); err != nil {
		t.Skip(err)
	}
	result := r.run(3, "11 0 9 0 0 0")
	if len(result.Refused) != 2 {
		t.Fatalf("refused: %+v", result.Refused)
	}
	text := fmt.Sprint(result.Refused)
	if !strings.Contains(text, "cur/link:2,: is a symbolic link") || !strings.Contains(text, "cur/z,S=99:2,: the file is compressed with gzip") {
		t.Errorf("refused: %s", text)
	}
	r.put("cur/link:2,.new", "") // another name, so that it is another message
	if err := os.Remove(filepath.Join(r.root, "cur/link:2,")); err != nil {
		t.Fatal(err)
	}
	r.run(3, "11 9 1 0 0 0")
}

// TestMaildirSource: an archive belongs to the tree it was begun from, and a directory without mail is a mistake.
func TestMaildirSource(t *testing.T) {
	r := newMaildirRig(t)
	r.run(64, "0 0 0 0 0 0")
	r.put("cur/1", "one\n")
	if result := r.run(0, "1 0 1 0 0 0"); result.Source != (archive.Source{Host: "maildir", User: r.root}) {
		t.Errorf("source %+v", result.Source)
	}
	first := r.root
	r.root = t.TempDir()
	r.opts.Maildir = r.root
	r.put("cur/2", "two\n")
	r.run(64, "0 0 0 0 0 0")
	r.opts.Maildir = filepath.Join(first, "none")
	r.run(64, "0 0 0 0 0 0")
	t.Chdir(filepath.Dir(first))
	r.opts.Maildir = "./" + filepath.Base(first) + "/"
	r.run(0, "1 1 0 0 0 0")
}

// TestMaildirCannotKeepUIDs: if the UIDs cannot be written down nothing is archived under them, and the run says so.
func TestMaildirCannotKeepUIDs(t *testing.T) {
	r := newMaildirRig(t)
	r.put("cur/1", "one\n")
	r.run(0, "1 0 1 0 0 0")
	r.put("cur/2", "two\n")
	uids := filepath.Join(r.opts.Dir, uidsDir)
	kept, err := os.ReadDir(uids)
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	if err := os.MkdirAll(filepath.Join(uids, kept[0].Name()+".tmp", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if result := r.run(1, "0 0 0 0 0 0"); !strings.Contains(fmt.Sprint(result.Err), "cannot be kept") {
		t.Errorf("error %v", result.Err)
	}
	if err := os.RemoveAll(filepath.Join(uids, kept[0].Name()+".tmp")); err != nil {
		t.Fatal(err)
	}
	r.run(0, "2 1 1 0 0 0")
}

// TestMaildirAudit: an audit and an overview of a tree agree with the archive of it, and write nothing there.
func TestMaildirAudit(t *testing.T) {
	r := newMaildirRig(t)
	r.put("cur/1:2,S", "one\n")
	r.put(".Work/cur/2:2,", "two\n")
	r.run(0, "2 0 2 0 0 0")
	a, err := Audit(t.Context(), r.opts, Sample{All: true})
	if err != nil || a.ExitCode() != 0 || len(a.Mailboxes) != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	r.put("cur/3", "three\n")
	if a, err := Audit(t.Context(), r.opts, Sample{}); err != nil || a.ExitCode() != 7 {
		t.Errorf("exit %d with a message that is not archived: %+v, %v", a.ExitCode(), a, err)
	}
	o, err := List(t.Context(), r.opts)
	if err != nil || len(o.Mailboxes) != 2 || o.Mailboxes[0].Messages != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	r.run(0, "3 2 1 0 0 0")
}
