package maildirsource

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mailark/internal/session"
)

// TestConnections: several connections to one tree have the same UIDs, and share what they know of a mailbox as long as
// it does not change.
func TestConnections(t *testing.T) {
	files := map[string]string{"new/": "", ".b/cur/1": "other", ".b/new/": ""}
	for i := range 50 {
		files[fmt.Sprintf("cur/%d.x:2,", i)] = fmt.Sprint(i)
	}
	root := plant(t, files)
	tree := New(Options{Dir: root, State: filepath.Join(t.TempDir(), "uids")})
	if _, err := connect(t, tree).List(t.Context()); err != nil { // as the exporter does before all else
		t.Fatal(err)
	}
	sources := make([]*Source, 4)
	var wg sync.WaitGroup
	for i := range sources {
		sources[i] = connect(t, tree)
		wg.Go(func() {
			s := sources[i]
			for range 3 {
				for _, name := range []string{"b", "INBOX"} {
					if _, err := s.Examine(t.Context(), name); err != nil {
						t.Error(err)
						return
					}
				}
			}
			n := 0
			err := s.FetchBodies(t.Context(), []uint32{1, 50, 99, 7}, make([]int64, 4), func(_ uint32, _ int64, r io.Reader) error {
				n++
				_, err := io.Copy(io.Discard, r)
				return err
			})
			if err != nil || n != 3 {
				t.Errorf("%d bodies, %v", n, err)
			}
		})
	}
	wg.Wait()
	for _, s := range sources[1:] {
		if s.snapshot != sources[0].snapshot {
			t.Error("connections do not share what they know")
		}
	}
	if err := os.Rename(filepath.Join(root, "cur/7.x:2,"), filepath.Join(root, "cur/7.x:2,S")); err != nil {
		t.Fatal(err)
	}
	flags := 0
	if _, err := sources[0].Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	err := sources[0].FetchMeta(t.Context(), 1, func(m session.Meta) error { flags += len(m.Flags); return nil })
	if err != nil || flags != 1 {
		t.Errorf("%d flags, %v", flags, err)
	}
	box := sources[0].box
	for _, s := range sources {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if box.users != 0 || box.shared != nil {
		t.Errorf("all have left, and %d users are in the mailbox", box.users)
	}
}

// TestUnreadable: what the system does not let us read is named with its words, mailbox by mailbox and message by message.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t, "TestUnreadable")
		return
	}
	root := plant(t, map[string]string{
		"cur/1:2,": "one", "cur/2:2,": "two", "new/": "", ".a/cur/1": "x", ".b/cur/1": "x", ".c/cur/1": "x", ".c/dovecot-uidlist": "3 V7 N3\n2 :1\n",
	})
	for _, name := range []string{"cur/2:2,", ".a", ".b/cur", ".c/dovecot-uidlist"} {
		if err := os.Chmod(filepath.Join(root, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	s := connect(t, New(Options{Dir: root}))
	l, err := s.List(t.Context())
	if err != nil || strings.Join(names(l), " ") != "INBOX a b c" {
		t.Errorf("listed %v, %v", l, err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := s.Examine(t.Context(), name); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("open %s: %v", name, err)
		}
	}
	_, messages, refused := show(t, s, "INBOX")
	if len(messages) != 2 || messages[0].octets != "one" || refused == nil || !strings.Contains(refused.Error(), "cur/2:2,: permission denied") {
		t.Errorf("%+v, refused %v", messages, refused)
	}
	if _, messages, err := show(t, s, "c"); err != nil || len(messages) != 1 || messages[0].meta.UID != 1 {
		t.Errorf("%+v, %v", messages, err)
	}
	for _, name := range []string{".a", ".b/cur"} { // so that it can be removed
		if err := os.Chmod(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// asNobody runs a test of this program as a user who may not read everything.
func asNobody(t *testing.T, test string) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "mailark-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, tmp := filepath.Join(dir, "test"), filepath.Join(dir, "tmp")
	for _, step := range []error{
		os.Chmod(dir, 0o755), os.WriteFile(program, self, 0o755), os.Mkdir(tmp, 0o700), os.Chown(tmp, 65534, 65534),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run", "^"+test+"$")
	cmd.Dir, cmd.Env = tmp, append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
