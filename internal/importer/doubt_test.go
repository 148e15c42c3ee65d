package importer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"mailark/internal/imaptest"
)

// through leads an import through a proxy that edits the lines the server sends; nil: the line is lost.
func through(t *testing.T, opts *Options, s *imaptest.Server, edit func([]byte) []byte) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.Addr)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() {
				defer func() { _ = client.Close() }()
				lines := bufio.NewReader(server)
				for {
					line, err := lines.ReadBytes('\n')
					_, _ = client.Write(edit(line))
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	addr, err := netip.ParseAddrPort(ln.Addr().String())
	must(t, err)
	opts.Target.Port = int(addr.Port())
}

// once makes one fault of one APPEND.
func once(n int, fault imaptest.AppendFault) func(imaptest.AppendCall) imaptest.AppendFault {
	return func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N == n {
			return fault
		}
		return imaptest.AppendOK
	}
}

// TestShortList: the target lists fewer messages than it has. What is missing in the list proves nothing.
func TestShortList(t *testing.T) {
	msgs := mails("m", 5)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: once(3, imaptest.AppendStoreDrop)})
	opts := options(t, dir, s)
	data := regexp.MustCompile(`^\* \d+ FETCH .*RFC822\.SIZE`)
	var whole atomic.Bool
	through(t, &opts, s, func(line []byte) []byte {
		if !whole.Load() && data.Match(line) {
			return nil
		}
		return line
	})
	sum, _ := Run(t.Context(), opts)
	if total := sum.Total(); sum.ExitCode() != 3 || total.InDoubt == 0 || !strings.Contains(sum.Mailboxes[0].Reason, "does not list") {
		t.Errorf("%s exit %d, reason %q", numbers(total), sum.ExitCode(), sum.Mailboxes[0].Reason)
	}
	if n := len(s.Account("user").Messages("INBOX")); n > len(msgs) {
		t.Errorf("%d messages", n)
	}
	// Without the ledger nothing is sent either.
	must(t, os.Remove(ledgerFile(t, dir)))
	s.ForgetCommands()
	if sum, _ := Run(t.Context(), opts); sum.ExitCode() != 3 || appends(s) > 0 {
		t.Errorf("ledger lost: exit %d, %d APPENDs", sum.ExitCode(), appends(s))
	}
	whole.Store(true)
	runWant(t, opts, "5=0+2+3+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}

// TestFalseBody: the body of the message in doubt is given as empty, or missing: that is no other message.
func TestFalseBody(t *testing.T) {
	for name, set := range map[string]func(*imaptest.Faults, map[imaptest.Key]int){
		"empty":   func(f *imaptest.Faults, m map[imaptest.Key]int) { f.Emptied = m },
		"missing": func(f *imaptest.Faults, m map[imaptest.Key]int) { f.Bodiless = m },
	} {
		t.Run(name, func(t *testing.T) {
			msgs := mails("m", 5)
			msgs[2].octets = mail("long", strings.Repeat("no other message can be as long as this one\n", 100))
			dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
			s := newServer(t, imaptest.ServerOptions{})
			f := imaptest.Faults{Append: once(3, imaptest.AppendStoreDrop)}
			set(&f, map[imaptest.Key]int{{Mailbox: "INBOX", UID: 3}: imaptest.Always})
			s.SetFaults(f)
			sum := runWant(t, options(t, dir, s), "5=0+4+0+0+0+1", 3)
			if sum.Total().InDoubt != 1 {
				t.Errorf("problems %v", sum.Problems)
			}
			s.SetFaults(imaptest.Faults{})
			runWant(t, options(t, dir, s), "5=5+0+0+0+0+0", 0)
			sameMail(t, s, "INBOX", msgs)
		})
	}
}

// TestHeaderAdded: the target adds a field to what it stores, and the answer is lost. Date or Message-ID
// show that the message may be there.
func TestHeaderAdded(t *testing.T) {
	for name, keepDate := range map[string]bool{"date": true, "Message-ID": false} {
		t.Run(name, func(t *testing.T) {
			msgs := mails("m", 5)
			dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
			s := newServer(t, imaptest.ServerOptions{NoUIDPlus: true})
			added := "X-Added: 1\r\n" + msgs[2].octets
			s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
				if a.N != 3 {
					return imaptest.AppendOK
				}
				m := imaptest.Message{Octets: []byte(added), InternalDate: day(500)}
				if keepDate {
					m = imaptest.Message{Octets: []byte("Subject: a notice in its place\r\n\r\nx\r\n"), InternalDate: msgs[2].date}
				}
				s.Account("user").AddMessage("INBOX", m)
				return imaptest.AppendDrop
			}})
			sum := runWant(t, options(t, dir, s), "5=0+4+0+0+0+1", 3)
			if sum.Total().InDoubt != 1 || !strings.Contains(sum.Problems[0].Text, "UID 3") {
				t.Errorf("problems %v", sum.Problems)
			}
			s.Account("user").Expunge("INBOX", 3)
			runWant(t, options(t, dir, s), "5=4+1+0+0+0+0", 0)
			sameMail(t, s, "INBOX", msgs)
		})
	}
}

// TestUIDNextTooHigh: the message in doubt has a lower UID than the target had said it would have.
func TestUIDNextTooHigh(t *testing.T) {
	for _, o := range []imaptest.ServerOptions{{}, {NoUIDPlus: true}} {
		msgs := twins(5)
		dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
		s := newServer(t, o)
		s.SetFaults(imaptest.Faults{Append: once(3, imaptest.AppendStoreDrop)})
		opts := options(t, dir, s)
		through(t, &opts, s, func(line []byte) []byte {
			return bytes.Replace(line, []byte("[UIDNEXT "), []byte("[UIDNEXT 10"), 1)
		})
		runWant(t, opts, "11=0+11+0+0+0+0", 0)
		sameMail(t, s, "INBOX", msgs)
	}
}

// TestAdoptBesidesOthers: there is mail the ledger does not know, though the target holds no more messages than
// the ledger: people have deleted some.
func TestAdoptBesidesOthers(t *testing.T) {
	msgs := mails("m", 20)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs[:10]})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	runWant(t, opts, "10=0+10+0+0+0+0", 0)
	old, err := os.ReadFile(ledgerFile(t, dir))
	must(t, err)
	exportAgain(t, dir, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	runWant(t, opts, "20=10+10+0+0+0+0", 0)
	must(t, os.WriteFile(ledgerFile(t, dir), old, 0o600)) // an old copy of the ledger
	for uid := range uint32(10) {
		s.Account("user").Expunge("INBOX", uid+1)
	}
	runWant(t, opts, "20=10+0+10+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs[10:])
}

// TestAlteredTwin: a message stored with altered octets is equal to another, which was not stored.
func TestAlteredTwin(t *testing.T) {
	lf := msgSpec{octets: "Subject: a\n\nx\n", date: day(1)}
	crlf := msgSpec{octets: "Subject: a\r\n\r\nx\r\n", date: day(1)}
	for name, alters := range map[string]bool{"alters": true, "keeps": false} {
		t.Run(name, func(t *testing.T) {
			dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: []msgSpec{lf, crlf}})
			s := newServer(t, imaptest.ServerOptions{NoUIDPlus: true})
			acc := s.Account("user")
			fault := imaptest.AppendStoreDrop
			if alters {
				fault = imaptest.AppendDrop
			}
			s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
				if a.N != 2 {
					return imaptest.AppendOK
				}
				if alters {
					acc.Expunge("INBOX", 1)
					acc.AddMessage("INBOX", imaptest.Message{Octets: []byte(crlf.octets), InternalDate: lf.date})
				}
				return fault
			}})
			sum, err := Run(t.Context(), options(t, dir, s))
			if total := sum.Total(); err != nil || total.Uploaded != 2 || len(acc.Messages("INBOX")) != 2 {
				t.Errorf("%s, target holds %d: %v", numbers(total), len(acc.Messages("INBOX")), err)
			}
		})
	}
}

// TestNewNumbersEachTime: a target that numbers its messages anew with each SELECT and gives little on
// one connection does not hold an import for ever.
func TestNewNumbersEachTime(t *testing.T) {
	msgs := mails("m", 60)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	for i := range msgs {
		// Alike in size, so that all must be fetched, and none is the one.
		m := imaptest.Message{Octets: []byte(strings.Replace(msgs[i].octets, "Subject: m", "Subject: M", 1))}
		s.Account("user").AddMessage("INBOX", m)
	}
	opts := options(t, dir, s)
	validity := regexp.MustCompile(`\[UIDVALIDITY \d+\]`)
	through(t, &opts, s, func(line []byte) []byte { return validity.ReplaceAll(line, []byte("[UIDVALIDITY 0]")) })
	s.SetFaults(imaptest.Faults{CloseAfter: 11000, CloseTimes: imaptest.Always})
	if sum, _ := Run(t.Context(), opts); !errors.Is(sum.Err, ErrGaveUp) {
		t.Errorf("%s: %v", numbers(sum.Total()), sum.Err)
	}
}

// TestAnotherImport: somebody else brings the same mail meanwhile, which shows when the connection is made
// anew.
func TestAnotherImport(t *testing.T) {
	msgs := mails("m", 100)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N != 3 {
			return imaptest.AppendOK
		}
		for _, m := range msgs[50:] {
			s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: []byte(m.octets), InternalDate: m.date})
		}
		return imaptest.AppendDrop
	}})
	runWant(t, options(t, dir, s), "100=0+50+50+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}
