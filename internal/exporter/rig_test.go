package exporter

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/session"
	"mailark/internal/spool"
)

// rig is an account on a server and the archive it is copied into.
type rig struct {
	*testing.T
	server  *imaptest.Server
	account *imaptest.Account
	opts    Options
	onPause func() // called before each pause
	before  int    // connections made before the last run

	pausing sync.Mutex
	pauses  []time.Duration
}

func newRig(t *testing.T) *rig { return newRigOn(t, imaptest.ServerOptions{}) }

func newRigOn(t *testing.T, o imaptest.ServerOptions) *rig {
	t.Helper()
	server, err := imaptest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	r := &rig{T: t, server: server, account: server.Account("user"), onPause: func() {}}
	r.opts = Options{
		Connections: connections(t), enough: 1, portion: 1, // share whatever there is
		Session: session.Options{
			Host: "127.0.0.1", Port: port(server.Addr), TLS: session.TLSNone, User: "user", Timeout: 10 * time.Second, Program: "mailark test",
			Password: func(context.Context) (string, error) { return "pw", nil },
		},
		Dir: filepath.Join(t.TempDir(), "old-mail"),
		Retry: Retry{Sleep: func(ctx context.Context, d time.Duration) error {
			r.pausing.Lock()
			defer r.pausing.Unlock()
			r.pauses = append(r.pauses, d)
			r.onPause()
			return ctx.Err()
		}},
	}
	return r
}

func port(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return number
}

// message makes octets that are not like any other's.
func message(n, size int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	out := fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\nSubject: %d\r\n\r\n", n, n)
	for len(out) < size {
		out = append(out, byte(rng.IntN(256)))
	}
	return out
}

// fill adds n messages of different sizes, flags and zones, and returns their UIDs.
func (r *rig) fill(mailbox string, n int) (uids []uint32) {
	for i := range n {
		number := len(r.account.Messages(mailbox))*1000 + len(mailbox)
		m := imaptest.Message{
			Octets:       message(number, 100+(number*7919)%9000),
			InternalDate: time.Date(2001+i%20, 2, 3, 4, 5, i%60, 0, time.FixedZone("", (i%24-12)*3600)),
		}
		if i%2 == 0 {
			m.Flags = append(m.Flags, `\Seen`)
		}
		if i%3 == 0 {
			m.Flags = append(m.Flags, "$Forwarded", `\Flagged`)
		}
		uids = append(uids, r.account.AddMessage(mailbox, m))
	}
	return uids
}

// run exports and demands the exit code.
func (r *rig) run(exit int) *Result {
	r.Helper()
	return r.runContext(r.Context(), exit)
}

func (r *rig) runContext(ctx context.Context, exit int) *Result {
	r.Helper()
	r.server.ForgetCommands()
	r.before = r.server.Connections()
	r.pauses = nil
	result, err := Run(ctx, r.opts)
	if got := result.ExitCode(); got != exit {
		r.Fatalf("exit %d, want %d (error %v)\n%v", got, exit, err, result)
	}
	r.checkReadOnly()
	return result
}

// checkReadOnly demands that no command was sent that could change the source.
func (r *rig) checkReadOnly() {
	r.Helper()
	harmless := []string{
		"CAPABILITY", "ID", "STARTTLS", "LOGIN", "AUTHENTICATE", "NAMESPACE", "LIST", "LSUB", "EXAMINE", "UID FETCH", "UID SEARCH", "STATUS",
		"NOOP", "LOGOUT",
	}
	for _, c := range r.server.Commands() {
		if !slices.Contains(harmless, c.Name) {
			r.Errorf("the source was sent %q", c.Line)
		}
		if c.Name == "UID FETCH" && strings.Contains(c.Line, "BODY") && !strings.Contains(c.Line, "BODY.PEEK[]") {
			r.Errorf("bodies were fetched without PEEK: %q", c.Line)
		}
	}
}

var fetchSet = regexp.MustCompile(`^UID FETCH ([0-9:,]+) .*BODY\.PEEK`)

// asked are the UIDs whose octets the last run asked for, as often as it did. The server may still be reading what an
// interrupted run before it had sent.
func (r *rig) asked() (uids []uint32) {
	r.Helper()
	for _, c := range r.server.Commands() {
		m := fetchSet.FindStringSubmatch(c.Line)
		if m == nil || c.Conn <= r.before {
			continue
		}
		for _, part := range strings.Split(m[1], ",") {
			first, last, isRange := strings.Cut(part, ":")
			a, errA := strconv.ParseUint(first, 10, 32)
			b, errB := a, error(nil)
			if isRange {
				b, errB = strconv.ParseUint(last, 10, 32)
			}
			if errA != nil || errB != nil {
				r.Fatalf("odd command %q", c.Line)
			}
			for uid := min(a, b); uid <= max(a, b); uid++ {
				uids = append(uids, uint32(uid))
			}
		}
	}
	return uids
}

// archive opens the archive.
func (r *rig) archive() *archive.Reader {
	r.Helper()
	a, err := archive.Open(r.opts.Dir, nil)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = a.Close() })
	return a
}

func (r *rig) mailbox(a *archive.Reader, name string) *archive.Mailbox {
	r.Helper()
	for _, m := range a.Mailboxes() {
		if m.Name() == name {
			return m
		}
	}
	r.Fatalf("the archive has no mailbox %q", name)
	return nil
}

// octets loads a message.
func (r *rig) octets(a *archive.Reader, m *archive.Message) []byte {
	r.Helper()
	sp := spool.New(r.TempDir())
	if err := a.Load(r.Context(), m, sp); err != nil {
		r.Fatalf("load UID %d: %v", m.UID, err)
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(sp.Open()); err != nil {
		r.Fatal(err)
	}
	_ = sp.Close()
	return buf.Bytes()
}

// checkEqual demands that the archive's picture of a mailbox is the server's: UIDs, octets, flags
// and dates. Without is left out.
func (r *rig) checkEqual(name string, without ...uint32) {
	r.Helper()
	a := r.archive()
	got := make(map[uint32]*archive.Message)
	for _, m := range a.Current(r.mailbox(a, name).ID) {
		if got[m.UID] != nil {
			r.Errorf("%s UID %d is there twice", name, m.UID)
		}
		got[m.UID] = m
	}
	for _, want := range r.account.Messages(name) {
		m := got[want.UID]
		delete(got, want.UID)
		switch {
		case slices.Contains(without, want.UID):
			if m != nil {
				r.Errorf("%s UID %d is in the archive", name, want.UID)
			}
		case m == nil:
			r.Errorf("%s UID %d is not in the archive", name, want.UID)
		case !bytes.Equal(r.octets(a, m), want.Octets):
			r.Errorf("%s UID %d: other octets", name, want.UID)
		case !sameFlags(m.Flags, want.Flags):
			r.Errorf("%s UID %d: flags %q, want %q", name, want.UID, m.Flags, want.Flags)
		case !m.InternalDate.Equal(want.InternalDate) || zone(m.InternalDate) != zone(want.InternalDate):
			r.Errorf("%s UID %d: date %v, want %v", name, want.UID, m.InternalDate, want.InternalDate)
		}
	}
	for uid := range got {
		r.Errorf("%s UID %d is in the archive and not on the server", name, uid)
	}
}

func zone(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

// checkSound runs the archive's own verification.
func (r *rig) checkSound() {
	r.Helper()
	res, err := archive.Verify(r.Context(), r.opts.Dir, nil, nil)
	if err != nil {
		r.Fatal(err)
	}
	for _, p := range res.Problems {
		r.Errorf("the archive is damaged: %v", p)
	}
}

// figures of one mailbox of a result.
func (r *rig) figures(result *Result, name string) Mailbox {
	r.Helper()
	for _, m := range result.Mailboxes {
		if m.Name == name {
			return m
		}
	}
	r.Fatalf("the result has no mailbox %q", name)
	return Mailbox{}
}

const envConnections = "MAILARK_TEST_CONNECTIONS"

// connections is how many a rig uses: four, unless the environment says otherwise.
func connections(t *testing.T) int {
	t.Helper()
	text := os.Getenv(envConnections)
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
