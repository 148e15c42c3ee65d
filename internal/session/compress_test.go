package session_test

import (
	"slices"
	"testing"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// TestCompressedSession reads and adds mail over compressed connections, inside TLS and without.
func TestCompressedSession(t *testing.T) {
	s := start(t, imaptest.ServerOptions{Compress: true})
	fill(s.Account("user"), "INBOX", 120)
	for _, mode := range []session.TLSMode{session.TLSNone, session.TLSImplicit, session.TLSStartTLS} {
		addr := s.Addr
		if mode == session.TLSImplicit {
			addr = s.TLSAddr
		}
		o := options(t, mode, addr, s.CAPEM)
		o.Compress = session.CompressOn
		s.ForgetCommands()
		src, dst := source(t, o), target(t, o)
		name := "Copy " + string(mode)
		s.Account("user").AddMailbox(imaptest.Mailbox{Name: name})
		copyMailbox(t, src, dst, "INBOX", name)
		if _, err := src.Examine(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		got, err := bodies(t, src)
		if err != nil || len(got) != 120 {
			t.Fatalf("%d bodies, %v", len(got), err)
		}
		left := map[string]bool{}
		for i := range 120 {
			left[string(oddOctets(i))] = true
		}
		for _, octets := range got { // in any order
			delete(left, string(octets))
		}
		if len(left) > 0 {
			t.Errorf("%v: %d messages are not what they were", mode, len(left))
		}
		var names []string
		for _, cmd := range s.Commands() {
			names = append(names, cmd.Name)
		}
		if asked := slices.Index(names, "COMPRESS"); asked < 1 || slices.Index(names, "AUTHENTICATE") > asked || slices.Index(names, "ID") < asked {
			t.Errorf("COMPRESS is not between the sign-in and the rest: %q", names)
		}
	}
}

// TestCompressWhenWorthIt: to this machine it is not, and a server that does not offer it is not asked.
func TestCompressWhenWorthIt(t *testing.T) {
	for _, c := range []struct {
		when    session.Compress
		offered bool
		asked   bool
	}{
		{"", true, false}, {session.CompressAuto, true, false}, {session.CompressOff, true, false},
		{session.CompressOn, true, true}, {session.CompressOn, false, false},
	} {
		s := start(t, imaptest.ServerOptions{Compress: c.offered})
		o := plain(t, s)
		o.Compress = c.when
		_ = source(t, o).Close()
		asked := slices.ContainsFunc(s.Commands(), func(cmd imaptest.Command) bool { return cmd.Name == "COMPRESS" })
		if asked != c.asked {
			t.Errorf("%q, offered %v: asked %v", c.when, c.offered, asked)
		}
	}
	s := start(t, imaptest.ServerOptions{Compress: true})
	s.SetFaults(imaptest.Faults{Refuse: map[string]int{"COMPRESS": 1}})
	o := plain(t, s)
	o.Compress = session.CompressOn
	if _, err := source(t, o).List(t.Context()); err != nil {
		t.Errorf("refused, and then: %v", err)
	}
}
