package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// inbox starts a server with n odd messages in INBOX and examines it.
func inbox(t *testing.T, n int, f imaptest.Faults) (*imaptest.Server, *session.Source) {
	t.Helper()
	s := start(t, imaptest.ServerOptions{})
	fill(s.Account("user"), "INBOX", n)
	s.SetFaults(f)
	src := source(t, plain(t, s))
	if _, err := src.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	return s, src
}

func key(uid uint32) imaptest.Key { return imaptest.Key{Mailbox: "INBOX", UID: uid} }

func once(uids ...uint32) map[imaptest.Key]int {
	m := map[imaptest.Key]int{}
	for _, uid := range uids {
		m[key(uid)] = 1
	}
	return m
}

// checkOctets compares what came with what the server has.
func checkOctets(t *testing.T, s *imaptest.Server, got map[uint32][]byte, missing ...uint32) {
	t.Helper()
	for _, m := range s.Account("user").Messages("INBOX") {
		octets, came := got[m.UID]
		if came == slices.Contains(missing, m.UID) {
			t.Errorf("UID %d: came %v", m.UID, came)
		} else if came && !bytes.Equal(octets, m.Octets) {
			t.Errorf("UID %d: octets changed", m.UID)
		}
	}
}

func TestFetchBodiesManyBatches(t *testing.T) {
	s, src := inbox(t, 1300, imaptest.Faults{})
	got, err := bodies(t, src)
	if err != nil {
		t.Fatal(err)
	}
	checkOctets(t, s, got)
	fetches := 0
	for _, cmd := range s.Commands() {
		if strings.Contains(cmd.Line, "BODY.PEEK[]") {
			fetches++
		}
	}
	if fetches != 3 {
		t.Errorf("%d commands for 1300 small messages", fetches)
	}
}

func TestFetchBodiesQuirks(t *testing.T) {
	all := imaptest.Always
	for name, c := range map[string]struct {
		faults  imaptest.Faults
		missing []uint32
	}{
		"flags before the body":        {imaptest.Faults{Flags: map[imaptest.Key]int{key(3): all, key(4): all, key(40): all}}, nil},
		"body missing from the line":   {imaptest.Faults{Bodiless: once(5, 6)}, []uint32{5, 6}},
		"expunged meanwhile":           {imaptest.Faults{Vanish: once(7)}, nil},
		"sizes are nonsense":           {imaptest.Faults{Sizes: map[imaptest.Key]uint32{key(1): 4_000_000_000, key(2): 0}}, nil},
		"EXISTS lies":                  {imaptest.Faults{ExistsLie: 5}, nil},
		"flags in place of everything": {imaptest.Faults{Flags: map[imaptest.Key]int{key(3): all}, Bodiless: once(3)}, []uint32{3}},
	} {
		t.Run(name, func(t *testing.T) {
			s, src := inbox(t, 60, c.faults)
			got, err := bodies(t, src)
			if err != nil {
				t.Fatal(err)
			}
			checkOctets(t, s, got, c.missing...)
			if len(c.missing) > 0 { // asking again helps
				err := src.FetchBodies(t.Context(), c.missing, make([]int64, len(c.missing)), collect(t, got))
				if err != nil {
					t.Fatal(err)
				}
				checkOctets(t, s, got)
			}
		})
	}
}

func TestFetchBodiesCut(t *testing.T) {
	s, src := inbox(t, 60, imaptest.Faults{Cut: once(30)})
	uids, sizes := metas(t, src)
	got := map[uint32][]byte{}
	cut := false
	err := src.FetchBodies(t.Context(), uids, sizes, func(uid uint32, size int64, r io.Reader) error {
		octets, err := io.ReadAll(r)
		if uid == 30 {
			cut = errors.Is(err, io.ErrUnexpectedEOF)
			if len(octets) == 0 || int64(len(octets)) >= size {
				t.Errorf("%d of %d octets came: the test cuts nothing", len(octets), size)
			}
			return err
		}
		got[uid] = octets
		return err
	})
	var e *session.Error
	if !cut || !errors.As(err, &e) || e.Scope != session.ScopeSession || e.Class != session.ClassRetry {
		t.Errorf("cut seen %v, error %v", cut, err)
	}
	if len(got) != 29 {
		t.Errorf("%d bodies before the cut", len(got))
	}
	if src.Cause() == nil {
		t.Error("the connection has no cause of loss")
	}
	again := source(t, plain(t, s))
	if _, err := again.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if err := again.FetchBodies(t.Context(), uids[29:], sizes[29:], collect(t, got)); err != nil {
		t.Fatal(err)
	}
	checkOctets(t, s, got)
}

func TestFetchBodiesRefused(t *testing.T) {
	s, src := inbox(t, 1300, imaptest.Faults{NoBody: map[imaptest.Key]int{key(700): imaptest.Always}})
	got, err := bodies(t, src)
	var e *session.Error
	if !errors.As(err, &e) || e.Scope != session.ScopeMessage || e.Code != "UNAVAILABLE" ||
		!strings.Contains(e.Error(), "Server error while fetching messages") {
		t.Fatalf("got %v", err)
	}
	if len(got) != 800 {
		t.Errorf("%d bodies of the other batches", len(got))
	}
	for uid := uint32(501); uid <= 1000; uid++ { // as an exporter would: one by one
		if err := src.FetchBodies(t.Context(), []uint32{uid}, []int64{0}, collect(t, got)); (err != nil) != (uid == 700) {
			t.Fatalf("UID %d: %v", uid, err)
		}
	}
	checkOctets(t, s, got, 700)
}

func TestFetchBodiesOddLines(t *testing.T) {
	o := script(t, `S: * PREAUTH [CAPABILITY IMAP4rev1] hi
		C: CAPABILITY
		S: * CAPABILITY IMAP4rev1
		S: $T OK
		C: LIST
		S: $T OK
		C: UID FETCH 1:6 (UID BODY.PEEK[])
		S: * 1 FETCH (UID 1 BODY[] NIL)
		S: * 2 FETCH (UID 2 BODY[] "quoted")
		R: * 3 FETCH (UID 3 BODY[] {0}\r\n)\r\n
		R: * 9 FETCH (UID 99 BODY[] {3}\r\nnot)\r\n
		R: * 4 FETCH (UID 4 BODY[HEADER] {3}\r\nnot)\r\n
		R: * 5 FETCH (UID 5 BODY[]<0> {3}\r\nnot)\r\n
		R: * 6 FETCH (FLAGS (\Seen) UID 6 BODY[] {6}\r\nT1 OK\x00)\r\n
		S: $T OK
		C: LOGOUT`)
	o.RootCAs = ""
	src := source(t, o)
	got := map[uint32][]byte{}
	if err := src.FetchBodies(t.Context(), []uint32{1, 2, 3, 4, 5, 6}, make([]int64, 6), collect(t, got)); err != nil {
		t.Fatal(err)
	}
	want := map[uint32]string{2: "quoted", 3: "", 6: "T1 OK\x00"}
	for uid, octets := range got {
		if w, ok := want[uid]; !ok || w != string(octets) {
			t.Errorf("UID %d: %q", uid, octets)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d bodies, want %d", len(got), len(want))
	}
}

func TestFetchBodiesCallbackError(t *testing.T) {
	_, src := inbox(t, 60, imaptest.Faults{})
	uids, sizes := metas(t, src)
	full := errors.New("disk full")
	calls := 0
	err := src.FetchBodies(t.Context(), uids, sizes, func(uint32, int64, io.Reader) error {
		calls++
		if calls == 3 {
			return full
		}
		return nil // without reading: what is left must be passed over
	})
	if !errors.Is(err, full) || calls != 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	if err := src.Noop(t.Context()); err != nil {
		t.Errorf("so little was left, yet the connection is lost: %v", err)
	}
}

// bigInbox has more mail than any buffer on the way holds.
func bigInbox(t *testing.T) *session.Source {
	t.Helper()
	s := start(t, imaptest.ServerOptions{})
	for range 40 {
		s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: make([]byte, 1<<20)})
	}
	src := source(t, plain(t, s))
	if _, err := src.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	return src
}

func TestFetchBodiesGivesUpTheConnection(t *testing.T) {
	src := bigInbox(t)
	uids, sizes := metas(t, src)
	full := errors.New("disk full")
	err := src.FetchBodies(t.Context(), uids, sizes, func(uint32, int64, io.Reader) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	var e *session.Error
	if err := src.Noop(t.Context()); !errors.As(err, &e) || e.Scope != session.ScopeSession {
		t.Errorf("Noop: %v", err)
	}
}

func TestFetchCancelled(t *testing.T) {
	src := bigInbox(t)
	uids, sizes := metas(t, src)
	ctx, cancel := context.WithCancel(t.Context())
	err := src.FetchBodies(ctx, uids, sizes, func(uint32, int64, io.Reader) error {
		cancel()
		return nil
	})
	var e *session.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &e) || e.Class != session.ClassFinal {
		t.Errorf("got %v", err)
	}
}

func TestSilentServer(t *testing.T) {
	s := start(t, imaptest.ServerOptions{})
	fill(s.Account("user"), "INBOX", 3)
	s.SetFaults(imaptest.Faults{Silent: map[string]int{"UID FETCH": 1}})
	o := plain(t, s)
	o.Timeout = 50 * time.Millisecond
	src := source(t, o)
	if _, err := src.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	err := src.FetchMeta(t.Context(), 1, func(session.Meta) error { return nil })
	var e *session.Error
	if !errors.As(err, &e) || e.Scope != session.ScopeSession || e.Class != session.ClassRetry ||
		!strings.Contains(err.Error(), "server silent for 50ms") {
		t.Errorf("got %v", err)
	}
}

func TestFetchMeta(t *testing.T) {
	for name, faults := range map[string]imaptest.Faults{
		"plain":                 {},
		"flags before the data": {Flags: once(2, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			s, src := inbox(t, 6, faults)
			var got []string
			err := src.FetchMeta(t.Context(), 2, func(m session.Meta) error {
				got = append(got, fmt.Sprint(m.UID, m.Flags, m.InternalDate.Format(time.RFC3339), m.Size))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, m := range s.Account("user").Messages("INBOX")[1:] {
				flags := slices.Clone(m.Flags)
				want = append(want, fmt.Sprint(m.UID, flags, m.InternalDate.Format(time.RFC3339), len(m.Octets)))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// TestFetchMetaBeyondTheEnd asks for what is newer than the last message: servers answer n:* with the
// last message whatever n is.
func TestFetchMetaBeyondTheEnd(t *testing.T) {
	_, src := inbox(t, 6, imaptest.Faults{})
	err := src.FetchMeta(t.Context(), 7, func(m session.Meta) error {
		t.Errorf("UID %d is not new", m.UID)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFetchMetaCallbackError(t *testing.T) {
	_, src := inbox(t, 6, imaptest.Faults{})
	enough := errors.New("enough")
	calls := 0
	err := src.FetchMeta(t.Context(), 1, func(session.Meta) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	if err := src.Noop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExamine(t *testing.T) {
	s, src := inbox(t, 3, imaptest.Faults{})
	s.Account("user").SetUIDValidity("INBOX", 77, 5)
	sel, err := src.Examine(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	if sel.Exists != 3 || sel.UIDValidity != 77 || sel.UIDNext != 8 || !sel.ReadOnly {
		t.Errorf("got %+v", *sel)
	}
	_, err = src.Examine(t.Context(), "none")
	var e *session.Error
	if !errors.As(err, &e) || e.Scope != session.ScopeMailbox || e.Class != session.ClassFinal ||
		e.Code != "NONEXISTENT" || !strings.HasPrefix(e.Error(), `EXAMINE "none": `) {
		t.Errorf("got %v", err)
	}
}

func TestPermanentFlags(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"none sent": {"", nil},
		"empty":     {"S: * OK [PERMANENTFLAGS ()] none", []string{}},
		"wildcard":  {`S: * OK [PERMANENTFLAGS (\Seen \*)] any`, []string{`\Seen`, `\*`}},
	} {
		t.Run(name, func(t *testing.T) {
			o := script(t, "S: * PREAUTH [CAPABILITY IMAP4rev1] hi\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: $T OK\n"+
				"C: LIST\nS: $T OK\nC: EXAMINE INBOX\n"+c.line+"\nS: $T OK [READ-ONLY] in\nC: LOGOUT\n")
			o.RootCAs = ""
			sel, err := source(t, o).Examine(t.Context(), "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			if (sel.PermanentFlags == nil) != (c.want == nil) || !slices.Equal(sel.PermanentFlags, c.want) {
				t.Errorf("got %#v, want %#v", sel.PermanentFlags, c.want)
			}
		})
	}
}
