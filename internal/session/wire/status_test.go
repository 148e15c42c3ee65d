package wire

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParseStatus(t *testing.T) {
	for _, c := range []struct {
		line string
		ok   bool
		want Status
	}{
		{"* OK ready", true, Status{"*", "OK", "", "", "ready"}},
		{"T1 no [TRYCREATE] no such mailbox\r\n", true, Status{"T1", "NO", "TRYCREATE", "", "no such mailbox"}},
		{"M1 OK [APPENDUID 7 9] done", true, Status{"M1", "OK", "APPENDUID", "7 9", "done"}},
		{"* OK [highestmodseq 4711]", true, Status{"*", "OK", "HIGHESTMODSEQ", "4711", ""}},
		{"* BYE [ALERT] Too many\tconnections\x07", true, Status{"*", "BYE", "ALERT", "", "Too manyconnections"}},
		{`T2 OK [Error="a b" Proxy=x] AUTHENTICATE completed.`, true, Status{"T2", "OK", "", "", `[Error="a b" Proxy=x] AUTHENTICATE completed.`}},
		{"T2 OK", true, Status{"T2", "OK", "", "", ""}},
		{"T2 BAD [unclosed", true, Status{"T2", "BAD", "", "", "[unclosed"}},
		{"+ go on", true, Status{"+", "", "", "", "go on"}},
		{"+", true, Status{"+", "", "", "", ""}},
		{"* PREAUTH welcome", true, Status{"*", "PREAUTH", "", "", "welcome"}},
		{"* NO caf\xe9", true, Status{"*", "NO", "", "", "caf\uFFFD"}},
		{"* 3 EXISTS", false, Status{}},
		{"* OKAY then", false, Status{}},
		{"* LIST () \"/\" OK", false, Status{}},
		{"", false, Status{}},
	} {
		got, ok := ParseStatus([]byte(c.line))
		if ok != c.ok || got != c.want {
			t.Errorf("%q: got %v %+v", c.line, ok, got)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("T1 NO [A b] c {3}\r\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		st, ok := ParseStatus(line)
		if !ok {
			return
		}
		if len(st.Text) > maxText*3+4 || !utf8.ValidString(st.Text) || strings.IndexFunc(st.Text, unicode.IsControl) >= 0 {
			t.Errorf("not fit to print: %q", st.Text)
		}
	})
}
