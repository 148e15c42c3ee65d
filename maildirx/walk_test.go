package maildirx

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mailark/internal/durable"
)

func TestWalk(t *testing.T) {
	root := newMaildir(t)
	for _, name := range []string{
		".Work.2016", ".&ZeVnLIqe-", `.v1\2e2`, ".caf\xe9.x", `.a\41`, ".Sent", Dir([]string{strings.Repeat("x", 300)})[len(Root)+1:],
	} {
		if err := Init(durable.New(nil), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := newMaildir(t)
	err := errors.Join(
		os.Mkdir(filepath.Join(root, ".git"), 0o700),           // no Maildir
		os.Mkdir(filepath.Join(root, "visible"), 0o700),        // no Maildir++ name
		os.Mkdir(filepath.Join(root, "visible", "cur"), 0o700), //
		os.WriteFile(filepath.Join(root, ".file"), nil, 0o600),
		os.Symlink(elsewhere, filepath.Join(root, ".link")),
		os.MkdirAll(filepath.Join(root, ".onlynew", "new"), 0o700),
		os.Mkdir(filepath.Join(root, ".trap"), 0o700),
		os.Symlink(filepath.Join(elsewhere, "cur"), filepath.Join(root, ".trap", "cur")),
	)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	var order []string
	if err := Walk(root, func(path []string, dir string) error {
		rel, err := filepath.Rel(root, dir)
		got[rel], order = path, append(order, rel)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		".": {"INBOX"}, ".Work.2016": {"Work", "2016"}, ".&ZeVnLIqe-": {"日本語"}, `.v1\2e2`: {"v1.2"},
		".caf\xe9.x": {"caf\xe9", "x"}, `.a\41`: {`a\41`}, ".Sent": {"Sent"}, ".onlynew": {"onlynew"},
	}
	for dir, path := range got {
		if strings.HasPrefix(dir, ".xxx") {
			if !strings.HasPrefix(path[0], "xxx") || !hashed(path[0]) {
				t.Errorf("long name %q is %q", dir, path)
			}
			delete(got, dir)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Walk found %q, want %q", got, want)
	}
	if !slices.IsSorted(order) || len(order) != len(want)+1 {
		t.Errorf("Walk went in the order %q", order)
	}
}

func TestWalkErrors(t *testing.T) {
	if err := Walk(filepath.Join(t.TempDir(), "missing"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Walk of nothing: %v", err)
	}
	root, calls := newMaildir(t), 0
	if err := Init(durable.New(nil), filepath.Join(root, ".a")); err != nil {
		t.Fatal(err)
	}
	for stop := 1; stop <= 2; stop++ {
		calls = 0
		err := Walk(root, func([]string, string) error {
			if calls++; calls == stop {
				return errFull
			}
			return nil
		})
		if !errors.Is(err, errFull) || calls != stop {
			t.Errorf("Walk went on after an error: %v, %d calls", err, calls)
		}
	}
}

func TestMessages(t *testing.T) {
	dir := newMaildir(t)
	for _, path := range []string{
		"cur/2.b,S=1:2,S", "cur/1.a;2,F", "new/3.c", "new/4.d:2,S", "cur/.hidden", "cur/:2,S", "tmp/5.e", "dovecot-uidlist",
	} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		os.Symlink("/etc/hostname", filepath.Join(dir, "cur", "6.f:2,")),
		os.Mkdir(filepath.Join(dir, "new", "7.g"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Messages(dir)
	want := []File{
		{filepath.Join(dir, "cur/1.a;2,F"), Name{"1.a", -1, -1, "F"}},
		{filepath.Join(dir, "cur/2.b,S=1:2,S"), Name{"2.b", 1, -1, "S"}},
		{filepath.Join(dir, "new/3.c"), Name{"3.c", -1, -1, ""}},
		{filepath.Join(dir, "new/4.d:2,S"), Name{"4.d", -1, -1, "S"}},
	}
	if !reflect.DeepEqual(files, want) {
		t.Errorf("Messages = %+v, want %+v", files, want)
	}
	for _, name := range []string{"6.f", "7.g", ":2,S"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
	if !errors.Is(err, ErrName) {
		t.Errorf("error %v is no ErrName", err)
	}
}

func TestMessagesOfNoMaildir(t *testing.T) {
	dir := t.TempDir()
	if files, err := Messages(dir); err != nil || files != nil {
		t.Errorf("Messages of an empty directory = %v, %v", files, err)
	}
	if err := os.Symlink(newMaildir(t), filepath.Join(dir, "cur")); err != nil {
		t.Fatal(err)
	}
	if _, err := Messages(dir); err == nil {
		t.Error("Messages follows a symbolic link")
	}
}
