package session

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestCRAMMD5 is the example of RFC 2195, section 2.
func TestCRAMMD5(t *testing.T) {
	challenge := []byte("<1896.697170952@postoffice.reston.mci.net>")
	var concealed []string
	e := newCRAMMD5(credentials{user: "tim", password: "tanstaaftanstaaf"}, func(words ...string) {
		concealed = append(concealed, words...)
	})
	if mech, initial, err := e.Start(); mech != "CRAM-MD5" || initial != nil || err != nil {
		t.Errorf("start %q %q %v", mech, initial, err)
	}
	answer, err := e.Next(challenge)
	if err != nil || string(answer) != "tim b913a602c7eda7a495b4e6e7334d3890" {
		t.Errorf("answer %q, %v", answer, err)
	}
	const encoded = "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
	if all := strings.Join(concealed, " "); !strings.Contains(all, encoded) || !strings.Contains(all, "b913a602c7eda7a4") {
		t.Errorf("concealed: %q", concealed)
	}
}

// TestExchange: a server that words its prompts oddly, asks again, or never ends.
func TestExchange(t *testing.T) {
	cred := credentials{user: "u", owner: "admin", password: "p"}
	for name, c := range map[string]struct {
		e    *exchange
		want []string
	}{
		"PLAIN":    {newPlain(cred), []string{"u\x00admin\x00p", ""}},
		"LOGIN":    {newLogin(cred), []string{"u", "p", ""}},
		"CRAM-MD5": {newCRAMMD5(cred, func(...string) {}), []string{"u " + cramMD5("p", nil), ""}},
	} {
		for _, want := range c.want {
			if got, err := c.e.Next(nil); err != nil || !bytes.Equal(got, []byte(want)) || got == nil {
				t.Errorf("%s: %q, %v, want %q", name, got, err, want)
			}
		}
		var err error
		for range 2 * maxSteps {
			_, err = c.e.Next([]byte("more"))
		}
		if !errors.Is(err, errSteps) {
			t.Errorf("%s goes on without end", name)
		}
	}
}

func TestParsePin(t *testing.T) {
	hex := strings.Repeat("0f1E", 16)
	var colons []string
	for i := range 32 {
		colons = append(colons, hex[2*i:2*i+2])
	}
	for text, ok := range map[string]bool{
		"sha256:" + hex:                                      true,
		"SHA256:" + strings.ToUpper(hex):                     true,
		"sha256:" + strings.Join(colons, ":"):                true,
		"sha256 Fingerprint=" + strings.Join(colons, ":"):    true,
		"SHA256 Fingerprint=" + strings.Join(colons, ":"):    true,
		" sha256:" + hex + "\n":                              true,
		hex:                                                  false,
		"sha1:" + hex:                                        false,
		"sha1 Fingerprint=" + strings.Join(colons[:20], ":"): false,
		"sha256:" + hex[2:]:                                  false,
		"sha256:" + hex + "00":                               false,
		"sha256:x" + hex[1:]:                                 false,
		"":                                                   false,
		"sha256:":                                            false,
	} {
		pin, err := ParsePin(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if ok && pin.String() != "sha256:"+strings.ToLower(hex) {
			t.Errorf("%q is read as %v", text, pin)
		}
	}
}

func FuzzParsePin(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0f", 32))
	f.Fuzz(func(t *testing.T, text string) {
		pin, err := ParsePin(text)
		if err != nil {
			return
		}
		if again, err := ParsePin(pin.String()); err != nil || again != pin {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	})
}

// TestForms: whatever stands around the password in base64, a part of it is hidden.
func TestForms(t *testing.T) {
	cred := credentials{user: "u", password: "correct horse"}
	forms := cred.forms()
	for _, before := range []string{"", "a", "ab", "abc", "\x00user\x00"} {
		for _, after := range []string{"", "x", "xy"} {
			text := encode64(before + cred.password + after)
			for _, f := range forms {
				text = strings.ReplaceAll(text, f, "…")
			}
			if rest := strings.ReplaceAll(text, "…", ""); rest == encode64(before+cred.password+after) || len(rest) > 14 {
				t.Errorf("%q, %q: left %q", before, after, text)
			}
		}
	}
	if forms := (credentials{user: "u", password: "pw"}).forms(); len(forms) != 4 {
		t.Errorf("a short password hides what is none: %q", forms)
	}
	if forms := (credentials{user: "u"}).forms(); forms != nil {
		t.Errorf("no password, and yet %q", forms)
	}
}
