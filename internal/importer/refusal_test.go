package importer

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/imaptest"
)

// TestPassingNo: a server out of order refuses every message, in all sorts of words. No message is held
// against it in the next run.
func TestPassingNo(t *testing.T) {
	tests := []struct {
		code imap.ResponseCode
		text string
		exit int
	}{
		{"SERVERBUG", "Internal error occurred. Refer to server log for more information.", 75},
		{"", "Quota exceeded (mailbox for user is full)", 13},
		{"LIMIT", "APPEND Rate limit hit.", 75},
		{"", "Server Unavailable. 15", 75},
		{"", "System I/O error", 75},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			msgs := mails("m", 200)
			dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
			s := newServer(t, imaptest.ServerOptions{})
			s.SetFaults(imaptest.Faults{
				AppendAnswer: &imap.Error{Type: imap.StatusResponseTypeNo, Code: tt.code, Text: tt.text},
				Append: func(a imaptest.AppendCall) imaptest.AppendFault {
					if a.N > 10 {
						return imaptest.AppendRefuse
					}
					return imaptest.AppendOK
				},
			})
			sum := runWant(t, options(t, dir, s), "200=0+10+0+0+0+190", tt.exit)
			if !strings.Contains(sum.Reason, tt.text) {
				t.Errorf("reason %q", sum.Reason)
			}
			s.SetFaults(imaptest.Faults{})
			runWant(t, options(t, dir, s), "200=10+190+0+0+0+0", 0)
			sameMail(t, s, "INBOX", msgs)
		})
	}
}

// TestOutage: a server that refuses all for a while is not taken at its word either.
func TestOutage(t *testing.T) {
	msgs := mails("m", 200)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{
		AppendAnswer: &imap.Error{Type: imap.StatusResponseTypeNo, Text: "System I/O error"},
		Append: func(a imaptest.AppendCall) imaptest.AppendFault {
			if a.N > 20 && a.N < 90 {
				return imaptest.AppendRefuse
			}
			return imaptest.AppendOK
		},
	})
	runWant(t, options(t, dir, s), "200=0+200+0+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}

// TestDeadBackend: a server that ends the connection at every APPEND.
func TestDeadBackend(t *testing.T) {
	msgs := mails("m", 16)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if a.N > 10 {
			return imaptest.AppendDrop
		}
		return imaptest.AppendOK
	}})
	sum := runWant(t, options(t, dir, s), "16=0+10+0+0+0+6", 75)
	if !errors.Is(sum.Err, ErrGaveUp) {
		t.Errorf("%v", sum.Err)
	}
	s.SetFaults(imaptest.Faults{})
	runWant(t, options(t, dir, s), "16=10+6+0+0+0+0", 0)
	sameMail(t, s, "INBOX", msgs)
}

// TestOneMailboxRefuses: what one mailbox refuses keeps no other from being filled.
func TestOneMailboxRefuses(t *testing.T) {
	dir := newArchive(t, boxSpec{path: []string{"A"}, msgs: mails("a", 300)}, boxSpec{path: []string{"B"}, msgs: mails("b", 30)})
	s := newServer(t, imaptest.ServerOptions{})
	s.SetFaults(imaptest.Faults{Append: func(a imaptest.AppendCall) imaptest.AppendFault {
		if strings.Contains(a.Line, `"A"`) || strings.Contains(a.Line, " A ") {
			return imaptest.AppendRefuse
		}
		return imaptest.AppendOK
	}})
	sum := runWant(t, options(t, dir, s), "330=0+30+0+0+0+300", 75)
	if sum.Mailboxes[0].Left != 300 || sum.Mailboxes[0].Reason == "" || len(sum.Problems) == 0 {
		t.Errorf("%+v, %d problems", sum.Mailboxes[0], len(sum.Problems))
	}
	wantMail(t, s, "B", mails("b", 30))
}

// TestReadOnly: the target opens the mailbox for reading only.
func TestReadOnly(t *testing.T) {
	msgs := mails("m", 5)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	var writable atomic.Bool
	through(t, &opts, s, func(line []byte) []byte {
		if !writable.Load() {
			return bytes.Replace(line, []byte("[READ-WRITE]"), []byte("[READ-ONLY]"), 1)
		}
		return line
	})
	sum := runWant(t, opts, "5=0+0+0+0+0+5", 3)
	if appends(s) > 0 || !strings.Contains(sum.Mailboxes[0].Reason, "reading only") {
		t.Errorf("%d APPENDs, reason %q", appends(s), sum.Mailboxes[0].Reason)
	}
	writable.Store(true)
	runWant(t, opts, "5=0+5+0+0+0+0", 0)
}

// TestRefusedThenTaken: a refusal that a later run has settled does not come back for another copy.
func TestRefusedThenTaken(t *testing.T) {
	msgs := mails("m", 3)
	dir := newArchive(t, boxSpec{path: []string{"INBOX"}, msgs: msgs})
	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	s.SetFaults(imaptest.Faults{RefuseOctets: func(octets []byte) bool { return string(octets) == msgs[0].octets }})
	runWant(t, opts, "3=0+2+0+1+0+0", 3)
	runWant(t, opts, "3=2+0+0+1+0+0", 3)
	s.SetFaults(imaptest.Faults{})
	opts.RetryRefused = true
	runWant(t, opts, "3=2+1+0+0+0+0", 0)
	exportAgain(t, dir, boxSpec{path: []string{"INBOX"}, msgs: append(msgs, msgs[0])})
	opts.RetryRefused = false
	runWant(t, opts, "4=3+1+0+0+0+0", 0)
}
