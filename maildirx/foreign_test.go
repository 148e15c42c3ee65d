package maildirx

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCRLFReader(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "\n": "\r\n", "\r\n": "\r\n", "\n\n": "\r\n\r\n", "\r\r\n\n": "\r\r\n\r\n", "\r": "\r", "a\nb\r\nc\rd": "a\r\nb\r\nc\rd",
	} {
		for how, r := range map[string]io.Reader{
			"at once": strings.NewReader(in), "octet by octet": iotest.OneByteReader(strings.NewReader(in)),
			"with EOF": iotest.DataErrReader(strings.NewReader(in)),
		} {
			got, err := io.ReadAll(NewCRLFReader(r))
			if err != nil || string(got) != want {
				t.Errorf("%q read %s gives %q, %v, want %q", in, how, got, err, want)
			}
		}
	}
	broken := errors.New("broken")
	got, err := io.ReadAll(NewCRLFReader(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken))))
	if !errors.Is(err, broken) || string(got) != "a\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzCRLFReader compares with the plain way, and with VSize.
func FuzzCRLFReader(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\r"), 1)
	f.Fuzz(func(t *testing.T, octets []byte, cut int) {
		cut = min(max(cut, 0), len(octets))
		in := io.MultiReader(bytes.NewReader(octets[:cut]), bytes.NewReader(octets[cut:]))
		got, err := io.ReadAll(NewCRLFReader(in))
		want := bytes.ReplaceAll(bytes.ReplaceAll(octets, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q gives %q, %v, want %q", octets, got, err, want)
		}
		if size, err := VSize(bytes.NewReader(octets)); err != nil || size != int64(len(want)) {
			t.Errorf("VSize of %q is %d, %v", octets, size, err)
		}
	})
}

func TestParseForeignUIDList(t *testing.T) {
	for text, want := range map[string]UIDList{
		"1 7 9\n1 a\n5 b c:2,S\n":       {UIDValidity: 7, UIDNext: 9, Entries: []UIDEntry{{UID: 1, File: "a"}, {UID: 5, File: "b c:2,S"}}},
		"1 7 2 0123abcd\n5 b\n":         {UIDValidity: 7, UIDNext: 6, Entries: []UIDEntry{{UID: 5, File: "b"}}},
		"1 7 1\n":                       {UIDValidity: 7, UIDNext: 1},
		"3 V7 N9\n1 :a\n5 S3 W4 :b c\n": {UIDValidity: 7, UIDNext: 9, Entries: []UIDEntry{{UID: 1, File: "a"}, {UID: 5, File: "b c", Size: 3, VSize: 4}}},
	} {
		l, err := ParseForeignUIDList(strings.NewReader(text))
		if err != nil || l.UIDValidity != want.UIDValidity || l.UIDNext != want.UIDNext || !slices.Equal(l.Entries, want.Entries) {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
	for _, text := range []string{
		"", "1 7\n", "1 0 9\n", "1 x 9\n", "1 7 x\n", "1 7 9\na\n", "1 7 9\n1\n", "1 7 9\n1 \n", "1 7 9\n0 a\n", "1 7 9\n2 a\n2 b\n",
		"1 7 9\n2 a/b\n", "1 7 9\n2 .a\n", "1 7 9\n4294967296 a\n", "2 7 9\n", "1 7 9\n1 " + strings.Repeat("a", 300) + "\n",
	} {
		if l, err := ParseForeignUIDList(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%.80q: %+v, %v", text, l, err)
		}
	}
}

func TestParseCourier(t *testing.T) {
	got, err := ParseCourierKeywords(strings.NewReader("one\ntwo words\n\n1.a,S=3:0 1\nodd:name:1\nnone:\n"))
	want := map[string][]string{"1.a,S=3": {"one", "two words"}, "odd:name": {"two words"}, "none": nil}
	if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("keywords %v, %v", got, err)
	}
	for _, text := range []string{"one\n\na:1\n", "one\n\na\n", "one\n\n:0\n", "one\n\na:x\n", strings.Repeat("k\n", maxCourierKeywords+1)} {
		if got, err := ParseCourierKeywords(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%.80q: %v, %v", text, got, err)
		}
	}
	names, err := ParseCourierSubscriptions(strings.NewReader("INBOX\nINBOX.Work.2016\n\nINBOX.&ZeVnLIqe-\nshared.x\n"))
	if text := strings.Join(slices.Collect(joined(names)), " "); err != nil || text != "INBOX Work/2016 日本語 shared/x" {
		t.Errorf("subscriptions %s, %v", text, err)
	}
}

func joined(names [][]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, n := range names {
			if !yield(strings.Join(n, "/")) {
				return
			}
		}
	}
}

// FuzzForeign: no list of any program makes the parsers panic, or give what cannot be.
func FuzzForeign(f *testing.F) {
	f.Add("1 7 9 ff\n1 a\n5 b:2,S\n")
	f.Add("3 V7 N9\n5 :a\n")
	f.Add("one\ntwo\n\na:0 1\n")
	f.Add("INBOX\nINBOX.&ZeVnLIqe-.b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := ParseForeignUIDList(strings.NewReader(text)); err == nil {
			last := uint32(0)
			for _, e := range l.Entries {
				if e.UID <= last || e.File == "" || strings.ContainsAny(e.File, "/\x00\n") {
					t.Errorf("%q: %+v", text, e)
				}
				last = e.UID
			}
			if l.UIDValidity == 0 || l.UIDNext < last {
				t.Errorf("%q: %+v", text, l)
			}
		}
		if keywords, err := ParseCourierKeywords(strings.NewReader(text)); err == nil {
			for file, words := range keywords {
				if file == "" || slices.ContainsFunc(words, func(w string) bool { return w == "" || strings.Contains(w, "\n") }) {
					t.Errorf("%q: %q has %q", text, file, words)
				}
			}
		}
		names, err := ParseCourierSubscriptions(strings.NewReader(text))
		if err == nil && slices.ContainsFunc(names, func(n []string) bool { return len(n) == 0 }) {
			t.Errorf("%q: %v", text, names)
		}
	})
}
