package maildirx

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

const testArchive = "0123456789abcdef0123456789abcdef"

func TestUnique(t *testing.T) {
	tokyo := time.FixedZone("", 9*60*60)
	for _, tc := range []struct {
		date                time.Time
		mailbox, epoch, uid uint32
		archive, want       string
	}{
		{time.Date(2016, 11, 7, 18, 49, 23, 0, tokyo), 1, 1, 7, testArchive, "1478512163.m1e1u7.01234567"},
		{time.Time{}, 2, 3, 4, testArchive, "0.m2e3u4.01234567"},
		{time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), 2, 3, 4, testArchive, "0.m2e3u4.01234567"},
		{time.Unix(0, 0), 2, 3, 4, testArchive, "0.m2e3u4.01234567"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), math.MaxUint32, math.MaxUint32, math.MaxUint32, testArchive,
			"253402300799.m4294967295e4294967295u4294967295.01234567"},
		{time.Unix(5, 0), 1, 1, 1, "../a/\x00:,b", "5.m1e1u1.ab"},
		{time.Unix(5, 0), 1, 1, 1, "", "5.m1e1u1."},
	} {
		got := Unique(tc.date, tc.mailbox, tc.epoch, tc.uid, tc.archive)
		if got != tc.want {
			t.Errorf("Unique(%v, %d, %d, %d) = %q, want %q", tc.date, tc.mailbox, tc.epoch, tc.uid, got, tc.want)
		}
		m, e, u, err := ParseUnique(got)
		if err != nil || m != tc.mailbox || e != tc.epoch || u != tc.uid {
			t.Errorf("ParseUnique(%q) = %d, %d, %d, %v", got, m, e, u, err)
		}
	}
}

func TestParseUniqueRefuses(t *testing.T) {
	for _, s := range []string{
		"", "1.m1e1u1", "m1e1u1.a", "1.m1e1u1.a.b", "01.m1e1u1.a", "-1.m1e1u1.a", "1.m01e1u1.a", "1.m1e1u1x.a", "1.m1e1.a",
		"1.e1m1u1.a", "1.m4294967296e1u1.a", "1.me1u1.a", "1.m1e1u+1.a", "1.m1e1u1.a-b", "1.m1e1u1.012345678",
		"1199145600.M000000P1.host",
	} {
		if m, e, u, err := ParseUnique(s); !errors.Is(err, ErrName) {
			t.Errorf("ParseUnique(%q) = %d, %d, %d, %v, want ErrName", s, m, e, u, err)
		}
	}
}

func TestName(t *testing.T) {
	for _, tc := range []struct {
		s    string
		name Name
	}{
		{"1.m1e1u1.ab,S=5:2,", Name{"1.m1e1u1.ab", 5, -1, ""}},
		{"1.m1e1u1.ab,S=0:2,DFRSTaz", Name{"1.m1e1u1.ab", 0, -1, "DFRSTaz"}},
		{"1199145600.M000000P1.host,S=5930,W=6095:2,S", Name{"1199145600.M000000P1.host", 5930, 6095, "S"}},
		{"a,W=9:2,", Name{"a", -1, 9, ""}},
		{"a:2,", Name{"a", -1, -1, ""}},
	} {
		if got := tc.name.String(); got != tc.s {
			t.Errorf("%+v is written %q, want %q", tc.name, got, tc.s)
		}
		if got, err := ParseName(tc.s); err != nil || got != tc.name {
			t.Errorf("ParseName(%q) = %+v, %v, want %+v", tc.s, got, err, tc.name)
		}
	}
	if got := (Name{"a", 5, 6, "S"}).Base(); got != "a,S=5,W=6" {
		t.Errorf("Base is %q", got)
	}
}

func TestParseNameTolerates(t *testing.T) {
	for s, want := range map[string]Name{
		"1.a.b":                       {"1.a.b", -1, -1, ""},              // new
		"1.a.b;2,FS":                  {"1.a.b", -1, -1, "FS"},            // mutt and others on FAT and NTFS
		"1.a.b!2,FS":                  {"1.a.b", -1, -1, "FS"},            // offlineimap and mbsync on Windows
		"1.a;b!c":                     {"1.a;b!c", -1, -1, ""},            // no info at all
		"1.a;2,b:2,S":                 {"1.a;2,b", -1, -1, "S"},           // the colon wins
		"1.a:2,SRFa":                  {"1.a", -1, -1, "FRSa"},            // not sorted
		"1.a:2,SSS":                   {"1.a", -1, -1, "S"},               // twice
		"1.a:2,S-F\xff":               {"1.a", -1, -1, "FS"},              // no letters
		"1.a:2,S,extra":               {"1.a", -1, -1, "S"},               // Dovecot: fields after the flags
		"1.a:1,S":                     {"1.a", -1, -1, ""},                // "experimental" info
		"1.a:":                        {"1.a", -1, -1, ""},                //
		"1.a:2,S:2,F":                 {"1.a", -1, -1, "S"},               // the first info counts
		"1.a,U=12,FMD5=7e33,S=9:2,S":  {"1.a,U=12,FMD5=7e33", 9, -1, "S"}, // offlineimap
		"1.a,S=9,U=12:2,S":            {"1.a,U=12", 9, -1, "S"},           // mbsync after Dovecot
		"1.a,S=9,S=8,W=7,W=6:2,":      {"1.a", 9, 7, ""},                  // the first counts
		"1.a,S=:2,":                   {"1.a,S=", -1, -1, ""},             // no size
		"1.a,S=-5:2,":                 {"1.a,S=-5", -1, -1, ""},           // no size
		"1.a,S=99999999999999999999":  {"1.a,S=99999999999999999999", -1, -1, ""},
		"1.a,S=9223372036854775807:2": {"1.a", math.MaxInt64, -1, ""},
		"1.a,S=007:2,":                {"1.a", 7, -1, ""},
		"\xff\xfe:2,S":                {"\xff\xfe", -1, -1, "S"},
	} {
		if got, err := ParseName(s); err != nil || got != want {
			t.Errorf("ParseName(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, s := range []string{
		"", ":2,S", ",S=5:2,S", ",x:2,", ";2,S", ".hidden", "..", "a/b", "../a:2,S", "a\x00b", strings.Repeat("a", 256),
	} {
		if got, err := ParseName(s); !errors.Is(err, ErrName) {
			t.Errorf("ParseName(%q) = %+v, %v, want ErrName", s, got, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"1.m1e1u1.ab,S=5:2,FSa", "1.a,S=1,W=2!2,T", "a;2,b", "a:2,S:2,F", ",S=1", "a,,S=1,:2,", "a,S=007,S=8:1,x", "a!2,;2,:",
		"1478512163.m4294967295e1u7.01234567:2,",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, e, u, err := ParseUnique(s); err == nil {
			if !strings.Contains(s, Unique(time.Time{}, m, e, u, "")[1:]) {
				t.Fatalf("ParseUnique(%q) = %d, %d, %d", s, m, e, u)
			}
		}
		n, err := ParseName(s)
		if err != nil {
			if !errors.Is(err, ErrName) {
				t.Fatalf("ParseName(%q): %v", s, err)
			}
			return
		}
		if again, err := ParseName(n.String()); len(n.String()) <= maxName && (err != nil || again != n) {
			t.Fatalf("%q is %+v, written %q, read again %+v, %v", s, n, n, again, err)
		}
	})
}

func TestFlags(t *testing.T) {
	letter := func(k string) (byte, bool) {
		switch k {
		case "$Forwarded":
			return 'a', true
		case "todo":
			return 'z', true
		case "bad":
			return 'S', true
		}
		return 'q', false
	}
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{nil, ""},
		{[]string{`\Deleted`, `\Seen`, `\Answered`, `\Flagged`, `\Draft`}, "DFRST"},
		{[]string{`\SEEN`, `\seen`, `\Seen`}, "S"},
		{[]string{`todo`, `\Seen`, `$Forwarded`, `todo`}, "Saz"},
		{[]string{`\Recent`, `\*`, `\`, ``, `unknown`, `bad`, `Seen`, `todo\Seen`}, ""},
	} {
		if got := Flags(tc.flags, letter); got != tc.want {
			t.Errorf("Flags(%q) = %q, want %q", tc.flags, got, tc.want)
		}
	}
	if got := Flags([]string{"todo", `\Draft`}, nil); got != "D" {
		t.Errorf("Flags without keywords = %q, want D", got)
	}
}

func TestSystemFlags(t *testing.T) {
	want := []string{`\Draft`, `\Flagged`, "$Forwarded", `\Answered`, `\Seen`, `\Deleted`}
	if got := SystemFlags("DFPRSTXaz"); !reflect.DeepEqual(got, want) {
		t.Errorf("SystemFlags = %q, want %q", got, want)
	}
	if got := SystemFlags("abc"); got != nil {
		t.Errorf("SystemFlags of keywords = %q", got)
	}
}

func TestKeywords(t *testing.T) {
	table := []string{"$Forwarded", "", "todo"}
	if got, want := Keywords("FSabcdz", table), []string{"$Forwarded", "todo"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Keywords = %q, want %q", got, want)
	}
}
