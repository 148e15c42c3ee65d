package maildirx

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestDir(t *testing.T) {
	for _, tc := range []struct {
		path []string
		dir  string
	}{
		{[]string{"INBOX"}, "Maildir"},
		{[]string{"Work"}, "Maildir/.Work"},
		{[]string{"Work", "2016"}, "Maildir/.Work.2016"},
		{[]string{"INBOX", "x"}, "Maildir/.INBOX.x"},
		{[]string{"inbox", "x"}, "Maildir/.inbox.x"},
		{[]string{"INBOX", "INBOX"}, "Maildir/.INBOX.INBOX"},
		{[]string{"日本語", "台北"}, "Maildir/.&ZeVnLIqe-.&U,BTFw-"},
		{[]string{"v1.2"}, `Maildir/.v1\2e2`},
		{[]string{"..", "."}, `Maildir/.\2e\2e.\2e`},
		{[]string{"a/b", `c\d`}, `Maildir/.a\2fb.c\5cd`},
		{[]string{"~a~", "~", "b~"}, `Maildir/.\7ea~.\7e.b~`},
		{[]string{`\2e`}, `Maildir/.\5c2e`},
		{[]string{"R&D"}, "Maildir/.R&-D"},
		{[]string{"cur"}, "Maildir/.cur"},
		{[]string{" ", "x "}, "Maildir/. .x "},
		{[]string{""}, "Maildir/.&7wE-"},
		{[]string{"a", "", "b"}, "Maildir/.a.&7wE-.b"},
		{[]string{"a\x00b"}, "Maildir/.a&7wA-b"},
		{[]string{"caf\xe9"}, "Maildir/.caf&7+k-"},
		{[]string{"\uef01"}, "Maildir/.&7+7vvO+B-"},
		{[]string{"\x01"}, "Maildir/.&AAE-"},
		{[]string{"~0123456789abcdef"}, `Maildir/.\7e0123456789abcdef`},
		{[]string{strings.Repeat("x", 199)}, "Maildir/." + strings.Repeat("x", 199)},
	} {
		if got := Dir(tc.path); got != tc.dir {
			t.Errorf("Dir(%q) = %q, want %q", tc.path, got, tc.dir)
		}
		path, exact, err := ParseDir(tc.dir)
		if err != nil || !exact || !slices.Equal(path, tc.path) {
			t.Errorf("ParseDir(%q) = %q, %v, %v, want %q", tc.dir, path, exact, err, tc.path)
		}
	}
}

func TestDirInboxWithoutCase(t *testing.T) {
	for _, name := range []string{"inbox", "Inbox", "iNBOX"} {
		if got := Dir([]string{name}); got != Root {
			t.Errorf("Dir(%q) = %q, want %q", name, got, Root)
		}
	}
}

func TestDirShortens(t *testing.T) {
	x200 := strings.Repeat("x", 200)
	for _, tc := range []struct {
		path   []string
		prefix string // of the directory, before the mark
	}{
		{[]string{x200}, "Maildir/." + x200[:182]},
		{[]string{x200 + "y"}, "Maildir/." + x200[:182]},
		{[]string{"a", x200}, "Maildir/.a." + x200[:180]},
		{[]string{x200[:182], "b", "c", x200}, "Maildir/." + x200[:182]},
		{[]string{x200[:180], "", x200}, "Maildir/." + x200[:180]},
		{[]string{strings.Repeat("語", 200)}, "Maildir/.&" + strings.Repeat("ip6Knoqe", 21)},
		{make([]string, 1000), "Maildir/.&7wE-.&7wE-.&7wE-"},
		{[]string{"x~0123456789abcdef"}, "Maildir/.x~0123456789abcdef~"},
	} {
		dir := Dir(tc.path)
		name := strings.TrimPrefix(dir, Root+"/")
		if len(name) > maxDirName || !hashed(name) || !strings.HasPrefix(dir, tc.prefix) {
			t.Errorf("Dir(%.40q) = %q (%d octets), want %q and a hash", tc.path, dir, len(name), tc.prefix)
		}
		if path, exact, err := ParseDir(dir); err != nil || exact || len(path) == 0 {
			t.Errorf("ParseDir(%q) = %q, %v, %v, want an inexact path", dir, path, exact, err)
		}
	}
	if Dir([]string{x200}) == Dir([]string{x200 + "y"}) {
		t.Error("two long names have one directory")
	}
}

func TestParseDirRefuses(t *testing.T) {
	for _, dir := range []string{
		"", "Maildir/", "Maildir/.", "Maildir/..", "Maildir/x", "maildir/.x", "Maildir/.a/../b", "../Maildir/.x",
		"Maildir/.a..b", "Maildir/.a.", "Maildir/.INBOX", "Maildir/.inbox", `Maildir/.a\`, `Maildir/.a\2`,
		`Maildir/.a\2E`, `Maildir/.a\41`, `Maildir/.\zz`, `Maildir/.x\ff`, `Maildir/.x\00`, "Maildir/.~a", "Maildir/.a.~b",
		`Maildir/.a\7e`, "Maildir/.&ZeVnLIqe", "Maildir/.caf\xe9", "Maildir/.&7wE-a", "Maildir/.&78PvqQ-",
		"Maildir/.&7wI-", "Maildir/.~0123456789abcdef", "Maildir/." + strings.Repeat("x", 200), "Maildir/.a\x00",
	} {
		if path, exact, err := ParseDir(dir); !errors.Is(err, ErrMailboxDir) {
			t.Errorf("ParseDir(%q) = %q, %v, %v, want ErrMailboxDir", dir, path, exact, err)
		}
	}
}

func FuzzDir(f *testing.F) {
	const cut = "|" // between the levels of the fuzzer's paths
	for _, seed := range [][2]string{
		{"INBOX", "inbox"}, {"Work|2016", "Work.2016"}, {"a.b", `a\2eb`}, {"", "|"}, {"日本語", "&ZeVnLIqe-"},
		{"~a", `\7ea`}, {"\xff", "\uefff"}, {"\x00", "\uef00"}, {"\uef01", ""}, {"é", "\xc3|\xa9"},
		{strings.Repeat("x", 250), strings.Repeat("語", 99)}, {"Maildir/.a~0123456789abcdef", "a~0123456789abcdef"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		p, q := strings.Split(a, cut), strings.Split(b, cut)
		checkDir(t, p)
		sameInbox := len(p) == 1 && len(q) == 1 && strings.EqualFold(a, inbox) && strings.EqualFold(b, inbox)
		if Dir(p) == Dir(q) && !slices.Equal(p, q) && !sameInbox {
			t.Fatalf("%q and %q both have %q", p, q, Dir(p))
		}
		if path, exact, err := ParseDir(a); err == nil && exact && Dir(path) != a {
			t.Fatalf("ParseDir accepts %q, a second form of %q", a, Dir(path))
		}
		if path, _, err := ParseDir(Root + "/." + a); err == nil {
			checkDir(t, path)
		}
	})
}

func checkDir(t *testing.T, path []string) {
	dir := Dir(path)
	name, below := strings.CutPrefix(dir, Root+"/.")
	if !below && dir != Root || len(name) >= maxDirName || strings.ContainsAny(name, "/\x00") ||
		strings.Contains(dir, "..") {
		t.Fatalf("Dir(%q) = %q", path, dir)
	}
	for _, c := range []byte(dir) {
		if c < ' ' || c > '~' {
			t.Fatalf("Dir(%q) = %q holds octet %#x", path, dir, c)
		}
	}
	back, exact, err := ParseDir(dir)
	switch {
	case err != nil:
		t.Fatalf("ParseDir(Dir(%q)): %v", path, err)
	case dir == Root:
		if len(path) != 1 || !strings.EqualFold(path[0], inbox) {
			t.Fatalf("Dir(%q) is the inbox", path)
		}
	case exact != !hashed(dir):
		t.Fatalf("ParseDir(%q) says exact %v", dir, exact)
	case !exact && name == dirName(path)[1:]:
		t.Fatalf("Dir(%q) = %q is not hashed but looks so", path, dir)
	case exact && !slices.Equal(back, path):
		t.Fatalf("%q came back as %q", path, back)
	case !exact && len(dirName(path)) <= maxDirName && !hashed(dirName(path)):
		t.Fatalf("Dir(%q) = %q is shortened for nothing", path, dir)
	}
}
