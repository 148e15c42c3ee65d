package imaptest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

const maxAppend = 100 << 20

// session is one connection's view of an account, as imapserver wants it.
type session struct {
	server   *Server
	peer     *peer
	account  *Account
	selected string
}

// limitedSession advertises the largest message.
type limitedSession struct{ *session }

func (s *limitedSession) AppendLimit() uint32 { return s.server.opts.AppendLimit }

var (
	_ imapserver.SessionNamespace   = (*session)(nil)
	_ imapserver.SessionAppendLimit = (*limitedSession)(nil)
)

func no(code imap.ResponseCode, format string, args ...any) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: fmt.Sprintf(format, args...)}
}

func (s *session) notOffered() error { return no(imap.ResponseCodeCannot, "not offered here") }

func (s *session) Close() error { return nil }

func (s *session) Login(user, password string) error {
	if want, ok := s.server.opts.Users[user]; !ok || want != password {
		return imapserver.ErrAuthFailed
	}
	if refused := s.server.signIn(); refused != nil {
		return refused
	}
	s.account = s.server.accounts[user]
	s.peer.setLimit()
	return nil
}

// setLimit begins to count the octets of CloseAfter: a connection lives at least until the sign-in.
func (p *peer) setLimit() {
	if n := p.server.closeAfter(); n > 0 {
		p.cutAfter(n)
	}
}

// with runs f on a mailbox under the account's lock.
func (s *session) with(name string, f func(m *mailbox) error) error {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	m := s.account.find(name)
	if m == nil {
		return no(imap.ResponseCodeNonExistent, "no mailbox %q", name)
	}
	return f(m)
}

func (s *session) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	var data *imap.SelectData
	err := s.with(name, func(m *mailbox) error {
		if m.NoSelect {
			return no(imap.ResponseCodeNonExistent, "%q cannot be selected", name)
		}
		flags := []imap.Flag{
			imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft,
		}
		for _, msg := range m.messages {
			for _, f := range msg.Flags {
				if !slices.Contains(flags, imap.Flag(f)) {
					flags = append(flags, imap.Flag(f))
				}
			}
		}
		data = &imap.SelectData{
			Flags: flags, PermanentFlags: append(slices.Clone(flags), imap.FlagWildcard),
			NumMessages: uint32(max(0, len(m.messages)+s.server.current().ExistsLie)), //nolint:gosec // G115: a test's size
			UIDNext:     imap.UID(m.uidNext), UIDValidity: m.UIDValidity,
		}
		s.selected, s.peer.cond.highest = m.Name, m.highestModSeq()
		return nil
	})
	return data, err
}

func (s *session) Unselect() error {
	s.selected = ""
	return nil
}

func (s *session) Create(name string, options *imap.CreateOptions) error {
	delim := s.server.delim()
	if delim != "" {
		name = strings.TrimSuffix(name, delim)
	}
	if name == "" || !strings.HasPrefix(name, s.server.opts.Prefix) {
		return no(imap.ResponseCodeCannot, "mailboxes begin with %q here", s.server.opts.Prefix)
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if m := s.account.find(name); m != nil && !m.NoSelect {
		return no(imap.ResponseCodeAlreadyExists, "there is one already")
	}
	s.createParents(name)
	m := Mailbox{Name: name}
	if options != nil && len(options.SpecialUse) > 0 {
		m.Role = string(options.SpecialUse[0])
	}
	s.account.add(m)
	return nil
}

// createParents makes the levels above name as levels that hold no mail.
func (s *session) createParents(name string) {
	delim := s.server.delim()
	if delim == "" {
		return
	}
	for i := range len(name) {
		if strings.HasPrefix(name[i:], delim) && s.account.find(name[:i]) == nil {
			s.account.add(Mailbox{Name: name[:i], NoSelect: true})
		}
	}
}

func (s *session) Delete(name string) error {
	err := s.with(name, func(*mailbox) error { return nil })
	if err == nil {
		s.account.RemoveMailbox(name)
	}
	return err
}

func (s *session) Rename(string, string, *imap.RenameOptions) error { return s.notOffered() }

func (s *session) Subscribe(name string) error { return s.subscribe(name, true) }

func (s *session) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *session) subscribe(name string, on bool) error {
	return s.with(name, func(m *mailbox) error {
		m.Subscribed = on
		return nil
	})
}

func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{
		Personal: []imap.NamespaceDescriptor{{Prefix: s.server.opts.Prefix, Delim: s.server.delimRune()}},
	}, nil
}

func (s *session) List(
	w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions,
) error {
	delim := s.server.delimRune()
	if len(patterns) == 0 {
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delim})
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	for _, m := range s.account.mailboxes {
		matches := slices.ContainsFunc(patterns, func(p string) bool {
			return imapserver.MatchList(m.Name, delim, ref, p)
		})
		if !matches || options.SelectSubscribed && !m.Subscribed {
			continue
		}
		data := &imap.ListData{Attrs: s.attrs(m, options), Delim: delim, Mailbox: m.Name}
		if options.ReturnStatus != nil && !m.NoSelect {
			data.Status = s.figures(m)
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) attrs(m *mailbox, options *imap.ListOptions) []imap.MailboxAttr {
	var attrs []imap.MailboxAttr
	if m.NoSelect {
		attrs = append(attrs, imap.MailboxAttrNoSelect)
	}
	if m.Role != "" && !s.server.opts.NoSpecialUse {
		attrs = append(attrs, imap.MailboxAttr(m.Role))
	}
	if m.Subscribed && (options.ReturnSubscribed || options.SelectSubscribed) {
		attrs = append(attrs, imap.MailboxAttrSubscribed)
	}
	return attrs
}

func (s *session) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	var data *imap.StatusData
	err := s.with(name, func(m *mailbox) error {
		if m.NoSelect {
			return no(imap.ResponseCodeNonExistent, "%q cannot be selected", name)
		}
		data = s.figures(m)
		return nil
	})
	return data, err
}

// figures is all that STATUS can tell.
func (s *session) figures(m *mailbox) *imap.StatusData {
	n := uint32(len(m.messages)) //nolint:gosec // G115: a test's size
	var size int64
	for _, msg := range m.messages {
		size += int64(len(msg.Octets))
	}
	var zero uint32
	modSeq := int64(m.highestModSeq()) //nolint:gosec // G115: a test's count
	data := &imap.StatusData{
		Mailbox: m.Name, NumMessages: &n, UIDNext: imap.UID(m.uidNext), UIDValidity: m.UIDValidity,
		NumUnseen: &zero, NumDeleted: &zero, NumRecent: &zero, Size: &size, DeletedStorage: &modSeq,
	}
	faults := s.server.current()
	if faults.StatusLie != nil {
		faults.StatusLie(m.Name, data)
	}
	if faults.StatusKills == m.Name {
		_ = s.peer.Close() // the fault
	}
	return data
}

func (s *session) Append(
	name string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	faults := s.server.current()
	if r.Size() > maxAppend {
		return nil, no(imap.ResponseCodeTooBig, "too big")
	}
	if s.peer.appendFault == AppendCut {
		_, _ = io.CopyN(io.Discard, r, r.Size()/2) // the connection ends either way
		_ = s.peer.Close()
		return nil, nil
	}
	octets, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if int64(len(octets)) != r.Size() {
		return nil, io.ErrUnexpectedEOF
	}
	time.Sleep(faults.Delay)
	switch s.peer.appendFault {
	case AppendDrop:
		_ = s.peer.Close()
		return nil, nil
	case AppendRefuse:
		return nil, faults.appendAnswer()
	}
	if faults.RefuseOctets != nil && faults.RefuseOctets(octets) {
		return nil, faults.appendAnswer()
	}
	msg := Message{InternalDate: options.Time, Octets: octets}
	for _, f := range options.Flags {
		msg.Flags = append(msg.Flags, string(f))
	}
	data := &imap.AppendData{}
	err = s.with(name, func(m *mailbox) error {
		if m.NoSelect {
			return no(imap.ResponseCodeCannot, "%q holds no mail", name)
		}
		data.UID, data.UIDValidity = imap.UID(m.put(msg)), m.UIDValidity
		return nil
	})
	if err != nil {
		return nil, tryCreate(err)
	}
	switch s.peer.appendFault {
	case AppendStoreDrop:
		_ = s.peer.Close()
	case AppendStoreSilent:
		s.peer.mute = true
	}
	return data, nil
}

// tryCreate turns "no such mailbox" into the answer APPEND gives (RFC 9051, section 6.3.12).
func tryCreate(err error) error {
	if e, ok := err.(*imap.Error); ok && e.Code == imap.ResponseCodeNonExistent { //nolint:errorlint // made by no
		return no(imap.ResponseCodeTryCreate, "%s", e.Text)
	}
	return err
}

func (s *session) Poll(*imapserver.UpdateWriter, bool) error { return nil }

func (s *session) Idle(_ *imapserver.UpdateWriter, stop <-chan struct{}) error {
	select {
	case <-stop:
	case <-s.server.done:
	}
	return nil
}

func (s *session) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error { return s.notOffered() }

func (s *session) Store(*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions) error {
	return s.notOffered()
}

func (s *session) Copy(imap.NumSet, string) (*imap.CopyData, error) { return nil, s.notOffered() }
