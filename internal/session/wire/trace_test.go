package wire

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
)

// trace gives what a Tape took down of a conversation, without times.
func trace(t *testing.T, server string, secrets []string, commands ...string) string {
	t.Helper()
	var b bytes.Buffer
	tr := NewTrace(&b, func(err error) { t.Error(err) })
	n := &fakeNet{r: iotest.HalfReader(strings.NewReader(server))}
	c := New(n, n, Options{Tape: tr.Open()})
	c.Conceal(secrets...)
	for _, cmd := range commands {
		for _, octet := range []byte(cmd) {
			if _, err := c.Write([]byte{octet}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := make([]byte, 100)
	for {
		if _, err := c.Read(p); err != nil {
			break
		}
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		_, line, _ = strings.Cut(line, " 1 ")
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

func TestTape(t *testing.T) {
	for name, c := range map[string]struct {
		commands []string
		server   string
		want     string
	}{
		"LOGIN": {
			[]string{"T1 LOGIN user \"s3cret\"\r\n", "T2 NOOP\r\n"}, "* OK hi\r\n",
			"C: T1 LOGIN …\nC: T2 NOOP\nS: * OK hi\n",
		},
		"LOGIN with literals": {
			[]string{"t1 login {4}\r\n", "user {6}\r\n", "s3cret\r\n", "T2 NOOP\r\n"}, "",
			"C: t1 LOGIN …\nC: …\nC: …\nC: …\nC: T2 NOOP\n",
		},
		"AUTHENTICATE": {
			[]string{"T1 AUTHENTICATE PLAIN s3cret==\r\n", "T2 AUTHENTICATE XOAUTH2\r\n", "s3cret==\r\n", "*\r\n", "\r\n"},
			"+ challenge\r\nT1 NO no\r\nT2 NO no\r\n+ after\r\n",
			"C: T1 AUTHENTICATE PLAIN …\nC: T2 AUTHENTICATE XOAUTH2 …\nC: …\nC: …\nC: …\nS: + …\nS: T1 NO no\nS: T2 NO no\nS: + after\n",
		},
		"echoes": {
			nil,
			"* LIST () \"/\" \"a s3cret b\"\r\n* OK [X s3cret] x\r\n* OK [s3cret] x\r\n* ID (\"x\" \"s3cret\")\r\n" +
				"* LIST () \"/\" {6}\r\ns3cret\r\ns3cret\r\n* s3cr\r\ns3cret OK\r\n",
			"S: * LIST () \"/\" \"a … b\"\nS: * OK [X …] x\nS: * OK [X] x\nS: * ID (\"x\" \"…\")\n" +
				"S: * LIST () \"/\" {6}\nS: {6 octets}\nS: …\nS: * …\nS: … OK\n",
		},
		"bodies": {
			[]string{"T1 UID FETCH 1 (UID BODY.PEEK[])\r\n"},
			"* 1 FETCH (UID 1 BODY[] {20000}\r\n" + strings.Repeat("s3cret 789", 2000) + " FLAGS ())\r\n* 2 FETCH (BODY[] {0}\r\n)\r\n",
			"C: T1 UID FETCH 1 (UID BODY.PEEK[])\nS: * 1 FETCH (UID 1 BODY[] {20000}\nS: {20000 octets}\nS:  FLAGS ())\n" +
				"S: * 2 FETCH (BODY[] {0}\nS: )\n",
		},
		"bodies in quotes": {
			nil, "* 1 FETCH (UID 1 BODY[] \"my \\\"mail\" FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS (\"[] x\"))\r\n",
			"S: * 1 FETCH (UID 1 BODY[] \"…\nS: * 2 FETCH (UID 2 FLAGS (\"[] x\"))\n",
		},
		"at the cut": {
			nil, "* OK " + strings.Repeat("x", maxTraced-8) + "s3cret\r\n",
			"S: * OK " + strings.Repeat("x", maxTraced-8) + "…\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want + "-- lost: the server closed the connection\n"
			if got := trace(t, c.server, []string{"s3cret"}, c.commands...); got != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
		})
	}
}

// FuzzTape: whatever is said on either side, each line of the trace is one line, and the secret is not in it.
func FuzzTape(f *testing.F) {
	f.Add([]byte("* OK hi\r\n* 1 FETCH (BODY[] {3}\r\nabc)\r\n"), []byte("T1 LOGIN x {3}\r\nabc\r\n"))
	f.Fuzz(func(t *testing.T, server, client []byte) {
		const secret = "Zq9Zq9"
		var b bytes.Buffer
		tape := NewTrace(&b, func(err error) { t.Error(err) }).Open()
		n := &fakeNet{r: bytes.NewReader(server)}
		c := New(n, n, Options{Tape: tape})
		c.Conceal(secret)
		tape.Sent(append([]byte("T1 LOGIN user "), secret...))
		tape.Sent([]byte("\r\n"))
		tape.Sent(client)
		p := make([]byte, 20_000)
		for {
			if _, err := c.Read(p); err != nil {
				break
			}
		}
		if strings.Contains(b.String(), secret) {
			t.Errorf("the secret is in %q", b.String())
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > 5*maxTraced || !strings.HasSuffix(line, "\n") || strings.ContainsRune(line, '\r') {
				t.Errorf("line %q", line)
			}
		}
	})
}
