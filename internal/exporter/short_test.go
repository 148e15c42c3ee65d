package exporter

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailark/internal/session"
	"mailark/internal/spool"
)

// shortServer announces more octets for UID 2 than it sends, so that what follows fills the gap.
type shortServer struct {
	mu     sync.Mutex
	short  int // so many times; below 0: always
	octets int // how many are missing
	lies   int // so many times EXAMINE tells of two messages more
}

var shortBodies = []string{"", "one\r\n" + strings.Repeat("1", 300), "two\r\n" + strings.Repeat("2", 400), "three\r\n" + strings.Repeat("3", 500)}

func (s *shortServer) start(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(c) })
		}
	})
	return ln.Addr().String()
}

func (s *shortServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprint(c, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		_, _ = fmt.Fprintf(c, "%s%s OK done\r\n", s.answer(strings.ToUpper(command)), tag)
	}
}

func (s *shortServer) answer(command string) string {
	switch {
	case strings.HasPrefix(command, "CAPABILITY"):
		return "* CAPABILITY IMAP4rev1\r\n"
	case strings.HasPrefix(command, "LIST"):
		return "* LIST () \"/\" INBOX\r\n"
	case strings.HasPrefix(command, "EXAMINE"):
		s.mu.Lock()
		defer s.mu.Unlock()
		exists := 3
		if s.lies > 0 {
			s.lies--
			exists += 2
		}
		return fmt.Sprintf("* %d EXISTS\r\n", exists) + "* OK [UIDVALIDITY 9] x\r\n* OK [UIDNEXT 4] x\r\n"
	case strings.HasPrefix(command, "UID FETCH") && strings.Contains(command, "BODY.PEEK"):
		return s.bodies(strings.Fields(command)[2])
	case strings.HasPrefix(command, "UID FETCH"):
		var out strings.Builder
		for uid, body := range shortBodies[1:] {
			fmt.Fprintf(&out, "* %d FETCH (UID %d FLAGS () INTERNALDATE \"02-Feb-2002 02:02:02 +0900\" RFC822.SIZE %d)\r\n",
				uid+1, uid+1, len(body))
		}
		return out.String()
	}
	return ""
}

func (s *shortServer) bodies(set string) string {
	var out strings.Builder
	for uid := 1; uid <= 3; uid++ {
		all := set == "1:3"
		if !all && !strings.Contains(","+strings.ReplaceAll(set, ":", ",")+",", fmt.Sprintf(",%d,", uid)) {
			continue
		}
		body := shortBodies[uid]
		fmt.Fprintf(&out, "* %d FETCH (UID %d BODY[] {%d}\r\n", uid, uid, len(body))
		s.mu.Lock()
		if uid == 2 && s.short != 0 {
			s.short--
			body = body[:len(body)-s.octets]
		}
		s.mu.Unlock()
		out.WriteString(body + ")\r\n")
	}
	return out.String()
}

// rig starts the server; the rig has no account.
func (s *shortServer) rig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t}
	r.opts = Options{
		Connections: connections(t), enough: 1, portion: 1, // share whatever there is
		Session: session.Options{
			Host: "127.0.0.1", Port: port(s.start(t)), TLS: session.TLSNone, User: "u", Timeout: 200 * time.Millisecond,
			Password: func(context.Context) (string, error) { return "p", nil },
		},
		Dir:   filepath.Join(t.TempDir(), "a"),
		Retry: Retry{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
	}
	return r
}

// EXISTS is wrong once: the second look settles it.
func TestSecondLook(t *testing.T) {
	for lies, exit := range map[int]int{1: 0, 2: 4} {
		r := (&shortServer{lies: lies}).rig(t)
		if res, err := Run(t.Context(), r.opts); res.ExitCode() != exit || res.Total().Now != 3 {
			t.Errorf("%d lies: exit %d, want %d: %v\n%v", lies, res.ExitCode(), exit, err, res)
		}
	}
}

// A literal shorter than announced arrives with the announced length, filled up from the next
// answers. It must never be taken for the message.
func TestShortLiteral(t *testing.T) {
	for _, c := range []struct {
		short, octets, exit int
	}{
		{1, 40, 0}, {2, 40, 0}, {-1, 40, 3}, {-1, 5, 3}, {-1, 1, 3}, {-1, 300, 3}, {1, 15, 0},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			r := (&shortServer{short: c.short, octets: c.octets}).rig(t)
			res, err := Run(t.Context(), r.opts)
			if res.ExitCode() != c.exit {
				t.Fatalf("exit %d, want %d: %v\n%v", res.ExitCode(), c.exit, err, res)
			}
			a := r.archive()
			for _, m := range a.Current(1) {
				if got := string(r.octets(a, m)); got != shortBodies[m.UID] {
					t.Errorf("UID %d is archived as %q", m.UID, got)
				}
			}
			if n := len(a.Current(1)); n != 3-len(res.Refused) || c.exit == 3 && (len(res.Refused) != 1 || res.Refused[0].UID != 2) {
				t.Errorf("%d messages archived, refused %+v", n, res.Refused)
			}
		})
	}
}

// A message is handed over when the next one begins or the server says that all went well, not before.
func TestHeldBack(t *testing.T) {
	free, jobs := make(chan *spool.Spool, 2), make(chan job, 2)
	for range cap(free) {
		free <- spool.New(t.TempDir())
	}
	wants := wantsOf(2)
	wants[0].Size, wants[1].Size = 3, 3
	f := &fetcher{
		transfer: &transfer{crew: newCrew(new(Options)), free: free, jobs: jobs}, link: new(link),
		asked: map[uint32]*want{1: wants[0], 2: wants[1]},
	}
	if err := f.receive(t.Context(), 1, 3, strings.NewReader("one")); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 0 || wants[0].done {
		t.Fatal("the message was handed over before anything followed it")
	}
	if err := f.receive(t.Context(), 2, 3, strings.NewReader("two")); err != nil {
		t.Fatal(err)
	}
	if got := (<-jobs).body; got.want != wants[0] || !wants[0].done || wants[1].done {
		t.Fatal("the first message was not handed over when the second one came")
	}
	suspect, _ := f.afterLoss(context.DeadlineExceeded)
	if suspect != wants[1] || wants[1].done || f.held != nil {
		t.Error("the last message before the loss is not in doubt")
	}
	if back := (<-jobs).body; back.want != nil {
		t.Error("the message in doubt was handed over")
	}
}
