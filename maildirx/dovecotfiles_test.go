package maildirx

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestValidKeyword(t *testing.T) {
	for k, want := range map[string]bool{
		"$Forwarded": true, "todo": true, "we]ird": true, "Überfällig": true, strings.Repeat("x", 255): true,
		"": false, "two words": false, "line\nbreak": false, "nul\x00": false, `\Seen`: false, "del\x7f": false,
		strings.Repeat("x", 256): false,
	} {
		if got := ValidKeyword(k); got != want {
			t.Errorf("ValidKeyword(%.20q) = %v", k, got)
		}
	}
}

func manyKeywords(n int) []string {
	table := make([]string, n)
	for i := range table {
		table[i] = fmt.Sprint("k", i)
	}
	return table
}

func TestKeywordsFile(t *testing.T) {
	for _, tc := range []struct {
		table []string
		file  string
	}{
		{nil, ""},
		{[]string{"$Forwarded", "todo"}, "0 $Forwarded\n1 todo\n"},
		{[]string{"", "b", "", "d"}, "1 b\n3 d\n"},
	} {
		var buf bytes.Buffer
		if err := WriteKeywords(&buf, tc.table); err != nil || buf.String() != tc.file {
			t.Errorf("WriteKeywords(%q) wrote %q, %v, want %q", tc.table, buf.String(), err, tc.file)
		}
		if got, err := ParseKeywords(&buf); err != nil || !slices.Equal(got, tc.table) {
			t.Errorf("ParseKeywords(%q) = %q, %v, want %q", tc.file, got, err, tc.table)
		}
	}
	var buf bytes.Buffer
	if err := WriteKeywords(&buf, manyKeywords(26)); err != nil {
		t.Errorf("WriteKeywords of 26: %v", err)
	}
	if got, err := ParseKeywords(&buf); err != nil || !slices.Equal(got, manyKeywords(26)) {
		t.Errorf("ParseKeywords of 26 = %q, %v", got, err)
	}
}

func TestWriteKeywordsRefuses(t *testing.T) {
	for _, table := range [][]string{{"a", "two words"}, {"a\n1 b"}, manyKeywords(27)} {
		var buf bytes.Buffer
		if err := WriteKeywords(&buf, table); !errors.Is(err, ErrFormat) || buf.Len() > 0 {
			t.Errorf("WriteKeywords(%q) wrote %q, %v, want ErrFormat", table, buf.String(), err)
		}
	}
	if err := WriteKeywords(fullDisk{}, []string{"a"}); !errors.Is(err, errFull) {
		t.Errorf("WriteKeywords to a full disk: %v", err)
	}
}

func TestParseKeywordsRefuses(t *testing.T) {
	for _, s := range []string{
		"a\n", "0\n", "0 \n", "26 z\n", "-1 a\n", "256 a\n", "0 a\n0 b\n", "x a\n", "\n", "0 " + strings.Repeat("a", maxLine) + "\n",
	} {
		if got, err := ParseKeywords(strings.NewReader(s)); !errors.Is(err, ErrFormat) {
			t.Errorf("ParseKeywords(%.20q) = %q, %v, want ErrFormat", s, got, err)
		}
	}
}

func FuzzKeywords(f *testing.F) {
	for _, s := range []string{"0 $Forwarded\n1 todo\n", "25 z", "3 a b\r\n1 c\n", "00 a\n", "0 \\Seen\n", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		table, err := ParseKeywords(strings.NewReader(s))
		if err != nil {
			return
		}
		if len(table) > MaxKeywords {
			t.Fatalf("%d keywords", len(table))
		}
		for i, k := range table {
			if !ValidKeyword(k) {
				table[i] = "x"
			}
		}
		var buf bytes.Buffer
		if err := WriteKeywords(&buf, table); err != nil {
			t.Fatalf("WriteKeywords(%q): %v", table, err)
		}
		if again, err := ParseKeywords(&buf); err != nil || !slices.Equal(again, table) {
			t.Fatalf("%q came back as %q, %v", table, again, err)
		}
	})
}

func TestSubscriptions(t *testing.T) {
	names := [][]string{
		{"INBOX"}, {"Work", "2016.old"}, {"日本語", "x.y"}, {"~t", "~u"}, {"R&D"}, {`c\d`, "e/f"}, {"a", "", "b"}, {"INBOX", "kid"},
	}
	file := "V\t2\n\nINBOX\nWork\t2016\\2eold\n&ZeVnLIqe-\tx\\2ey\n\\7et\t\\7eu\nR&-D\nc\\5cd\te\\2ff\na\t&7wE-\tb\nINBOX\tkid\n"
	var buf bytes.Buffer
	if err := WriteSubscriptions(&buf, names); err != nil || buf.String() != file {
		t.Errorf("WriteSubscriptions wrote %q, %v, want %q", buf.String(), err, file)
	}
	if got, err := ParseSubscriptions(&buf); err != nil || !reflect.DeepEqual(got, names) {
		t.Errorf("ParseSubscriptions = %q, %v, want %q", got, err, names)
	}
	if err := WriteSubscriptions(fullDisk{}, nil); !errors.Is(err, errFull) {
		t.Errorf("WriteSubscriptions to a full disk: %v", err)
	}
}

func TestParseSubscriptions(t *testing.T) {
	for _, tc := range []struct {
		file string
		want [][]string
	}{
		{"", nil},
		{"V\t2\n\n", nil},
		{"INBOX\nWork.2016\n&ZeVnLIqe-.x\n", [][]string{{"INBOX"}, {"Work", "2016"}, {"日本語", "x"}}},
		{"V\t2\n\nWork\t2016", [][]string{{"Work", "2016"}}},
		{"V\t2\n\na.b\tR&D\t\xff\t&ZeVnLIqe-\n", [][]string{{"a.b", "R&D", "\xff", "日本語"}}},
	} {
		if got, err := ParseSubscriptions(strings.NewReader(tc.file)); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("ParseSubscriptions(%q) = %q, %v, want %q", tc.file, got, err, tc.want)
		}
	}
	if _, err := ParseSubscriptions(strings.NewReader(strings.Repeat("a", maxLine+1))); !errors.Is(err, ErrFormat) {
		t.Errorf("a long line: %v, want ErrFormat", err)
	}
}

func FuzzSubscriptions(f *testing.F) {
	for _, s := range []string{
		"V\t2\n\nINBOX\nWork\t2016\\2eold\n", "INBOX\nWork.2016\n", "V\t2\n\na.b\tR&D\t\xff\n", "V\t2\n\n\t\n", "inbox\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		names, err := ParseSubscriptions(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, path := range names {
			if hashed(Dir(path)) {
				return
			}
		}
		var buf bytes.Buffer
		if err := WriteSubscriptions(&buf, names); err != nil {
			t.Fatalf("WriteSubscriptions(%q): %v", names, err)
		}
		again, err := ParseSubscriptions(&buf)
		same := func(a, b []string) bool {
			return slices.Equal(a, b) || len(a) == 1 && len(b) == 1 && strings.EqualFold(a[0], b[0])
		}
		if err != nil || !slices.EqualFunc(again, names, same) {
			t.Fatalf("%q came back as %q, %v", names, again, err)
		}
	})
}
