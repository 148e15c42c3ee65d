package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"mailark/maildirx"
)

// EndRun ends a run: the uidlists, keywords and subscriptions that are out of date are written into the tar
// again, the run's end is recorded with the program's exit code and a line for people, all is committed, and the
// segment is sealed if it is worth it.
func (w *Writer) EndRun(exit int, summary string) error {
	if w.err != nil {
		return w.err
	}
	if err := w.openSegment(); err != nil {
		return w.fail(err)
	}
	for _, m := range w.mailboxes {
		if w.changed[m.ID] && len(m.Epochs) > 0 {
			if err := w.addDovecotFiles(m); err != nil {
				return err
			}
		}
	}
	if w.subsChanged {
		if err := w.addSubscriptions(); err != nil {
			return err
		}
	}
	if err := w.note(&record{T: recEnd, N: uint64(len(w.runs)), Time: w.now(), Exit: exit, Text: storableText(summary, maxText)}); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	if w.segFile != nil && (w.seg.end >= sealAtEnd || !w.segments[0].sealed) {
		return w.seal()
	}
	return nil
}

// addDovecotFiles writes the mailbox's dovecot-uidlist, with the UIDVALIDITY and the UIDs of its
// newest epoch, and its dovecot-keywords.
func (w *Writer) addDovecotFiles(m *Mailbox) error {
	list := w.uidList(m, slices.Collect(w.Messages(m.ID)), func(msg *Message) string { return path.Base(w.File(msg)) })
	var buf bytes.Buffer
	if _, err := list.WriteTo(&buf); err != nil {
		return w.fail(fmt.Errorf("write uidlist of %q: %w", m.Name(), err))
	}
	if err := w.addFile(m.Dir+"/dovecot-uidlist", buf.Bytes()); err != nil || len(m.Keywords) == 0 {
		return err
	}
	buf.Reset()
	if err := maildirx.WriteKeywords(&buf, m.Keywords); err != nil {
		return w.fail(fmt.Errorf("write keywords of %q: %w", m.Name(), err))
	}
	return w.addFile(m.Dir+"/dovecot-keywords", buf.Bytes())
}

func (w *Writer) addSubscriptions() error {
	var buf bytes.Buffer
	all := func(*Mailbox) bool { return true }
	if err := maildirx.WriteSubscriptions(&buf, w.subscribed(all)); err != nil {
		return w.fail(fmt.Errorf("write subscriptions: %w", err))
	}
	return w.addFile(maildirx.Root+"/subscriptions", buf.Bytes())
}

// subscribed are the names of those of the wanted mailboxes that are subscribed to.
func (c *Catalog) subscribed(wanted func(*Mailbox) bool) [][]string {
	var names [][]string
	for _, m := range c.mailboxes {
		if m.Subscribed && wanted(m) {
			names = append(names, m.Path)
		}
	}
	return names
}

// uidList is a mailbox's dovecot-uidlist: UIDVALIDITY and UIDs of the newest epoch. file gives the name of
// a message's file, whose flags are left out.
func (c *Catalog) uidList(m *Mailbox, msgs []*Message, file func(*Message) string) *maildirx.UIDList {
	epoch := m.Epochs[len(m.Epochs)-1]
	guid := sha256.Sum256([]byte(c.info.ID + m.Raw))
	list := &maildirx.UIDList{UIDValidity: max(epoch.UIDValidity, 1), GUID: hex.EncodeToString(guid[:16])}
	if epoch.State != nil {
		list.UIDNext = epoch.State.UIDNext
	}
	for _, msg := range msgs {
		if msg.Epoch != epoch.N {
			continue
		}
		name, _, _ := strings.Cut(file(msg), ":")
		list.Entries = append(list.Entries, maildirx.UIDEntry{UID: msg.UID, File: name})
		if msg.UID >= list.UIDNext && msg.UID < math.MaxUint32 {
			list.UIDNext = msg.UID + 1
		}
	}
	return list
}
