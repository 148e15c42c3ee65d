package maildirsource

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailark/internal/session"
)

func isNoMaildir(err error) bool { return errors.Is(err, ErrNoMaildir) }

func isStopped(err error) bool {
	var remote *session.Error
	return errors.As(err, &remote) && remote.Scope == session.ScopeSession && errors.Is(err, context.Canceled)
}

// uidsIn are the UIDs of a mailbox by file name without flags.
func uidsIn(t *testing.T, tree *Tree, mailbox string) (validity uint32, uids map[string]uint32) {
	t.Helper()
	sel, messages, err := show(t, connect(t, tree), mailbox)
	if err != nil {
		t.Error(err)
	}
	uids = map[string]uint32{}
	for _, m := range messages {
		name := filepath.Base(m.file)
		if cut, _, ok := strings.Cut(name, ":"); ok && uids[cut] == 0 {
			name = cut
		}
		uids[name] = m.meta.UID
		if m.meta.UID >= sel.UIDNext {
			t.Errorf("UID %d, UIDNEXT %d", m.meta.UID, sel.UIDNext)
		}
	}
	return sel.UIDValidity, uids
}

func TestUIDsOfTheTree(t *testing.T) {
	for name, test := range map[string]struct {
		files    map[string]string
		validity uint32 // 0: one of ours
		want     map[string]uint32
	}{
		"dovecot-uidlist, version 3": {
			map[string]string{
				"dovecot-uidlist": "3 V77 N9 G00112233445566778899aabbccddeeff\n2 W9 :b,S=1\n5 :a\n8 :gone\n",
				"cur/a:2,S":       "a", "cur/b,S=1:2,F": "b", "new/c": "c",
			}, 77, map[string]uint32{"a": 5, "b,S=1": 2, "c": firstOwn},
		},
		"version 1": {
			map[string]string{"dovecot-uidlist": "1 77 9\n2 b\n5 a:2,S\n", "cur/a:2,": "a", "cur/b:2,": "b"},
			77, map[string]uint32{"a": 5, "b": 2},
		},
		"a line that is just being added": {
			map[string]string{"dovecot-uidlist": "3 V77 N9\n2 :b\n5 :a", "cur/a:2,": "a", "cur/b:2,": "b"},
			77, map[string]uint32{"a": firstOwn, "b": 2},
		},
		"courierimapuiddb": {
			map[string]string{"courierimapuiddb": "1 1234 9 ff00\n2 b,S=1\n5 a\n", "cur/a:2,": "a", "cur/b,S=1:2,": "b"},
			1234, map[string]uint32{"a": 5, "b,S=1": 2},
		},
		"mbsync": {
			map[string]string{".uidvalidity": "55\n9\n", "cur/a,U=4:2,": "a", "cur/b,U=9:2,S": "b", "new/c": "c"},
			55, map[string]uint32{"a,U=4": 4, "b,U=9": 9, "c": firstOwn},
		},
		"mbsync, a UID twice": {
			map[string]string{".uidvalidity": "55\n9\n", "cur/a,U=4:2,": "a", "cur/b,U=4:2,": "b"},
			55, map[string]uint32{"a,U=4": 4, "b,U=4": firstOwn},
		},
		"OfflineIMAP: no UIDVALIDITY": {
			map[string]string{"cur/2_0.x,U=44,FMD5=ab:2,": "a", "cur/1_0.x,U=45,FMD5=ab:2,": "b"},
			0, map[string]uint32{"1_0.x,U=45,FMD5=ab": 1, "2_0.x,U=44,FMD5=ab": 2},
		},
		"none": {map[string]string{"cur/b:2,": "b", "new/a": "a"}, 0, map[string]uint32{"a": 1, "b": 2}},
		"a list that makes no sense": {
			map[string]string{"dovecot-uidlist": "3 V77 N9\n5 :a\n2 :b\n", "cur/a:2,": "a"}, 0, map[string]uint32{"a": 1},
		},
		"a list with UIDs where ours are": {
			map[string]string{"dovecot-uidlist": "3 V77 N9\n3000000000 :a\n", "cur/a:2,": "a"}, 0, map[string]uint32{"a": 1},
		},
		"files that differ in the flags alone": {
			map[string]string{"dovecot-uidlist": "3 V77 N9\n5 :a\n", "cur/a:2,": "a", "cur/a:2,S": "A"},
			77, map[string]uint32{"a": firstOwn, "a:2,S": firstOwn + 1},
		},
		"names in no form": {
			map[string]string{"cur/:2,S": "x", "cur/,S=1": "y", "cur/a\nb\x01": "z", "cur/.hidden": "", "cur/dir/": ""},
			0, map[string]uint32{",S=1": 1, "": 2, "a\nb\x01": 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.files["new/"], test.files["cur/"] = "", ""
			root := plant(t, test.files)
			state := filepath.Join(t.TempDir(), "uids")
			validity, got := uidsIn(t, New(Options{Dir: root, State: state}), "INBOX")
			if !maps.Equal(got, test.want) {
				t.Errorf("UIDs %v, want %v", got, test.want)
			}
			if validity != test.validity && test.validity != 0 || validity == 0 {
				t.Errorf("UIDVALIDITY %d, want %d", validity, test.validity)
			}
			later := func() time.Time { return time.Now().Add(time.Hour) }
			again, same := uidsIn(t, New(Options{Dir: root, State: state, Now: later}), "INBOX")
			if again != validity || !maps.Equal(got, same) {
				t.Errorf("the second time UIDVALIDITY %d and %v, want %d and %v", again, same, validity, got)
			}
		})
	}
}

// TestUIDsStay follows a mailbox whose UIDs are ours through what happens to it.
func TestUIDsStay(t *testing.T) {
	root := plant(t, map[string]string{"cur/1.a:2,": "one", "cur/2.b:2,": "two", "new/3.c": "three", "tmp/": ""})
	options := Options{Dir: root, State: filepath.Join(t.TempDir(), "uids"), Now: func() time.Time { return day }}
	first, _ := uidsIn(t, New(options), "INBOX")
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
			t.Fatal(err)
		}
		age(t, root)
	}
	check := func(what string, want map[string]uint32) {
		t.Helper()
		if validity, got := uidsIn(t, New(options), "INBOX"); validity != first || !maps.Equal(got, want) {
			t.Errorf("%s: UIDVALIDITY %d, UIDs %v, want %d, %v", what, validity, got, first, want)
		}
	}
	check("nothing", map[string]uint32{"1.a": 1, "2.b": 2, "3.c": 3})
	rename("cur/1.a:2,", "cur/1.a:2,RS")
	rename("new/3.c", "cur/3.c:2,S")
	check("flags", map[string]uint32{"1.a": 1, "2.b": 2, "3.c": 3})
	rename("cur/2.b:2,", "cur/2.b,S=3,W=3:2,")
	rename("cur/3.c:2,S", "cur/3.c,U=17:2,S")
	check("fields", map[string]uint32{"1.a": 1, "2.b,S=3,W=3": 2, "3.c,U=17": 3})
	if err := os.Remove(filepath.Join(root, "cur/3.c,U=17:2,S")); err != nil {
		t.Fatal(err)
	}
	put(t, root, map[string]string{"cur/0.d:2,": "four"})
	check("one gone and one new", map[string]uint32{"1.a": 1, "2.b,S=3,W=3": 2, "0.d": 4})
	put(t, root, map[string]string{"cur/0.d:2,": "another with the same name"})
	check("a name used again", map[string]uint32{"1.a": 1, "2.b,S=3,W=3": 2, "0.d": 5})

	// What was written down is older than the archive: no UID is given to another message.
	options.Known = func(string) (uint32, uint32) { return first, 40 }
	put(t, root, map[string]string{"cur/9:2,": "nine"})
	check("an old list", map[string]uint32{"1.a": 1, "2.b,S=3,W=3": 2, "0.d": 5, "9": 41})

	// It is lost: UIDVALIDITY must be another, also within the same second.
	if err := os.RemoveAll(options.State); err != nil {
		t.Fatal(err)
	}
	if validity, _ := uidsIn(t, New(options), "INBOX"); validity == first {
		t.Error("the list was lost and UIDVALIDITY is the same")
	}
}

// TestMailProgramComesLater: a message that had a UID of ours keeps it when the mail program has given it another, and
// that one is given to nobody else.
func TestMailProgramComesLater(t *testing.T) {
	root := plant(t, map[string]string{"dovecot-uidlist": "3 V7 N3\n2 :a\n", "cur/a:2,": "a", "new/b": "b"})
	options := Options{Dir: root, State: filepath.Join(t.TempDir(), "uids")}
	if _, got := uidsIn(t, New(options), "INBOX"); got["b"] != firstOwn {
		t.Fatalf("UIDs %v", got)
	}
	put(t, root, map[string]string{"dovecot-uidlist": "3 V7 N5\n2 :a\n3 :b\n4 :c\n", "new/c": "c"})
	if _, got := uidsIn(t, New(options), "INBOX"); !maps.Equal(got, map[string]uint32{"a": 2, "b": firstOwn, "c": 4}) {
		t.Errorf("UIDs %v", got)
	}
	put(t, root, map[string]string{"dovecot-uidlist": "3 V8 N5\n1 :a\n2 :b\n3 :c\n"})
	if validity, got := uidsIn(t, New(options), "INBOX"); validity != 8 || !maps.Equal(got, map[string]uint32{"a": 1, "b": 2, "c": 3}) {
		t.Errorf("after a new UIDVALIDITY %d: UIDs %v", validity, got)
	}
}

// TestMovedWithItsUID: mbsync's UIDs are in the names, so that one moved by another program brings that of another
// mailbox along. It must not pass for the message that had it here.
func TestMovedWithItsUID(t *testing.T) {
	root := plant(t, map[string]string{".uidvalidity": "55\n9\n", "cur/a,U=4:2,": "a", "new/": ""})
	options := Options{Dir: root, State: filepath.Join(t.TempDir(), "uids")}
	uidsIn(t, New(options), "INBOX")
	if err := os.Remove(filepath.Join(root, "cur/a,U=4:2,")); err != nil {
		t.Fatal(err)
	}
	put(t, root, map[string]string{"cur/z,U=4:2,": "z"})
	if _, got := uidsIn(t, New(options), "INBOX"); !maps.Equal(got, map[string]uint32{"z,U=4": firstOwn}) {
		t.Errorf("UIDs %v", got)
	}
}

// TestDryRunWritesNothing: the UIDs of a dry run, and of an archive that is not there, are not kept.
func TestDryRunWritesNothing(t *testing.T) {
	root := plant(t, map[string]string{"cur/a:2,": "a", "new/": ""})
	archive := t.TempDir()
	uidsIn(t, New(Options{Dir: root, State: filepath.Join(archive, "uids"), ReadOnly: true}), "INBOX")
	uidsIn(t, New(Options{Dir: root, State: filepath.Join(archive, "none", "uids")}), "INBOX")
	if entries, err := os.ReadDir(archive); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func FuzzParseGiven(f *testing.F) {
	f.Add("1 7 9 own \"INBOX\"\n1 \"a/1\"\n8 \"b\\x00/2\"\n.\n")
	f.Add("1 7 2147483649 tree \"INBOX\"\n2147483648 \"a/1\"\n.\n")
	f.Add("1 7 9 own \"INBOX\"\n1 \"a\"\n1 \"b\"\n.\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := parseGiven(strings.NewReader(text), "INBOX")
		if err != nil {
			return
		}
		var b strings.Builder
		if err := g.write(&b, "INBOX"); err != nil {
			t.Fatal(err)
		}
		again, err := parseGiven(strings.NewReader(b.String()), "INBOX")
		if err != nil || again.validity != g.validity || again.next != g.next || again.own != g.own || !maps.Equal(again.byKey, g.byKey) {
			t.Errorf("%q was written as %q: %v", text, b.String(), err)
		}
		for k, uid := range g.byKey {
			if uid >= g.next && (g.own || uid >= firstOwn) || !g.byUID[uid] {
				t.Errorf("%q has UID %d, UIDNEXT %d", k, uid, g.next)
			}
		}
	})
}

func TestParseGivenRefuses(t *testing.T) {
	good := lines(`1 7 9 own "INBOX"`, `1 "a/1"`, `8 "b/2"`, `.`)
	if _, err := parseGiven(strings.NewReader(good), "INBOX"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "1 7 9 own", strings.TrimSuffix(good, ".\n"), good + "x\n", strings.Replace(good, `8 "b`, `1 "b`, 1),
		strings.Replace(good, `"b/2"`, `"a/1"`, 1), strings.Replace(good, `8 "b`, `9 "b`, 1), strings.Replace(good, "own", "our", 1),
		strings.Replace(good, "INBOX", "Work", 1), strings.Replace(good, "1 7", "1 0", 1), strings.Replace(good, `"b/2"`, `b/2`, 1),
		strings.Replace(good, "b/2", strings.Repeat("b", maxNumberLine), 1),
	} {
		if g, err := parseGiven(strings.NewReader(bad), "INBOX"); err == nil {
			t.Errorf("%.200q was taken: %+v", bad, g)
		}
	}
}
