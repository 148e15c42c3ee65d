package maildirx

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

const testGUID = "88446b130a99046bf63d000083ecc375"

func TestUIDList(t *testing.T) {
	list := &UIDList{UIDValidity: 1234567890, UIDNext: 900, GUID: testGUID, Entries: []UIDEntry{
		{UID: 7, File: "1.m1e1u7.ab,S=5"},
		{UID: 19, File: "1.a b:c", Size: 12, VSize: 14},
		{UID: 899, File: "2.x", VSize: 3},
	}}
	want := "3 V1234567890 N900 G" + testGUID + "\n7 :1.m1e1u7.ab,S=5\n19 S12 W14 :1.a b:c\n899 W3 :2.x\n"
	var buf bytes.Buffer
	if n, err := list.WriteTo(&buf); err != nil || n != int64(len(want)) || buf.String() != want {
		t.Errorf("WriteTo wrote %q, %d, %v, want %q", buf.String(), n, err, want)
	}
	if got, err := ParseUIDList(&buf); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("ParseUIDList = %+v, %v, want %+v", got, err, list)
	}
}

func TestUIDListHeader(t *testing.T) {
	for _, tc := range []struct {
		list UIDList
		want string
	}{
		{UIDList{}, "3 V1 N1\n"},
		{UIDList{UIDValidity: 9}, "3 V9 N1\n"},
		{UIDList{UIDValidity: 9, UIDNext: 3, Entries: []UIDEntry{{UID: 5, File: "a"}}}, "3 V9 N6\n5 :a\n"},
		{UIDList{UIDValidity: 9, Entries: []UIDEntry{{UID: math.MaxUint32, File: "a"}}}, "3 V9 N4294967295\n4294967295 :a\n"},
	} {
		var buf bytes.Buffer
		if _, err := tc.list.WriteTo(&buf); err != nil || buf.String() != tc.want {
			t.Errorf("%+v is written %q, %v, want %q", tc.list, buf.String(), err, tc.want)
		}
	}
}

func TestUIDListRefusesToWrite(t *testing.T) {
	entries := func(e ...UIDEntry) UIDList { return UIDList{UIDValidity: 1, Entries: e} }
	for _, list := range []UIDList{
		{UIDValidity: 1, GUID: "zz"},
		entries(UIDEntry{UID: 0, File: "a"}),
		entries(UIDEntry{UID: 2, File: "a"}, UIDEntry{UID: 2, File: "b"}),
		entries(UIDEntry{UID: 2, File: "a"}, UIDEntry{UID: 1, File: "b"}),
		entries(UIDEntry{UID: 1, File: ""}),
		entries(UIDEntry{UID: 1, File: "a\n2 :b"}),
		entries(UIDEntry{UID: 1, File: "a\r"}),
		entries(UIDEntry{UID: 1, File: "../a"}),
		entries(UIDEntry{UID: 1, File: strings.Repeat("a", 256)}),
	} {
		var buf bytes.Buffer
		if n, err := list.WriteTo(&buf); !errors.Is(err, ErrFormat) || n != 0 || buf.Len() != 0 {
			t.Errorf("%+v is written %q, %v, want ErrFormat", list, buf.String(), err)
		}
	}
}

func TestUIDListWriteError(t *testing.T) {
	list := UIDList{UIDValidity: 1}
	for uid := range uint32(1000) {
		list.Entries = append(list.Entries, UIDEntry{UID: uid + 1, File: "a"})
	}
	if _, err := list.WriteTo(fullDisk{}); !errors.Is(err, errFull) {
		t.Errorf("WriteTo a full disk: %v", err)
	}
}

var errFull = errors.New("disk full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestParseUIDListOfDovecot(t *testing.T) {
	// Dovecot 2.3 leaves N behind when it only appends.
	got, err := ParseUIDList(strings.NewReader("3 V1795463435 N1 G" + testGUID + "\n1 :1.a,S=0\n3 P12 W5 :1.b"))
	want := &UIDList{UIDValidity: 1795463435, UIDNext: 4, GUID: testGUID, Entries: []UIDEntry{
		{UID: 1, File: "1.a,S=0"}, {UID: 3, File: "1.b", VSize: 5},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseUIDList = %+v, %v, want %+v", got, err, want)
	}
}

func TestParseUIDListRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":            "",
		"version 1":          "1 7 9\n1 a\n",
		"version 4":          "4 V7 N9\n",
		"no V":               "3 N9\n",
		"V 0":                "3 V0 N9\n",
		"N 0":                "3 V7 N0\n",
		"V too big":          "3 V4294967296 N9\n",
		"bad GUID":           "3 V7 N9 Gzz\n",
		"UID 0":              "3 V7 N9\n0 :a\n",
		"UID twice":          "3 V7 N9\n1 :a\n1 :b\n",
		"UID descends":       "3 V7 N9\n2 :a\n1 :b\n",
		"UID too big":        "3 V7 N9\n4294967296 :a\n",
		"UID negative":       "3 V7 N9\n-1 :a\n",
		"no file":            "3 V7 N9\n1 a\n",
		"empty file":         "3 V7 N9\n1 :\n",
		"no UID":             "3 V7 N9\n:a\n",
		"file leads out":     "3 V7 N9\n1 :../a\n",
		"hidden file":        "3 V7 N9\n1 :.a\n",
		"size is no number":  "3 V7 N9\n1 Sx :a\n",
		"size is negative":   "3 V7 N9\n1 S-1 :a\n",
		"vsize is no number": "3 V7 N9\n1 W :a\n",
		"long line":          "3 V7 N9\n1 :" + strings.Repeat("a", maxLine) + "\n",
		"empty line":         "3 V7 N9\n\n1 :a\n",
	} {
		if got, err := ParseUIDList(strings.NewReader(s)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: ParseUIDList = %+v, %v, want ErrFormat", name, got, err)
		}
	}
}

func FuzzUIDList(f *testing.F) {
	for _, s := range []string{
		"3 V1234567890 N900 G" + testGUID + "\n7 :1.m1e1u7.ab,S=5\n19 S12 W14 :1.a b:c\n", "3 V1 N1\n1 :a", "3 V7 N9 X\n1 P12 :a\r\n",
		"3 V7 N9\n1 S0 W0 :a\n4294967295 :b\n", "1 7 9\n", "3 V7 N9\n1 : \n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseUIDList(strings.NewReader(s))
		if err != nil {
			return
		}
		var buf bytes.Buffer
		if _, err := list.WriteTo(&buf); err != nil {
			t.Fatalf("%+v was read but is not written: %v", list, err)
		}
		written := buf.String()
		if again, err := ParseUIDList(&buf); err != nil || !reflect.DeepEqual(again, list) {
			t.Fatalf("%+v is written %q, read again %+v, %v", list, written, again, err)
		}
	})
}
