package archive

import (
	"fmt"
	"slices"
	"strings"

	"mailark/maildirx"
)

// Uncommitted are the messages added since the last commit. They are not archived yet, and if the
// writer is broken they never will be by it.
func (w *Writer) Uncommitted() []*Message {
	var list []*Message
	for _, r := range w.pending {
		if r.msg != nil {
			list = append(list, r.msg)
		}
	}
	return list
}

// noteOften is note for records of which there may be any number.
func (w *Writer) noteOften(r *record) error {
	if err := w.note(r); err != nil {
		return err
	}
	return w.commitIfDue()
}

func (w *Writer) commitIfDue() error {
	if !w.commitDue() {
		return nil
	}
	return w.Commit()
}

// BeginRun notes the start of a run of export.
func (w *Writer) BeginRun(src Source) error {
	return w.note(&record{
		T: recRun, N: uint64(len(w.runs)) + 1, Time: w.now(), Program: w.opts.Program, Host: src.Host, User: src.User,
	})
}

// SetMailbox records what LIST says of a mailbox, which is recognised by its Raw name. Nothing is
// written if nothing has changed.
func (w *Writer) SetMailbox(info MailboxInfo) (*Mailbox, error) {
	if w.err != nil {
		return nil, w.err
	}
	m := w.byRaw[info.Raw]
	if m != nil && m.Listed && sameInfo(&m.MailboxInfo, &info) {
		return m, nil
	}
	if size := len(info.Raw) + len(strings.Join(info.Path, "")) + len(strings.Join(info.Attrs, "")); size > maxMailbox {
		return nil, fmt.Errorf("record mailbox %.100q: %d octets of name and attributes are more than %d", info.Raw, size, maxMailbox)
	}
	r := &record{
		T: recMailbox, Path: info.Path, Delim: info.Delim, Attrs: info.Attrs, Subscribed: info.Subscribed,
	}
	r.setRaw(info.Raw)
	isNew, wasSelectable := m == nil, m != nil && selectable(&m.MailboxInfo)
	if isNew {
		r.ID = uint32(len(w.mailboxes)) + 1 //nolint:gosec // nobody has four thousand million mailboxes
		r.Dir = w.freeDir(info.Path, r.ID)
	} else {
		r.ID, r.Dir = m.ID, m.Dir
	}
	if err := w.note(r); err != nil {
		return nil, err
	}
	m = w.Mailbox(r.ID)
	if isNew || !wasSelectable {
		if err := w.addDirs(m); err != nil {
			return m, err
		}
	}
	return m, w.commitIfDue()
}

func sameInfo(a, b *MailboxInfo) bool {
	return slices.Equal(a.Path, b.Path) && a.Delim == b.Delim && slices.Equal(a.Attrs, b.Attrs) &&
		a.Subscribed == b.Subscribed
}

// freeDir is the mailbox's directory in the tar. Should two mailboxes want the same one, also on a
// file system that ignores case, the later one gets its ID appended.
func (w *Writer) freeDir(path []string, id uint32) string {
	dir := maildirx.Dir(path)
	if dir == maildirx.Root && w.dirs[strings.ToLower(dir)] {
		dir += "/.INBOX" // a second one; it gets its ID too
		dir = fmt.Sprintf("%s~%d", dir, id)
	}
	for w.dirs[strings.ToLower(dir)] {
		dir = fmt.Sprintf("%s~%d", dir, id)
	}
	return dir
}

// selectable says that a mailbox may hold mail (RFC 9051, section 7.3.1).
func selectable(m *MailboxInfo) bool { return !m.HasAttr(`\Noselect`) && !m.HasAttr(`\NonExistent`) }

// addDirs puts the mailbox's directories into the tar, so that an empty mailbox is extracted too.
func (w *Writer) addDirs(m *Mailbox) error {
	if !selectable(&m.MailboxInfo) {
		return nil
	}
	if err := w.openSegment(); err != nil {
		return w.fail(err)
	}
	now := w.opts.Now()
	names := []string{m.Dir + "/cur", m.Dir + "/new", m.Dir + "/tmp"}
	if m.Dir != maildirx.Root {
		names = slices.Insert(names, 0, m.Dir)
	}
	for _, name := range names {
		header, err := tarHeader(dirHeader(name, now))
		if err != nil {
			return w.fail(err)
		}
		w.send(0, member{header: header}, 0)
	}
	if m.Dir == maildirx.Root {
		return nil
	}
	return w.addFile(m.Dir+"/maildirfolder", nil) // Courier and Dovecot tell mailboxes by it
}

// SetUnlisted records that a mailbox left the server. Its mail stays.
func (w *Writer) SetUnlisted(mailbox uint32) error {
	m := w.Mailbox(mailbox)
	if m == nil || !m.Listed {
		return w.err
	}
	r := &record{
		T: recMailbox, ID: m.ID, Path: m.Path, Delim: m.Delim, Attrs: m.Attrs, Subscribed: m.Subscribed, Dir: m.Dir,
		Unlisted: true,
	}
	r.setRaw(m.Raw)
	return w.noteOften(r)
}

// OpenEpoch returns a mailbox's newest epoch if that has the given UIDVALIDITY, else a new one. An
// unknown UIDVALIDITY (0) cannot be recognised and always begins a new epoch.
func (w *Writer) OpenEpoch(mailbox, uidValidity uint32) (*Epoch, error) {
	if e := w.Epoch(mailbox); e != nil && e.UIDValidity == uidValidity && uidValidity != 0 {
		return e, w.err
	}
	return w.NewEpoch(mailbox, uidValidity)
}

// NewEpoch begins a new epoch whatever the UIDVALIDITY: for a server that gives old UIDs to other
// messages without saying so.
func (w *Writer) NewEpoch(mailbox, uidValidity uint32) (*Epoch, error) {
	m := w.Mailbox(mailbox)
	if m == nil {
		return nil, fmt.Errorf("open epoch of mailbox %d: no such mailbox", mailbox)
	}
	r := &record{T: recEpoch, Mailbox: mailbox, N: uint64(len(m.Epochs)) + 1, UIDValidity: uidValidity}
	if err := w.noteOften(r); err != nil {
		return nil, err
	}
	return w.Epoch(mailbox), nil
}

// SetFlags records the flags of an archived message if they differ from those known.
func (w *Writer) SetFlags(k Key, flags []string) (changed bool, err error) {
	msg := w.Message(k)
	if msg == nil {
		return false, fmt.Errorf("set flags of mailbox %d UID %d: not archived", k.Mailbox, k.UID)
	}
	flags = storable(flags)
	if sameFlags(msg.Flags, flags) {
		return false, w.err
	}
	if _, err := w.letters(w.Mailbox(k.Mailbox), flags); err != nil {
		return false, err
	}
	r := &record{T: recFlags, Mailbox: k.Mailbox, Epoch: k.Epoch, UID: k.UID, Flags: flags}
	return true, w.noteOften(r)
}

// sameFlags compares flags as a set, in any order.
func sameFlags(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// SetGone records that messages of one mailbox and epoch left the server or, with gone false, are back. Those
// known to be so already are passed over.
func (w *Writer) SetGone(gone bool, keys ...Key) error {
	uids := make(map[Key][]uint32)
	for _, k := range keys {
		msg := w.Message(k)
		_, refused := w.refusals[k]
		if msg != nil && msg.Gone != gone || refused && gone {
			epoch := Key{Mailbox: k.Mailbox, Epoch: k.Epoch}
			uids[epoch] = append(uids[epoch], k.UID)
		}
	}
	kind := recBack
	if gone {
		kind = recGone
	}
	for epoch, list := range uids {
		slices.Sort(list)
		for part := range slices.Chunk(list, maxUIDs) {
			r := &record{T: kind, Mailbox: epoch.Mailbox, Epoch: epoch.Epoch, UIDs: formatUIDs(part)}
			if err := w.noteOften(r); err != nil {
				return err
			}
		}
	}
	return w.err
}

// Refuse records a message that the server would not give, with the server's words. A later Add of
// the same key, or SetGone, ends the refusal. The same words again write nothing.
func (w *Writer) Refuse(k Key, text string) error {
	text = storableText(text, maxText)
	if known, ok := w.refusals[k]; ok && known.Text == text {
		return w.err
	}
	r := &record{T: recRefused, Mailbox: k.Mailbox, Epoch: k.Epoch, UID: k.UID, Text: text, Time: w.now()}
	return w.noteOften(r)
}

// SetState ends a pass over an epoch of a mailbox that missed nothing but refused messages; k.UID does
// not count. The same state as before writes nothing, whatever its time.
func (w *Writer) SetState(k Key, st State) error {
	m := w.Mailbox(k.Mailbox)
	if m == nil || k.Epoch == 0 || int(k.Epoch) > len(m.Epochs) {
		return fmt.Errorf("set state of mailbox %d epoch %d: unknown", k.Mailbox, k.Epoch)
	}
	if old := m.Epochs[k.Epoch-1].State; old != nil && old.Exists == st.Exists && old.UIDNext == st.UIDNext &&
		old.HighestModSeq == st.HighestModSeq {
		return w.err
	}
	t := st.Time.UTC()
	return w.note(&record{
		T: recState, Mailbox: k.Mailbox, Epoch: k.Epoch, Time: &t, Exists: st.Exists, UIDNext: st.UIDNext,
		HighestModSeq: st.HighestModSeq,
	})
}
