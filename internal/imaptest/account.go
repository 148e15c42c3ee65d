package imaptest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mailbox describes a mailbox to be made by Account.AddMailbox.
type Mailbox struct {
	Name        string // as the server shows it, with prefix and delimiters
	Role        string // SPECIAL-USE attribute: \Sent; "" for none
	Subscribed  bool
	NoSelect    bool   // a level that cannot hold mail
	UIDValidity uint32 // 0: chosen by the server
	NoModSeq    bool   // CONDSTORE is not for this one (RFC 7162, section 3.1.2.2)
}

// Message is one message of an account.
type Message struct {
	UID          uint32 // 0: the next one
	Flags        []string
	InternalDate time.Time // zero: now
	Octets       []byte

	modSeq uint64
}

// Account is the mail of one user of a Server. Its methods may be called at any time.
type Account struct {
	server *Server
	user   string

	mu        sync.Mutex
	mailboxes []*mailbox // in the order of creation
	validity  uint32     // last one given
}

type mailbox struct {
	Mailbox
	uidNext  uint32
	messages []*Message // by UID
	modSeq   uint64     // the highest one
}

func newAccount(s *Server, user string) *Account {
	a := &Account{server: s, user: user, validity: 1_700_000_000}
	a.mailboxes = []*mailbox{{Mailbox: Mailbox{Name: "INBOX", UIDValidity: a.validity}, uidNext: 1, modSeq: 1}}
	return a
}

// find returns nil if there is no such mailbox. INBOX is compared without case.
func (a *Account) find(name string) *mailbox {
	for _, m := range a.mailboxes {
		if m.Name == name || strings.EqualFold(name, "INBOX") && m.Name == "INBOX" {
			return m
		}
	}
	return nil
}

// AddMailbox makes a mailbox, or changes the one of that name.
func (a *Account) AddMailbox(m Mailbox) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(m)
}

func (a *Account) add(m Mailbox) *mailbox {
	if m.UIDValidity == 0 {
		a.validity++
		m.UIDValidity = a.validity
	}
	if old := a.find(m.Name); old != nil {
		old.Mailbox = m
		return old
	}
	box := &mailbox{Mailbox: m, uidNext: 1, modSeq: 1}
	a.mailboxes = append(a.mailboxes, box)
	return box
}

// AddMessage puts a message into a mailbox, which is made if need be, and returns its UID. The octets
// are kept as they are.
func (a *Account) AddMessage(name string, m Message) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	box := a.find(name)
	if box == nil {
		box = a.add(Mailbox{Name: name})
	}
	return box.put(m)
}

func (m *mailbox) put(msg Message) uint32 {
	if msg.UID == 0 {
		msg.UID = m.uidNext
	}
	if msg.InternalDate.IsZero() {
		msg.InternalDate = time.Now().Truncate(time.Second)
	}
	msg.Octets = bytes.Clone(msg.Octets)
	msg.Flags = slices.Clone(msg.Flags)
	m.uidNext = max(m.uidNext, msg.UID+1)
	m.changed(&msg)
	at, found := slices.BinarySearchFunc(m.messages, msg.UID, func(x *Message, uid uint32) int {
		return int(int64(x.UID) - int64(uid))
	})
	if found {
		m.messages[at] = &msg
	} else {
		m.messages = slices.Insert(m.messages, at, &msg)
	}
	return msg.UID
}

// Expunge removes a message. HIGHESTMODSEQ stays, as servers without QRESYNC may have it.
func (a *Account) Expunge(name string, uid uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if box := a.find(name); box != nil {
		box.messages = slices.DeleteFunc(box.messages, func(m *Message) bool { return m.UID == uid })
	}
}

// SetFlags replaces the flags of a message.
func (a *Account) SetFlags(name string, uid uint32, flags ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if box := a.find(name); box != nil {
		for i, m := range box.messages {
			if m.UID == uid {
				changed := *m // a FETCH may be reading the old one
				changed.Flags = slices.Clone(flags)
				if !a.server.current().FlagsUncounted {
					box.changed(&changed)
				}
				box.messages[i] = &changed
			}
		}
	}
}

// SetUIDValidity gives a mailbox a new UIDVALIDITY and numbers its messages anew from firstUID on, as
// a server does that lost its index.
func (a *Account) SetUIDValidity(name string, validity, firstUID uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	box := a.find(name)
	if box == nil {
		return
	}
	box.UIDValidity, box.uidNext = validity, firstUID
	for i, m := range box.messages {
		renumbered := *m
		renumbered.UID = box.uidNext
		box.messages[i] = &renumbered
		box.uidNext++
	}
}

// RenameMailbox gives a mailbox another name. Its mail, UIDs and UIDVALIDITY stay.
func (a *Account) RenameMailbox(from, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if box := a.find(from); box != nil {
		box.Name = to
	}
}

// RemoveMailbox deletes a mailbox with all its mail.
func (a *Account) RemoveMailbox(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mailboxes = slices.DeleteFunc(a.mailboxes, func(m *mailbox) bool { return m.Name == name })
}

// Messages returns the messages of a mailbox in the order of their UIDs.
func (a *Account) Messages(name string) []Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Message
	if box := a.find(name); box != nil {
		for _, m := range box.messages {
			all = append(all, *m)
		}
	}
	return all
}

// Snapshot reads back everything.
func (a *Account) Snapshot() Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	snap := Snapshot{Delim: a.server.delim(), Prefix: a.server.opts.Prefix}
	for _, box := range a.mailboxes {
		m := MailboxSnapshot{
			Name: box.Name, Subscribed: box.Subscribed, NoSelect: box.NoSelect, Role: box.Role,
			UIDValidity: box.UIDValidity, UIDNext: box.uidNext,
		}
		for _, msg := range box.messages {
			m.Messages = append(m.Messages, snapMessage(msg.UID, msg.Flags, msg.InternalDate, msg.Octets))
		}
		snap.Mailboxes = append(snap.Mailboxes, m)
	}
	return snap
}

// String names the account in failure reports.
func (a *Account) String() string { return fmt.Sprintf("%s at %s", a.user, a.server.Addr) }
