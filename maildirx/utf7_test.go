package maildirx

import (
	"errors"
	"testing"
	"unicode/utf8"
)

func TestUTF7(t *testing.T) {
	for _, tc := range []struct{ text, code string }{
		{"", ""},
		{"INBOX", "INBOX"},
		{"台北", "&U,BTFw-"}, // RFC 3501, section 5.1.3
		{"日本語", "&ZeVnLIqe-"},
		{"R&D", "R&-D"},
		{"&&", "&-&-"},
		{"Entwürfe & Ideen", "Entw&APw-rfe &- Ideen"},
		{"送信済み", "&kAFP4W4IMH8-"},
		{"日&本", "&ZeU-&-&Zyw-"},
		{"\x00", "&AAA-"},
		{"tab\tDEL\x7f", "tab&AAk-DEL&AH8-"},
		{"😀", "&2D3eAA-"},
		{"a.b/c\\d~", "a.b/c\\d~"},
	} {
		if got := EncodeUTF7(tc.text); got != tc.code {
			t.Errorf("EncodeUTF7(%q) = %q, want %q", tc.text, got, tc.code)
		}
		got, err := DecodeUTF7(tc.code)
		if err != nil || got != tc.text {
			t.Errorf("DecodeUTF7(%q) = %q, %v, want %q", tc.code, got, err, tc.text)
		}
	}
}

func TestDecodeUTF7Refuses(t *testing.T) {
	for name, code := range map[string]string{
		"open shift":               "&ZeVnLIqe",
		"lone ampersand":           "R&D",
		"8-bit octets":             "caf\xc3\xa9",
		"control octet":            "a\tb",
		"DEL":                      "a\x7f",
		"shift that follows":       "&ZeU-&Zyw-",
		"printable in a shift":     "&AEE-",
		"ampersand in a shift":     "&ACY-",
		"odd octets":               "&Ze-",
		"padding bits":             "&ZeV-",
		"padding":                  "&ZeU=-",
		"base64 with slash":        "&U/BTFw-",
		"high surrogate alone":     "&2D0-",
		"low surrogate alone":      "&3gA-",
		"surrogates the wrong way": "&3gDYPQ-",
		"newline in base64":        "&Ze\nU-",
	} {
		if got, err := DecodeUTF7(code); !errors.Is(err, ErrUTF7) {
			t.Errorf("%s: DecodeUTF7(%q) = %q, %v, want ErrUTF7", name, code, got, err)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"", "台北", "R&D", "&U,BTFw-", "&", "&-", "&AAA-", "\xff", "😀&ZeU-&Zyw-", "&2D3eAA-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code := EncodeUTF7(s)
		for _, c := range []byte(code) {
			if c < ' ' || c > '~' {
				t.Fatalf("EncodeUTF7(%q) = %q holds octet %#x", s, code, c)
			}
		}
		text, err := DecodeUTF7(code)
		if err != nil {
			t.Fatalf("DecodeUTF7(EncodeUTF7(%q)): %v", s, err)
		}
		if utf8.ValidString(s) && text != s {
			t.Fatalf("%q came back as %q", s, text)
		}
		if text, err := DecodeUTF7(s); err == nil && EncodeUTF7(text) != s {
			t.Fatalf("DecodeUTF7 accepts %q, a second form of %q", s, text)
		}
	})
}
