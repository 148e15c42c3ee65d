package maildirsource

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"mailark/internal/session"
)

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s) // to memory
	_ = w.Close()
	return b.String()
}

func zstandard(s string) string {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

// bzipped is "Subject: x\n\nhello\n" by bzip2 1.0.
const bzipped = "QlpoOTFBWSZTWZrCqgAAAALbgAAQQAAAEAgAGlSGQCAAIo09IG2qEAAAqE4PNqkWA+LuSKcKEhNYVUAA"

func TestOctets(t *testing.T) {
	text := "Subject: x\n\nhello\r\nworld\rx\n"
	crlf := "Subject: x\r\n\r\nhello\r\nworld\rx\r\n"
	large := strings.Repeat("0123456789abcdef\n\r\n\r", 1<<18)
	largeCRLF := strings.Repeat("0123456789abcdef\r\n\r\n\r", 1<<18)
	for name, test := range map[string]struct {
		file, octets string
		want         string
		refused      string
	}{
		"LF":                        {"a:2,", text, crlf, ""},
		"nothing":                   {"a:2,", "", "", ""},
		"NUL, 8-bit, no newline":    {"a", "\x00\xff\nx", "\x00\xff\r\nx", ""},
		"large":                     {"a", large, largeCRLF, ""},
		"S= and W= lie":             {"a,S=3,W=4", text, crlf, ""},
		"gzip":                      {fmt.Sprintf("a,S=%d:2,", len(text)), gzipped(text), crlf, ""},
		"gzip, large":               {fmt.Sprintf("a,S=%d:2,", len(large)), gzipped(large), largeCRLF, ""},
		"zstd":                      {fmt.Sprintf("a,S=%d:2,", len(text)), zstandard(text), crlf, ""},
		"zstd, no size":             {"a:2,", zstandard(text), crlf, ""},
		"gzip, other size":          {"a,S=5:2,", gzipped(text), "", "compressed with gzip and damaged"},
		"gzip, cut":                 {fmt.Sprintf("a,S=%d:2,", len(text)), gzipped(text)[:30], "", "compressed with gzip and damaged"},
		"gzip, cut, no size":        {"a:2,", gzipped(text)[:30], "", "compressed with gzip, as it seems"},
		"begins like gzip, is not":  {"a,S=8:2,", "\x1f\x8b more\n", "\x1f\x8b more\r\n", ""},
		"begins like gzip, no size": {"a:2,", "\x1f\x8b more\n", "", "compressed with gzip, as it seems"},
		"xz":                        {"a,S=99:2,", "\xfd7zXZ\x00....", "", "compressed with xz"},
		"encrypted":                 {"a,S=99:2,", "CRYPTED\x03\x07\x02\n....", "", "encrypted by Dovecot"},
		"encrypted, no size":        {"a", "CRYPTED\x03\x07\x02\n....", "", "encrypted by Dovecot"},
		"a bomb":                    {"a,S=9:2,", gzipped(strings.Repeat("\x00", 50<<20)), "", "compressed with gzip and damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, map[string]string{"cur/" + test.file: test.octets, "new/": ""})
			_, messages, err := show(t, connect(t, New(Options{Dir: root})), "INBOX")
			if len(messages) != 1 || messages[0].octets != test.want {
				t.Errorf("got %.80q, want %.80q", messages[0].octets, test.want)
			}
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("refused: %v, want %q", err, test.refused)
			}
			var remote *session.Error
			if err != nil && (!errors.As(err, &remote) || remote.Scope != session.ScopeMessage || remote.Server == "") {
				t.Errorf("refused by %#v", err)
			}
			if m := messages[0].meta; !m.Estimate || m.InternalDate.Unix() != day.Unix() || m.InternalDate.Nanosecond() != 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestCompressedToItsSize: a short message may be as long compressed as it was.
func TestCompressedToItsSize(t *testing.T) {
	for n := range 100 {
		text := "Subject: x\n\n" + strings.Repeat("a", n)
		var b bytes.Buffer
		w := stdgzip.NewWriter(&b)
		_, _ = io.WriteString(w, text) // to memory
		_ = w.Close()
		file := b.String()
		if len(file) != len(text) {
			continue
		}
		root := plant(t, map[string]string{fmt.Sprintf("cur/a,S=%d:2,", len(text)): file, "new/": ""})
		_, messages, refused := show(t, connect(t, New(Options{Dir: root})), "INBOX")
		if want := strings.ReplaceAll(text, "\n", "\r\n"); refused != nil || messages[0].octets != want {
			t.Errorf("got %q, %v, want %q", messages[0].octets, refused, want)
		}
		return
	}
	t.Fatal("no text is as long when it is compressed")
}

func TestBzip2(t *testing.T) {
	octets, err := base64.StdEncoding.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	root := plant(t, map[string]string{"cur/a,S=18:2,": string(octets), "new/": ""})
	_, messages, refused := show(t, connect(t, New(Options{Dir: root})), "INBOX")
	if refused != nil || messages[0].octets != "Subject: x\r\n\r\nhello\r\n" {
		t.Errorf("got %q, %v", messages[0].octets, refused)
	}
}

func TestFlags(t *testing.T) {
	root := plant(t, map[string]string{
		"cur/a:2,DFRSTab": "", "cur/b:2,P": "", "cur/c;2,S": "", "cur/d!2,F": "", "cur/e:1,S": "", "cur/f": "", "new/g:2,FS": "",
		"cur/h:2,cz": "", "dovecot-keywords": "0 $Junk\n1 work\n2 bad word\n",
		"courierimapkeywords/:list":     "one\ntwo\n\nf:0 1\nb:1\ne:0\nd:0\n",
		"courierimapkeywords/b":         "newest\n",
		"courierimapkeywords/.5.b":      "older\n",
		"courierimapkeywords/.7.e":      "seven\neight\n",
		"courierimapkeywords/.6.e":      "six\n",
		"courierimapkeywords/d":         "",
		"courierimapkeywords/.nonsense": "x\n",
	})
	_, messages, err := show(t, connect(t, New(Options{Dir: root})), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"cur/a:2,DFRSTab": `\Draft \Flagged \Answered \Seen \Deleted $Junk work`, "cur/b:2,P": "$Forwarded newest", "cur/c;2,S": `\Seen`,
		"cur/d!2,F": `\Flagged`, "cur/e:1,S": "seven eight", "cur/f": "one two", "new/g:2,FS": `\Flagged`, "cur/h:2,cz": "",
	}
	for _, m := range messages {
		if got := strings.Join(m.meta.Flags, " "); got != want[m.file] {
			t.Errorf("%s has the flags %q, want %q", m.file, got, want[m.file])
		}
	}
	if len(messages) != len(want) {
		t.Errorf("%d messages, want %d", len(messages), len(want))
	}
}

// TestRenamedMeanwhile: mail programs rename files between listing and reading; each message comes once all the same, and
// one that is gone comes not at all.
func TestRenamedMeanwhile(t *testing.T) {
	root := plant(t, map[string]string{"new/1.a": "one", "cur/2.b:2,": "two", "cur/3.c:2,": "three", "cur/4.d,U=4:2,": "four"})
	s := connect(t, New(Options{Dir: root}))
	if _, err := s.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	var uids []uint32
	for _, m := range s.messages {
		uids = append(uids, m.uid)
	}
	for from, to := range map[string]string{"new/1.a": "cur/1.a:2,S", "cur/2.b:2,": "cur/2.b:2,FR", "cur/4.d,U=4:2,": "cur/4.d,U=4:2,a"} {
		if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(root, "cur/3.c:2,")); err != nil {
		t.Fatal(err)
	}
	var got []string
	again := true
	err := s.FetchBodies(t.Context(), uids, make([]int64, len(uids)), func(uid uint32, _ int64, r io.Reader) error {
		octets, err := io.ReadAll(r)
		got = append(got, fmt.Sprintf("%d %s", uid, octets))
		if again { // and once more
			again = false
			return errors.Join(err, os.Rename(filepath.Join(root, "cur/2.b:2,FR"), filepath.Join(root, "cur/2.b:2,S")))
		}
		return err
	})
	if text := strings.Join(got, ", "); err != nil || text != "1 one, 2 two, 4 four" {
		t.Errorf("got %s, %v", text, err)
	}
}

// TestOddFiles: what is no regular file does not stop the reading, and no FIFO is waited for.
func TestOddFiles(t *testing.T) {
	root := plant(t, map[string]string{"cur/1:2,": "one", "cur/dir/x": "", "new/": "", "dovecot-keywords/x": ""})
	for _, name := range []string{"cur/fifo:2,", "dovecot-uidlist"} {
		if err := syscall.Mkfifo(filepath.Join(root, name), 0o600); err != nil {
			t.Skip(err)
		}
	}
	age(t, root)
	s := connect(t, New(Options{Dir: root}))
	_, err := s.Examine(t.Context(), "INBOX")
	if err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("open a mailbox whose uidlist is a FIFO: %v", err)
	}
	if err := os.Remove(filepath.Join(root, "dovecot-uidlist")); err != nil {
		t.Fatal(err)
	}
	_, messages, err := show(t, s, "INBOX")
	if err != nil || len(messages) != 1 || messages[0].octets != "one" {
		t.Errorf("%+v, %v", messages, err)
	}
}

// TestErrorOfCaller: an error of fn ends the fetch and comes back as it is.
func TestErrorOfCaller(t *testing.T) {
	s := connect(t, New(Options{Dir: plant(t, map[string]string{"cur/1": "x", "cur/2": "y"})}))
	if _, _, err := show(t, s, "INBOX"); err != nil {
		t.Fatal(err)
	}
	own, calls := errors.New("own"), 0
	err := s.FetchBodies(t.Context(), []uint32{1, 2}, []int64{1, 1}, func(uint32, int64, io.Reader) error { calls++; return own })
	if !errors.Is(err, own) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	err = s.FetchMeta(t.Context(), 1, func(session.Meta) error { calls++; return own })
	if !errors.Is(err, own) || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
