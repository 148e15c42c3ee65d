package exporter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/internal/imaptest"
)

// turns forwards connections and counts how often the client spoke after it had heard the server: the round trips that
// were waited for.
type turns struct {
	addr string
	far  atomic.Bool // the server's words take a while, so that commands sent one behind the other count as one turn

	mu    sync.Mutex
	n     int
	conns int
}

func countTurns(t *testing.T, to string) *turns {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &turns{addr: ln.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			heard := false // the server spoke last
			p.note(func() { p.conns++ })
			serving.Go(func() { p.forward(server, client, false, func() { p.n += b2i(heard); heard = false }) })
			serving.Go(func() { p.forward(client, server, true, func() { heard = true }) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	return p
}

func (p *turns) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *turns) forward(to, from net.Conn, toClient bool, spoke func()) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if toClient && p.far.Load() {
				time.Sleep(20 * time.Millisecond)
			}
			p.note(spoke)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// take is the number of turns since it was last asked for.
func (p *turns) take() (n, conns int) {
	p.far.Store(true)
	p.note(func() { n, conns = p.n, p.conns; p.n, p.conns = 0, 0 })
	return n, conns
}

// living is a real server's account, seen through a proxy that counts.
type living struct {
	*rig
	dovecot *imaptest.Dovecot
	turns   *turns
	cl      *imapclient.Client // another mail program
}

func newLiving(t *testing.T, o imaptest.DovecotOptions) *living {
	t.Helper()
	d, err := imaptest.StartDovecot(t.Context(), t.TempDir(), o)
	if errors.Is(err, imaptest.ErrNoDovecot) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })
	r := &living{rig: newRig(t), dovecot: d, turns: countTurns(t, d.Addr)}
	r.opts.Session.Port, r.opts.Session.User, r.opts.enough = port(r.turns.addr), "old", 0
	if r.cl, err = imapclient.DialInsecure(d.Addr, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cl.Close() })
	r.must(r.cl.Login("old", "pw").Wait())
	return r
}

func (r *living) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *living) add(mailbox string, n int) {
	r.Helper()
	for range n {
		octets := message(r.next(), 500)
		cmd := r.cl.Append(mailbox, int64(len(octets)), &imap.AppendOptions{Time: time.Unix(1e9, 0), Flags: []imap.Flag{"todo"}})
		_, err := cmd.Write(octets)
		r.must(errors.Join(err, cmd.Close()))
		_, err = cmd.Wait()
		r.must(err)
	}
}

var counter struct {
	sync.Mutex
	n int
}

func (r *living) next() int {
	counter.Lock()
	defer counter.Unlock()
	counter.n++
	return counter.n
}

func (r *living) open(mailbox string) {
	r.Helper()
	_, err := r.cl.Select(mailbox, nil).Wait()
	r.must(err)
}

// same demands that the archive holds what the server shows.
func (r *living) same(what string) {
	r.Helper()
	snap, err := imaptest.SnapshotIMAP(r.Context(), imaptest.Login{Addr: r.dovecot.Addr, User: "old", Password: "pw"})
	r.must(err)
	r.checkSnapshot(what, snap)
}

// TestDovecotTurns: with nothing new a run waits for the server a few times only, however many mailboxes there are.
func TestDovecotTurns(t *testing.T) {
	r := newLiving(t, imaptest.DovecotOptions{})
	for boxes := range 300 {
		r.must(r.cl.Create(fmt.Sprint("box ", boxes), nil).Wait())
		if boxes < 15 {
			r.add(fmt.Sprint("box ", boxes), 2)
		}
	}
	r.add("INBOX", 3)
	r.run(0)
	r.same("first run")
	r.turns.take()
	res := r.run(0)
	n, conns := r.turns.take()
	t.Logf("%d turns with nothing new", n)
	if n > 8 || conns != 1 || res.Total().Before != 33 {
		t.Errorf("%d turns on %d connections: %v", n, conns, res)
	}
	r.same("nothing new")
	r.open("box 3")
	r.must(r.cl.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close())
	r.add("box 4", 1)
	r.turns.take()
	res = r.run(0)
	n, _ = r.turns.take()
	t.Logf("%d turns with two changes", n)
	if n > 8 || res.Total().FlagsChanged != 1 || res.Total().Now != 1 {
		t.Errorf("%d turns: %v", n, res)
	}
	r.same("two changes")
}

// TestDovecotChanges: after whatever a mail program does the archive is equal to the server.
func TestDovecotChanges(t *testing.T) {
	r := newLiving(t, imaptest.DovecotOptions{})
	// The first run finds mail that no client has ever looked at.
	for _, name := range []string{"a", "b", "c", "d"} {
		r.must(r.cl.Create(name, nil).Wait())
		r.add(name, 40)
	}
	flags := func(op imap.StoreFlagsOp, set imap.UIDSet, flags ...imap.Flag) {
		r.must(r.cl.Store(set, &imap.StoreFlags{Op: op, Flags: flags}, nil).Close())
	}
	r.run(0)
	r.same("first run")
	for _, c := range []struct {
		what   string
		change func()
	}{
		{"other flags", func() { r.open("a"); flags(imap.StoreFlagsAdd, imap.UIDSetNum(3, 4), imap.FlagSeen, "late") }},
		{"fewer flags", func() { r.open("a"); flags(imap.StoreFlagsSet, imap.UIDSetNum(4)) }},
		{"new mail", func() { r.add("a", 2) }},
		{"deleted", func() {
			r.open("a")
			flags(imap.StoreFlagsAdd, imap.UIDSetNum(5, 6, 40), imap.FlagDeleted)
			r.must(r.cl.Expunge().Close())
		}},
		{"deleted, new mail, other flags", func() {
			r.open("b")
			flags(imap.StoreFlagsAdd, imap.UIDSetNum(1, 2), imap.FlagDeleted)
			r.must(r.cl.Expunge().Close())
			flags(imap.StoreFlagsSet, imap.UIDSetNum(9), imap.FlagAnswered)
			r.add("b", 2)
		}},
		{"moved", func() {
			r.open("c")
			_, err := r.cl.Move(imap.UIDSetNum(7, 8, 9), "d").Wait()
			r.must(err)
		}},
		{"a new mailbox", func() { r.must(r.cl.Create("e", nil).Wait()); r.add("e", 3) }},
		{"renamed", func() { r.must(r.cl.Rename("e", "f", nil).Wait()) }},
		{"another of the same name", func() {
			r.must(r.cl.Delete("d").Wait())
			r.must(r.cl.Create("d", nil).Wait())
			r.add("d", 43)
		}},
		{"by another program in the Maildir", func() {
			r.must(r.cl.Unselect().Wait())
			seen, err := filepath.Glob(filepath.Join(r.dovecot.Maildir("old"), ".c", "cur", "*"))
			if r.must(err); len(seen) == 0 {
				t.Fatal("no mail in the Maildir")
			}
			r.must(os.Rename(seen[0], seen[0]+"T"))
			r.must(os.Remove(seen[1]))
		}},
		{"a lost index", func() { // a new UIDVALIDITY, and changes counted from the beginning
			lost, err := filepath.Glob(filepath.Join(r.dovecot.Maildir("old"), ".a", "dovecot*"))
			for _, name := range lost {
				err = errors.Join(err, os.Remove(name))
			}
			r.must(err)
		}},
		{"flags behind the lost index", func() { r.open("a"); flags(imap.StoreFlagsAdd, imap.UIDSetNum(3, 4), imap.FlagDraft) }},
	} {
		c.change()
		r.run(0)
		r.same(c.what)
		r.run(0)
		r.same(c.what + ", again")
	}
}
