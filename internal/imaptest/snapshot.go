package imaptest

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Snapshot is all that an account holds at one moment.
type Snapshot struct {
	Delim     string // of the personal namespace
	Prefix    string // of the personal namespace
	Mailboxes []MailboxSnapshot
}

// MailboxSnapshot is one mailbox of a Snapshot.
type MailboxSnapshot struct {
	Name        string
	Role        string // SPECIAL-USE attribute, "" for none
	Subscribed  bool
	NoSelect    bool
	UIDValidity uint32
	UIDNext     uint32
	Messages    []MessageSnapshot
}

// MessageSnapshot is one message of a Snapshot.
type MessageSnapshot struct {
	UID          uint32
	Flags        []string // flags and keywords, sorted, without \Recent
	InternalDate time.Time
	Size         int64
	SHA256       string // hexadecimal
}

// Mailbox returns the mailbox of that name, nil if there is none.
func (s Snapshot) Mailbox(name string) *MailboxSnapshot {
	for i := range s.Mailboxes {
		if s.Mailboxes[i].Name == name {
			return &s.Mailboxes[i]
		}
	}
	return nil
}

// Count is the number of messages.
func (s Snapshot) Count() int {
	n := 0
	for _, m := range s.Mailboxes {
		n += len(m.Messages)
	}
	return n
}

func snapMessage(uid uint32, flags []string, date time.Time, octets []byte) MessageSnapshot {
	sum := sha256.Sum256(octets)
	return MessageSnapshot{
		UID: uid, Flags: sortedFlags(flags), InternalDate: date,
		Size: int64(len(octets)), SHA256: hex.EncodeToString(sum[:]),
	}
}

func sortedFlags(flags []string) []string {
	sorted := make([]string, 0, len(flags))
	for _, f := range flags {
		if !strings.EqualFold(f, `\Recent`) {
			sorted = append(sorted, f)
		}
	}
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Login says how SnapshotIMAP reaches an account.
type Login struct {
	Addr     string
	TLS      *tls.Config // nil: in the clear
	User     string
	Password string
}

// SnapshotIMAP reads a whole account off a living server with the plain go-imap client, by EXAMINE
// and BODY.PEEK. It is meant for servers that behave.
func SnapshotIMAP(ctx context.Context, l Login) (Snapshot, error) {
	snap, err := snapshotIMAP(ctx, l)
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot of %s at %s: %w", l.User, l.Addr, err)
	}
	return snap, nil
}

func snapshotIMAP(ctx context.Context, l Login) (snap Snapshot, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return snap, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if l.TLS != nil {
		conn = tls.Client(conn, l.TLS)
	}
	cl := imapclient.New(conn, nil)
	defer func() { _ = cl.Close() }() // after LOGOUT nothing can be lost
	if err := cl.Login(l.User, l.Password).Wait(); err != nil {
		return snap, err
	}
	caps, err := cl.Capability().Wait()
	if err != nil {
		return snap, err
	}
	if caps.Has(imap.CapNamespace) {
		ns, err := cl.Namespace().Wait()
		if err != nil {
			return snap, err
		}
		if len(ns.Personal) > 0 {
			snap.Prefix = ns.Personal[0].Prefix
		}
	}
	if err := listMailboxes(ctx, l, cl, &snap); err != nil {
		return snap, err
	}
	for i := range snap.Mailboxes {
		if m := &snap.Mailboxes[i]; !m.NoSelect {
			if err := readMailbox(cl, m); err != nil {
				return snap, fmt.Errorf("%q: %w", m.Name, err)
			}
		}
	}
	return snap, cl.Logout().Wait()
}

// listMailboxes asks for subscriptions and roles whether they are offered or not; a server that knows
// no such LIST is asked plainly, and for its subscriptions by LSUB.
func listMailboxes(ctx context.Context, l Login, cl *imapclient.Client, snap *Snapshot) error {
	list, err := cl.List("", "*", &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: true}).Collect()
	var refused *imap.Error
	var subscribed map[string]bool
	if errors.As(err, &refused) {
		if subscribed, err = subscriptions(ctx, l); err != nil {
			return err
		}
		list, err = cl.List("", "*", nil).Collect()
	}
	if err != nil {
		return err
	}
	for _, data := range list {
		if snap.Delim == "" && data.Delim != 0 {
			snap.Delim = string(data.Delim)
		}
		m := MailboxSnapshot{Name: data.Mailbox, Subscribed: subscribed[data.Mailbox]}
		for _, attr := range data.Attrs {
			switch attr {
			case imap.MailboxAttrSubscribed:
				m.Subscribed = true
			case imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent:
				m.NoSelect = true
			case imap.MailboxAttrAll, imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrFlagged,
				imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash, imap.MailboxAttrImportant:
				m.Role = string(attr)
			}
		}
		snap.Mailboxes = append(snap.Mailboxes, m)
	}
	return nil
}

func readMailbox(cl *imapclient.Client, m *MailboxSnapshot) error {
	sel, err := cl.Select(m.Name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return err
	}
	m.UIDValidity, m.UIDNext = sel.UIDValidity, uint32(sel.UIDNext)
	if sel.NumMessages == 0 {
		return nil
	}
	cmd := cl.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		s, err := readMessage(msg)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return err // go-imap would read the dead literal again
		case err != nil:
			_ = cmd.Close() // the first error is the one to tell
			return err
		}
		m.Messages = append(m.Messages, s)
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	if n := len(m.Messages); n != int(sel.NumMessages) {
		return fmt.Errorf("%d messages announced, %d came", sel.NumMessages, n)
	}
	return nil
}

func readMessage(msg *imapclient.FetchMessageData) (s MessageSnapshot, err error) {
	hash := sha256.New()
	body := false
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			s.UID = uint32(item.UID)
		case imapclient.FetchItemDataFlags:
			for _, f := range item.Flags {
				s.Flags = append(s.Flags, string(f))
			}
		case imapclient.FetchItemDataInternalDate:
			s.InternalDate = item.Time
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				return s, fmt.Errorf("UID %d has no body", s.UID)
			}
			body = true
			if s.Size, err = io.Copy(hash, item.Literal); err != nil || s.Size != item.Literal.Size() {
				return s, fmt.Errorf("UID %d: %d of %d octets: %w", s.UID, s.Size, item.Literal.Size(), io.ErrUnexpectedEOF)
			}
		}
	}
	if !body {
		return s, fmt.Errorf("UID %d has no body", s.UID)
	}
	s.Flags, s.SHA256 = sortedFlags(s.Flags), hex.EncodeToString(hash.Sum(nil))
	return s, nil
}
