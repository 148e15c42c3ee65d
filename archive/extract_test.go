package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/maildirx"
)

// treeLines is every message of a Maildir++ tree: mailbox, time, flag letters, SHA-256.
func treeLines(t *testing.T, root string) []string {
	t.Helper()
	var lines []string
	err := maildirx.Walk(filepath.Join(root, "Maildir"), func(path []string, dir string) error {
		files, err := maildirx.Messages(dir)
		for _, f := range files {
			l, err := fileLine(strings.Join(path, "/"), f)
			if err != nil {
				return err
			}
			lines = append(lines, l)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// fileLine is one message file of a tree.
func fileLine(mailbox string, f maildirx.File) (string, error) {
	body, err := os.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	info, err := body.Stat()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	if err := inflateTo(sum, body); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %s %x", mailbox, info.ModTime().Unix(),
		maildirx.Flags(maildirx.SystemFlags(f.Name.Flags), nil), sum.Sum(nil)), nil
}

// treeWant is what treeLines should be. mtime gives a message's expected time.
func treeWant(list []mail, mtime func(mail) time.Time) []string {
	var lines []string
	for _, m := range list {
		var system []string
		for _, f := range m.flags {
			if strings.HasPrefix(f, `\`) {
				system = append(system, f)
			}
		}
		lines = append(lines, fmt.Sprintf("%s %d %s %x", m.mailbox, mtime(m).Unix(), maildirx.Flags(system, nil), sha256.Sum256(m.body)))
	}
	slices.Sort(lines)
	return lines
}

func TestExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(150, 20)
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	list[0].flags = []string{`\Draft`, "other"}
	if _, err := export(dir, nil, list, 7); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	out := filepath.Join(t.TempDir(), "out")
	res, err := r.Extract(t.Context(), out, archive.ExtractOptions{})
	if err != nil || res.Messages != len(list) || res.Mailboxes != 3 || len(res.Damaged) > 0 {
		t.Fatalf("extract: %+v, %v", res, err)
	}
	compare(t, "tree", treeLines(t, out), treeWant(list, func(m mail) time.Time { return m.date }))
	if _, err := r.Extract(t.Context(), out, archive.ExtractOptions{}); !errors.Is(err, archive.ErrExists) {
		t.Errorf("extract into a tree: %v, want ErrExists", err)
	}
	checkUIDList(t, out, r)

	part := filepath.Join(t.TempDir(), "part")
	res, err = r.Extract(t.Context(), part, archive.ExtractOptions{Mailboxes: []uint32{2}})
	if err != nil || res.Mailboxes != 1 || res.Messages != len(list)/3 {
		t.Errorf("extract one mailbox: %+v, %v", res, err)
	}
}

// checkUIDList compares the uidlists with the catalog.
func checkUIDList(t *testing.T, out string, r *archive.Reader) {
	t.Helper()
	for _, mbox := range r.Mailboxes() {
		f, err := os.Open(filepath.Join(out, mbox.Dir, "dovecot-uidlist"))
		if err != nil {
			t.Fatal(err)
		}
		uids, err := maildirx.ParseUIDList(f)
		_ = f.Close()
		if err != nil || uids.UIDValidity != r.Epoch(mbox.ID).UIDValidity || len(uids.Entries) != len(r.Current(mbox.ID)) {
			t.Fatalf("%q: uidlist %+v, %v", mbox.Name(), uids, err)
		}
		entries, err := os.ReadDir(filepath.Join(out, mbox.Dir, "cur"))
		if err != nil {
			t.Fatal(err)
		}
		files := make(map[string]bool)
		for _, entry := range entries {
			name, _, _ := strings.Cut(entry.Name(), ":")
			files[name] = true
		}
		for _, e := range uids.Entries {
			if !files[e.File] {
				t.Errorf("%q: UID %d: no file %s", mbox.Name(), e.UID, e.File)
			}
		}
	}
}

// TestPlainTools unpacks an archive as README.txt says, with zstd and tar, and checks it with sha256sum.
func TestPlainTools(t *testing.T) {
	for _, tool := range []string{"sh", "zstd", "tar", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := filepath.Join(t.TempDir(), "a")
	list := sample(150, 21)
	if _, err := export(dir, nil, list[:100], 7); err != nil {
		t.Fatal(err)
	}
	for i := range list[:100] {
		list[i].uid += 500
	}
	if _, err := export(dir, nil, list, 8); err != nil {
		t.Fatal(err)
	}
	first := make(map[[32]byte]time.Time)
	for _, m := range list {
		if sum := sha256.Sum256(m.body); first[sum].IsZero() {
			first[sum] = m.date
		}
	}
	out := t.TempDir()
	for _, command := range []string{
		`zstd -dc "$A"/segments/*.tar.zst | tar -x --ignore-zeros`,
		`cd "$A" && sha256sum --quiet -c SHA256SUMS`,
		`zstd -qt "$A"/segments/*.tar.zst "$A"/catalog.jsonl.zst`,
		`for s in "$A"/segments/*.tar.zst; do zstd -dc "$s" | tar -t >/dev/null || exit 1; done`,
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir, cmd.Env = out, append(os.Environ(), "A="+dir)
		if said, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(said)) > 0 {
			t.Errorf("%s: %v\n%s", command, err, said)
		}
	}
	compare(t, "unpacked", treeLines(t, out), treeWant(list, func(m mail) time.Time { return first[sha256.Sum256(m.body)] }))
}
