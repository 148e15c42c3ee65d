package maildirx

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestVSize(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "a": 1, "\n": 2, "\r\n": 2, "\r": 1, "\n\r": 3, "\r\r\n": 3, "\n\n": 4, "\r\n\n": 4,
		"a\nb\r\nc\x00": 8, strings.Repeat("\r\n", 40<<10): 80 << 10, "x" + strings.Repeat("\r\n", 40<<10): 80<<10 + 1,
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(text), "octet by octet": iotest.OneByteReader(strings.NewReader(text)),
		} {
			if got, err := VSize(r); got != want || err != nil {
				t.Errorf("%.20q, %s: %d, %v, want %d", text, name, got, err, want)
			}
		}
	}
	bad := errors.New("bad")
	if _, err := VSize(iotest.ErrReader(bad)); !errors.Is(err, bad) {
		t.Errorf("an error of reading: %v", err)
	}
}

func FuzzVSize(f *testing.F) {
	for _, s := range []string{"", "\n", "\r\n", "\r\n\n\r", "a\nb"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		crlf := bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		got, err := VSize(iotest.HalfReader(bytes.NewReader(p)))
		if err != nil || got != int64(len(crlf)) {
			t.Errorf("%d, %v, want %d", got, err, len(crlf))
		}
	})
}
