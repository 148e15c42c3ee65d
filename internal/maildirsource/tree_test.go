package maildirsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/internal/session"
)

// day is the modification time of all files of a test tree.
var day = time.Date(2019, 5, 6, 7, 8, 9, 500, time.UTC)

// plant makes files by their paths below a new directory; a path that ends in "/" is a directory.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, files)
	return root
}

func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if dir == path {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, day, day); err != nil {
			t.Fatal(err)
		}
	}
	age(t, root)
}

// age makes all directories look as if nothing had changed in them for long.
func age(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chtimes(path, day, day)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, tree *Tree) *Source {
	t.Helper()
	s, err := tree.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// seen is one message as the exporter sees it.
type seen struct {
	file   string
	meta   session.Meta
	octets string
}

// show reads a whole mailbox. The refusals are those of FetchBodies.
func show(t *testing.T, s *Source, mailbox string) (sel *session.Selected, messages []seen, refusals error) {
	t.Helper()
	sel, err := s.Examine(t.Context(), mailbox)
	if err != nil {
		t.Fatalf("open %q: %v", mailbox, err)
	}
	at := map[uint32]int{}
	var uids []uint32
	err = s.FetchMeta(t.Context(), 1, func(m session.Meta) error {
		at[m.UID] = len(messages)
		uids = append(uids, m.UID)
		messages = append(messages, seen{file: s.messages[len(messages)].path(), meta: m})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	refusals = s.FetchBodies(t.Context(), uids, make([]int64, len(uids)), func(uid uint32, size int64, r io.Reader) error {
		octets, err := io.ReadAll(r)
		if err != nil || int64(len(octets)) != size {
			t.Errorf("UID %d: %d octets, announced %d: %v", uid, len(octets), size, err)
		}
		messages[at[uid]].octets = string(octets)
		return nil
	})
	if int(sel.Exists) != len(messages) || len(at) != len(messages) {
		t.Errorf("%q: EXISTS %d, %d messages, %d UIDs", mailbox, sel.Exists, len(messages), len(at))
	}
	return sel, messages, refusals
}

func names(l *session.Listing) (all []string) {
	for _, m := range l.Mailboxes {
		name := m.Name
		if m.Subscribed {
			name += "+"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestLayouts(t *testing.T) {
	box := func(files map[string]string, dirs ...string) map[string]string {
		for _, d := range dirs {
			for _, sub := range []string{"cur/", "new/", "tmp/"} {
				files[d+sub] = ""
			}
		}
		return files
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
		known bool
	}{
		"Maildir++": {box(map[string]string{"subscriptions": "V\t2\n\nWork\t2016\n&ZeVnLIqe-\n", ".empty/x": ""},
			"", ".Work/", ".Work.2016/", ".&ZeVnLIqe-/", `.a\2eb.c/`),
			"INBOX Work Work/2016+ a.b/c 日本語+", true},
		"Maildir++, subscriptions of version 1": {box(map[string]string{"subscriptions": "INBOX\nWork.2016\n"}, "", ".Work.2016/"),
			"INBOX+ Work/2016+", true},
		"Courier": {box(map[string]string{"courierimapsubscribed": "INBOX\nINBOX.Sent\n"}, "", ".Sent/", ".Trash/"),
			"INBOX+ Sent+ Trash", true},
		"LAYOUT=fs": {box(map[string]string{"subscriptions": "Work/v1.2\nnone\n"}, "", "Work/", "Work/v1.2/", "Work/&ZeVnLIqe-/"),
			"INBOX Work Work/v1.2+ Work/日本語", true},
		"mbsync, SubFolders Legacy": {box(map[string]string{}, "INBOX/", "Work/", "Work/.2016/", "Work/.2016/.May/"),
			"INBOX Work Work/2016 Work/2016/May", false},
		"mutt: a plain directory of Maildirs": {box(map[string]string{"mbox": "From x"}, "inbox/", "lists/", "sent-2019/", "new/"),
			"INBOX lists new sent-2019", false},
		"UTF-8 as it is":   {box(map[string]string{}, ".日本語.資料/", "Größe/"), "Größe 日本語/資料", false},
		"not all of three": {map[string]string{"cur/1": "", ".a/new/": "", ".a/tmp/": "", ".b/new/": "", ".c/tmp/": ""}, "INBOX a", false},
		"two names that mean the same": {box(map[string]string{}, ".&ZeVnLIqe-/", ".日本語/", "", "inbox/"),
			`INBOX inbox (written inbox) 日本語 日本語 (written .\u65e5\u672c\u8a9e)`, false},
		"a slash in a level":          {box(map[string]string{}, `.a\2fb.c/`), "a/b.c", false},
		"no UTF-8":                    {box(map[string]string{}, ".caf\xe9/"), "café", false},
		"a shift of UTF-7 in nothing": {box(map[string]string{}, ".R&D/", ".&Jjo!/"), "&Jjo! R&D", false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := connect(t, New(Options{Dir: plant(t, test.files)})).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names(l), " "); got != test.want {
				t.Errorf("listed %q, want %q", got, test.want)
			}
			if l.SubscriptionsKnown != test.known || l.RolesKnown || !l.Answered {
				t.Errorf("%+v, want subscriptions known: %v, roles not", l, test.known)
			}
			raws := map[string]bool{}
			for _, m := range l.Mailboxes {
				if raws[m.Raw] || strings.Contains(m.Raw, "\x00") {
					t.Errorf("raw name %q", m.Raw)
				}
				raws[m.Raw] = true
			}
		})
	}
}

func TestNoMaildir(t *testing.T) {
	file := filepath.Join(plant(t, map[string]string{"file": ""}), "file")
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), file} {
		if _, err := New(Options{Dir: dir}).Connect(t.Context()); !isNoMaildir(err) {
			t.Errorf("connect to %s: %v", dir, err)
		}
	}
	s := connect(t, New(Options{Dir: plant(t, map[string]string{"a/b/c": ""})}))
	if _, err := s.List(t.Context()); !isNoMaildir(err) {
		t.Errorf("list a tree without mail: %v", err)
	}
}

// TestSymlinks: what lies behind a symbolic link is named and not read, wherever it points.
func TestSymlinks(t *testing.T) {
	outside := plant(t, map[string]string{"cur/1:2,": "secret", "new/": "", "tmp/": ""})
	root := plant(t, map[string]string{"cur/ok:2,": "fine", "new/": "", ".a/cur/1": "x", ".linkcur/new/": "", ".linkcur/tmp/": ""})
	for name, target := range map[string]string{
		".out": outside, ".in": ".a", ".linkcur/cur": filepath.Join(outside, "cur"), "cur/link:2,": filepath.Join(outside, "cur", "1:2,"),
		"dangling": "nowhere", "cur/inside": "ok:2,",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Skip(err)
		}
	}
	age(t, root)
	s := connect(t, New(Options{Dir: root}))
	l, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(l), " "); got != "INBOX a in linkcur out" {
		t.Errorf("listed %q", got)
	}
	for _, name := range []string{"in", "linkcur", "out"} {
		_, err := s.Examine(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("open %s: %v", name, err)
		}
	}
	_, messages, refused := show(t, s, "INBOX")
	if refused == nil || strings.Count(refused.Error(), "symbolic link") != 4 { // reason and words, of two
		t.Errorf("refused: %v", refused)
	}
	for _, m := range messages {
		if want := map[string]string{"cur/ok:2,": "fine"}[m.file]; m.octets != want {
			t.Errorf("%s has %q, want %q", m.file, m.octets, want)
		}
	}
}

// TestUntouched demands that reading changes nothing: names, octets, modes, times of modification.
func TestUntouched(t *testing.T) {
	root := plant(t, map[string]string{
		"cur/1:2,S": "a\n", "new/2": "b\n", "tmp/3": "c", ".Work/cur/4,U=7:2,": "d", ".Work/.uidvalidity": "5\n9\n", ".Work/new/": "",
		"dovecot-uidlist": "3 V1 N9 G00112233445566778899aabbccddeeff\n4 :1\n", "dovecot-keywords": "0 $Junk\n",
	})
	before := picture(t, root)
	tree := New(Options{Dir: root, State: filepath.Join(t.TempDir(), "uids")})
	s := connect(t, tree)
	for _, mailbox := range []string{"INBOX", "Work"} {
		if _, _, err := show(t, s, mailbox); err != nil {
			t.Error(err)
		}
	}
	if after := picture(t, root); after != before {
		t.Errorf("the tree has changed:\n%s\nwas\n%s", after, before)
	}
}

func picture(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %v", path, info.Mode(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			octets, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", octets)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDeepTree: what lies deeper than we go is named, not passed over, and hides nothing else.
func TestDeepTree(t *testing.T) {
	root := plant(t, map[string]string{strings.Repeat("d/", maxLevels+20) + "cur/1": "deep", "cur/1": "x", "e/cur/1": "y"})
	s := connect(t, New(Options{Dir: root}))
	l, err := s.List(t.Context())
	if err != nil || len(l.Mailboxes) != 3 {
		t.Fatalf("%d mailboxes, %v", len(l.Mailboxes), err)
	}
	for _, m := range l.Mailboxes {
		_, err := s.Examine(t.Context(), m.Name)
		if tooDeep := len(m.Name) > 100; tooDeep != errors.Is(err, errTooDeep) {
			t.Errorf("open %.20q…: %v", m.Name, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	s := connect(t, New(Options{Dir: plant(t, map[string]string{"cur/1": "x"})}))
	if _, _, err := show(t, s, "INBOX"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, listErr := s.List(ctx)
	bodiesErr := s.FetchBodies(ctx, []uint32{1}, []int64{1}, func(uint32, int64, io.Reader) error { return nil })
	metaErr := s.FetchMeta(ctx, 1, func(session.Meta) error { return nil })
	_, examineErr := s.Examine(ctx, "INBOX")
	for what, err := range map[string]error{"list": listErr, "bodies": bodiesErr, "meta": metaErr, "examine": examineErr} {
		if !isStopped(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func lines(text ...string) string {
	var b bytes.Buffer
	for _, s := range text {
		b.WriteString(s + "\n")
	}
	return b.String()
}
