package scripttest

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"mailark/internal/imaptest"
)

// The account on every server.
const (
	User     = "taro"
	Password = "correct horse"
)

type serversKey struct{}

func server(ts *testscript.TestScript, name string) *imaptest.Server {
	servers, _ := ts.Value(serversKey{}).(map[string]*imaptest.Server)
	s := servers[name]
	if s == nil {
		ts.Fatalf("no server %q", name)
	}
	return s
}

// startServer starts an in-memory server that lives as long as the script, and sets NAME_PORT
// (cleartext and STARTTLS), NAME_TLS_PORT, NAME_CA, the file with its certificate, and NAME_PIN. Kinds: empty,
// without mail; expired, with a certificate of last year; starttls, which takes no password in the clear.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: server NAME KIND…")
	}
	name, kinds := args[0], args[1:]
	opts := imaptest.ServerOptions{
		Users: map[string]string{User: Password}, RequireTLS: slices.Contains(kinds, "starttls"),
	}
	if slices.Contains(kinds, "expired") {
		opts.NotAfter = time.Now().AddDate(-1, 0, 0)
	}
	s, err := imaptest.NewServer(opts)
	ts.Check(err)
	ts.Defer(func() { _ = s.Close() })
	if !slices.Contains(kinds, "empty") {
		fill(s.Account(User))
	}
	servers, _ := ts.Value(serversKey{}).(map[string]*imaptest.Server)
	servers[name] = s
	ca := ts.MkAbs(name + ".pem")
	ts.Check(os.WriteFile(ca, s.CAPEM, 0o600))
	ts.Setenv(name+"_CA", ca)
	block, _ := pem.Decode(s.CAPEM)
	ts.Setenv(name+"_PIN", fmt.Sprintf("sha256:%x", sha256.Sum256(block.Bytes)))
	for variable, addr := range map[string]string{"_PORT": s.Addr, "_TLS_PORT": s.TLSAddr} {
		_, port, err := net.SplitHostPort(addr)
		ts.Check(err)
		ts.Setenv(name+variable, port)
	}
}

// fill makes a small account: five messages in five mailboxes.
func fill(a *imaptest.Account) {
	date := time.Date(2023, 4, 1, 9, 0, 0, 0, time.FixedZone("", 9*3600))
	put := func(mailbox, text string, flags ...string) {
		date = date.Add(time.Hour)
		a.AddMessage(mailbox, imaptest.Message{Octets: []byte(text), Flags: flags, InternalDate: date})
	}
	a.AddMailbox(imaptest.Mailbox{Name: "Sent", Role: `\Sent`, Subscribed: true})
	a.AddMailbox(imaptest.Mailbox{Name: "仕事/会議", Subscribed: true})
	a.AddMailbox(imaptest.Mailbox{Name: "Empty"})
	put("INBOX", "Subject: one\r\n\r\nfirst\r\n", `\Seen`)
	put("INBOX", "Subject: =?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=\r\n\r\nNUL \x00, bare LF\n, 8-bit \xff", `\Flagged`, "$Work")
	put("Sent", "Subject: one\r\n\r\nfirst\r\n", `\Seen`, `\Answered`)
	put("仕事/会議", "Subject: minutes\r\n\r\n"+strings.Repeat("and so on\r\n", 500))
	put("Lists.2023", "Subject: a dot in a level\r\n\r\n")
}

// addFault makes a server misbehave from now on. Kinds: signin, which refuses the password; full, which
// has no room for another message; silent, which answers no FETCH; mute, which opens no mailbox for writing; slow, which takes its time; refuse,
// which refuses UID 1 of INBOX; none, which ends it.
func addFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fault NAME KIND")
	}
	refusal := func(code imap.ResponseCode, text string) *imap.Error {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
	}
	kinds := map[string]imaptest.Faults{
		"none":   {},
		"signin": {SignIn: refusal(imap.ResponseCodeAuthenticationFailed, "Web login required")},
		"full": {
			Append:       func(imaptest.AppendCall) imaptest.AppendFault { return imaptest.AppendRefuse },
			AppendAnswer: refusal(imap.ResponseCodeOverQuota, "No room left"),
		},
		"silent": {Silent: map[string]int{"UID FETCH": imaptest.Always}},
		"mute":   {Silent: map[string]int{"SELECT": imaptest.Always}},
		"slow":   {Delay: 200 * time.Millisecond},
		"refuse": {NoBody: map[imaptest.Key]int{{Mailbox: "INBOX", UID: 1}: imaptest.Always}},
	}
	fault, ok := kinds[args[1]]
	if !ok {
		ts.Fatalf("no fault %q", args[1])
	}
	server(ts, args[0]).SetFaults(fault)
}

func deliver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: deliver NAME MAILBOX TEXT")
	}
	server(ts, args[0]).Account(User).AddMessage(args[1], imaptest.Message{
		Octets:       []byte("Subject: " + args[2] + "\r\n\r\n"),
		InternalDate: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
	})
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same NAME NAME")
	}
	a, b := server(ts, args[0]).Account(User).Snapshot(), server(ts, args[1]).Account(User).Snapshot()
	if diffs := imaptest.Diff(a, b); len(diffs) > 0 {
		ts.Fatalf("%s and %s differ:\n%s", args[0], args[1], strings.Join(diffs, "\n"))
	}
	if a.Count() == 0 {
		ts.Fatalf("both are empty, which proves nothing")
	}
}

// GivePassword is the account's password, for a session.
func GivePassword(context.Context) (string, error) { return Password, nil }

// seenWithin is how long a program may take to get as far as a script waits for.
const seenWithin = 30 * time.Second

func seen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: seen NAME COMMAND")
	}
	s := server(ts, args[0])
	for end := time.Now().Add(seenWithin); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, c := range s.Commands() {
			if c.Name == args[1] {
				return
			}
		}
	}
	ts.Fatalf("no %s within %v", args[1], seenWithin)
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	var data []byte
	for end := time.Now().Add(seenWithin); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		data, _ = os.ReadFile(ts.MkAbs(args[0])) // it may come later
		if strings.Contains(string(data), args[1]) {
			return
		}
	}
	ts.Fatalf("no %q in %s within %v, but %q", args[1], args[0], seenWithin, data)
}
