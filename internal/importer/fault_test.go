package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/imaptest"
)

// faultsOfAppend are all that can go wrong with one APPEND and leaves the message acceptable.
func faultsOfAppend() map[string]imaptest.AppendFault {
	return map[string]imaptest.AppendFault{
		"stored, dropped":     imaptest.AppendStoreDrop,
		"stored, silent":      imaptest.AppendStoreSilent,
		"not stored, dropped": imaptest.AppendDrop,
		"cut in the literal":  imaptest.AppendCut,
		"no UID":              imaptest.AppendNoUID,
		"malformed UID":       imaptest.AppendBadUID,
	}
}

// serverKinds are the kinds of targets every fault must be survived with.
func serverKinds() map[string]imaptest.ServerOptions {
	return map[string]imaptest.ServerOptions{
		"all":                  {},
		"no UIDPLUS":           {NoUIDPlus: true},
		"no LITERAL+":          {NoLiteralPlus: true},
		"no UIDPLUS, LITERAL+": {NoUIDPlus: true, NoLiteralPlus: true},
	}
}

// twins is mail with all that makes messages hard to tell apart.
func twins(n int) []msgSpec {
	msgs := mails("m", n)
	same := msgSpec{octets: mail("same", "text"), date: day(100)}
	other := msgSpec{octets: mail("same", "TEXT"), date: day(100)} // same Message-ID, size and date
	later := msgSpec{octets: same.octets, date: day(101)}
	big := msgSpec{octets: mail("big", strings.Repeat("0123456789abcdef\n", 6000)), date: day(102)}
	return append(msgs, same, other, same, later, other, big)
}

// TestAppendFaults: each fault, at several places, on each kind of target. Nothing is lost and
// nothing is there twice, and the second run does nothing.
func TestAppendFaults(t *testing.T) {
	msgs := twins(30)
	for kind, o := range serverKinds() {
		for name, fault := range faultsOfAppend() {
			for _, every := range []int{1000, 7, 2} {
				if fault == imaptest.AppendStoreSilent && every < 1000 {
					continue // each costs the timeout
				}
				t.Run(fmt.Sprintf("%s/%s/every %d", kind, name, every), func(t *testing.T) {
					t.Parallel()
					dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
					s := newServer(t, o)
					s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
						if a.N == 3 || a.N%every == 0 {
							return fault
						}
						return imaptest.AppendOK
					}})
					opts := options(t, dir, s)
					opts.Target.Timeout = 500 * time.Millisecond
					opts.Reconnects = 100
					runWant(t, opts, "36=0+36+0+0+0+0", 0)
					sameMail(t, s, "INBOX", msgs)
					runWant(t, opts, "36=36+0+0+0+0+0", 0)
				})
			}
		}
	}
}

// TestRandomFaults mixes all faults.
func TestRandomFaults(t *testing.T) {
	kinds := serverKinds()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			var list []imaptest.AppendFault
			for name, f := range faultsOfAppend() {
				if !strings.Contains(name, "silent") {
					list = append(list, f)
				}
			}
			o := kinds[[]string{"all", "no UIDPLUS", "no LITERAL+", "no UIDPLUS, LITERAL+"}[seed%4]]
			msgs := twins(60)
			dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
			s := newServer(t, o)
			s.SetFaults(imaptest.Faults{Append: func(imaptest.AppendCall) imaptest.AppendFault {
				if rnd.IntN(4) > 0 {
					return imaptest.AppendOK
				}
				return list[rnd.IntN(len(list))]
			}})
			opts := options(t, dir, s)
			opts.Reconnects = 1000
			runWant(t, opts, "66=0+66+0+0+0+0", 0)
			sameMail(t, s, "INBOX", msgs)
		})
	}
}

func TestRefused(t *testing.T) {
	msgs := mails("m", 40)
	for _, fault := range []imaptest.AppendFault{imaptest.AppendRefuse, imaptest.AppendRefuseEarly} {
		for kind, o := range serverKinds() {
			t.Run(fmt.Sprint(kind, fault), func(t *testing.T) {
				dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
				s := newServer(t, o)
				s.SetFaults(imaptest.Faults{
					Append: func(a imaptest.AppendCall) imaptest.AppendFault {
						if a.Size == int64(len(msgs[9].octets)) {
							return fault
						}
						return imaptest.AppendOK
					},
					AppendAnswer: &imap.Error{Type: imap.StatusResponseTypeBad, Code: "TOOBIG", Text: "No \x1b[1mway"},
				})
				var kept []msgSpec
				for _, m := range msgs {
					if len(m.octets) != len(msgs[9].octets) {
						kept = append(kept, m)
					}
				}
				n := len(msgs) - len(kept)
				opts := options(t, dir, s)
				sum := runWant(t, opts, fmt.Sprintf("40=0+%d+0+%d+0+0", len(kept), n), 3)
				if len(sum.Problems) != n || !strings.Contains(sum.Problems[0].Text, "way") || sum.Problems[0].Earlier {
					t.Errorf("problems %v", sum.Problems)
				}
				var b bytes.Buffer
				must(t, sum.Print(&b))
				if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "Not uploaded:") {
					t.Errorf("printed %q", &b)
				}
				sameMail(t, s, "INBOX", kept)

				// The next run lists them and does not try; RetryRefused does.
				s.ForgetCommands()
				sum = runWant(t, opts, fmt.Sprintf("40=%d+0+0+%d+0+0", len(kept), n), 3)
				if appends(s) != 0 || len(sum.Problems) != n || !sum.Problems[0].Earlier {
					t.Errorf("%d APPENDs, problems %v", appends(s), sum.Problems)
				}
				s.SetFaults(imaptest.Faults{})
				opts.RetryRefused = true
				runWant(t, opts, fmt.Sprintf("40=%d+%d+0+0+0+0", len(kept), n), 0)
				sameMail(t, s, "INBOX", msgs)
			})
		}
	}
}

// TestPoison: one message ends every connection it is sent on.
func TestPoison(t *testing.T) {
	msgs := mails("m", 50)
	msgs[20].octets = mail("poison", strings.Repeat("x", 3000))
	for kind, o := range serverKinds() {
		t.Run(kind, func(t *testing.T) {
			dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
			s := newServer(t, o)
			s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
				if a.Size > 3000 {
					return imaptest.AppendDrop
				}
				return imaptest.AppendOK
			}})
			sum := runWant(t, options(t, dir, s), "50=0+49+0+1+0+0", 3)
			// Three times among others, twice alone.
			if !strings.Contains(sum.Problems[0].Text, "closed the connection each time this message was sent (5 times)") || sum.Problems[0].Key.UID != 21 {
				t.Errorf("problems %v", sum.Problems)
			}
			sameMail(t, s, "INBOX", append(msgs[:20:20], msgs[21:]...))
		})
	}
}

// TestShortSessions: a server that ends every connection after a few messages refuses nobody.
func TestShortSessions(t *testing.T) {
	msgs := mails("m", 60)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N%3 == 0 {
			return imaptest.AppendDrop
		}
		return imaptest.AppendOK
	}})
	runWant(t, options(t, dir, s), "60=0+60+0+0+0+0", 0)
	wantMail(t, s, "INBOX", msgs)
}

func TestOverQuota(t *testing.T) {
	msgs := mails("m", 100)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs}, boxSpec{path: []string{"Z"}, msgs: msgs[:1]})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{
		Append: func(a imaptest.AppendCall) imaptest.AppendFault {
			if a.N > 30 {
				return imaptest.AppendRefuse
			}
			return imaptest.AppendOK
		},
		AppendAnswer: &imap.Error{Type: imap.StatusResponseTypeNo, Code: "OVERQUOTA", Text: "Mailbox is full"},
	})
	sum := runWant(t, options(t, dir, s), "101=0+30+0+0+0+71", 13)
	if !errors.Is(sum.Err, ErrTargetFull) || !strings.Contains(sum.Reason, "Mailbox is full") {
		t.Errorf("reason %q", sum.Reason)
	}
	s.SetFaults(imaptest.Faults{})
	runWant(t, options(t, dir, s), "101=30+71+0+0+0+0", 0)
	wantMail(t, s, "INBOX", msgs)
}

// TestThrottled: a server that asks for patience gets it, and loses no message by it.
func TestThrottled(t *testing.T) {
	msgs := mails("m", 40)
	busy := &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Request is throttled. Suggested Backoff Time: 300000 milliseconds"}
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{AppendAnswer: busy, Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N > 10 && a.N < 60 {
			return imaptest.AppendRefuse
		}
		return imaptest.AppendOK
	}})
	opts := options(t, dir, s)
	opts.Reconnects = 60 // how many messages share an answer is a matter of timing
	runWant(t, opts, "40=0+40+0+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)

	// For ever: the run ends and says that it can be run again.
	dir = newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s = newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{AppendAnswer: busy, Append: func(imaptest.AppendCall) imaptest.AppendFault {
		return imaptest.AppendRefuse
	}})
	sum := runWant(t, options(t, dir, s), "40=0+0+0+0+0+40", 75)
	if !errors.Is(sum.Err, ErrGaveUp) {
		t.Errorf("%v", sum.Err)
	}

	// One message alone: it is refused in the end, the others are stored.
	s = newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{AppendAnswer: busy, RefuseOctets: func(octets []byte) bool {
		return string(octets) == msgs[5].octets
	}})
	runWant(t, options(t, dir, s), "40=0+39+0+1+0+0", 3)
}

// TestGone: the server goes away for good.
func TestGone(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: mails("m", 10)})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N > 3 {
			s.SetFaults(imaptest.Faults{Greeting: imaptest.Always})
			return imaptest.AppendStoreDrop
		}
		return imaptest.AppendOK
	}})
	sum, _ := Run(t.Context(), options(t, dir, s))
	if sum.ExitCode() != 75 || !errors.Is(sum.Err, ErrGaveUp) {
		t.Errorf("exit %d, %v", sum.ExitCode(), sum.Err)
	}
	if total := sum.Total(); total.InDoubt == 0 || total.Uploaded != 3 {
		t.Errorf("%s, %d in doubt", numbers(total), total.InDoubt)
	}
	s.SetFaults(imaptest.Faults{})
	sum, _ = Run(t.Context(), options(t, dir, s))
	if sum.ExitCode() != 0 {
		t.Errorf("exit %d, %v", sum.ExitCode(), sum.Err)
	}
	sameMail(t, s, "INBOX", mails("m", 10))
}

func TestTryCreate(t *testing.T) {
	msgs := mails("m", 50)
	dir := newArchive(t, boxSpec{path: []string{"Work"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N == 20 {
			s.Account("user").RemoveMailbox("Work")
		}
		return imaptest.AppendOK
	}})
	sum := runWant(t, options(t, dir, s), "50=0+50+0+0+0+0", 3)
	there := s.Account("user").Messages("Work")
	if missing := 50 - len(there); missing == 0 || sum.Total().Missing != missing {
		t.Errorf("%d missing, target holds %d", sum.Total().Missing, len(there))
	}
	if strings.HasPrefix(sum.verdict(), "Complete") {
		t.Errorf("verdict %q", sum.verdict())
	}
}

// TestUnreadable: a message that may be the one in doubt cannot be fetched. It is neither counted as
// done nor sent again, and the next run decides.
func TestUnreadable(t *testing.T) {
	msgs := mails("m", 5)
	msgs[2].octets = mail("long", strings.Repeat("no other message can be as long as this one\n", 100))
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{
		Append: func(a imaptest.AppendCall) imaptest.AppendFault {
			if a.N == 3 {
				return imaptest.AppendStoreDrop
			}
			return imaptest.AppendOK
		},
		NoBody: map[imaptest.Key]int{{Mailbox: "INBOX", UID: 3}: imaptest.Always},
	})
	sum := runWant(t, options(t, dir, s), "5=0+4+0+0+0+1", 3)
	if sum.Total().InDoubt != 1 || len(sum.Problems) != 1 || sum.Problems[0].Kind != "in doubt" {
		t.Errorf("problems %v", sum.Problems)
	}
	s.SetFaults(imaptest.Faults{})
	runWant(t, options(t, dir, s), "5=5+0+0+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}

// TestTargetAlters: the target changes what it stores, and the answer is lost.
func TestTargetAlters(t *testing.T) {
	msgs := []msgSpec{{octets: "Subject: lf\n\nbare\nnewlines", date: day(1)}}
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		s.Account("user").AddMessage("INBOX", imaptest.Message{
			Octets: []byte("Subject: lf\r\n\r\nbare\r\nnewlines\r\n"), InternalDate: day(1),
		})
		return imaptest.AppendDrop
	}})
	runWant(t, options(t, dir, s), "1=0+1+0+0+0+0", 0)
	if n := len(s.Account("user").Messages("INBOX")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestWrongSizes: the target's RFC822.SIZE is an estimate.
func TestWrongSizes(t *testing.T) {
	msgs := mails("m", 5)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{
		Append: func(a imaptest.AppendCall) imaptest.AppendFault {
			if a.N == 2 {
				return imaptest.AppendStoreDrop
			}
			return imaptest.AppendOK
		},
		Sizes: map[imaptest.Key]uint32{{Mailbox: "INBOX", UID: 2}: 999999},
	})
	runWant(t, options(t, dir, s), "5=0+5+0+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}

// TestSettle: the server is still at work on a message when it is first looked for.
func TestSettle(t *testing.T) {
	msgs := mails("m", 5)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N == 5 {
			return imaptest.AppendDrop
		}
		return imaptest.AppendOK
	}})
	opts := options(t, dir, s)
	opts.Settle = time.Hour
	slept := 0
	opts.Sleep = func(_ context.Context, d time.Duration) error {
		if d == opts.Settle {
			slept++
			s.Account("user").AddMessage("INBOX", imaptest.Message{Octets: []byte(msgs[4].octets), InternalDate: msgs[4].date})
		}
		return nil
	}
	runWant(t, opts, "5=0+5+0+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
	if slept != 1 {
		t.Errorf("waited %d times", slept)
	}
	// A message that was cut in the middle is surely not stored: nobody waits.
	slept = 0
	must(t, os.Remove(ledgerFile(t, dir)))
	s = newServer(t, imaptest.ServerOptions{NoLiteralPlus: true})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		s.SetFaults(imaptest.Faults{})
		return imaptest.AppendRefuseEarly
	}})
	opts.Target = options(t, dir, s).Target
	sum, _ := Run(t.Context(), opts)
	if total := sum.Total(); total.Uploaded+total.Refused != 5 || slept != 0 {
		t.Errorf("%s, waited %d times", numbers(total), slept)
	}
}
