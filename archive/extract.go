package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"mailark/internal/spool"
	"mailark/maildirx"
)

// ExtractOptions choose what Extract writes.
type ExtractOptions struct {
	Mailboxes   []uint32    // IDs; empty: all
	IncludeGone bool        // also what is no longer on the server, and what older epochs held
	Compress    Compression // of each message file by itself
	Progress    func(messages int, octets int64)
}

// ExtractResult is what Extract wrote.
type ExtractResult struct {
	Mailboxes, Messages int
	Octets              int64     // before compression
	Damaged             []Damaged // left out, because their octets cannot be had
}

// Extract writes a Maildir++ tree, dir/Maildir: the messages of each mailbox with their newest flags, INTERNALDATE as
// the file's time (within 1677 to 2262; the time of writing if there is none), S= (octets) and W= (octets with every
// bare LF as CRLF) in the names whether compressed or not, UIDs and keywords in the files Dovecot reads. Equal octets
// with equal INTERNALDATE share a file where the file system has hard links. dir must be missing or empty, and
// outside the archive. Errors: ErrExists, ErrInside, ErrBusy.
//
// dir/Maildir appears when it is whole and synced, under one rename. An error leaves nothing behind. After a crash
// there is dir/Maildir.tmp, which the next Extract into dir removes before it begins again.
func (r *Reader) Extract(ctx context.Context, dir string, opts ExtractOptions) (ExtractResult, error) {
	pack, err := newCompressor(opts.Compress)
	if err != nil {
		return ExtractResult{}, err
	}
	x := &extraction{
		Reader: r, opts: opts, pack: pack, batch: maildirx.Batch{FS: r.opts.FS},
		twins: make(map[twinKey]twin), vsize: make(map[*Message]int64),
	}
	err = inTree(r.opts.FS, r.dir, dir, func(root string) error {
		x.root = root
		return x.run(ctx)
	})
	if err != nil {
		return x.result, fmt.Errorf("extract to %s: %w", dir, err)
	}
	return x.result, nil
}

// twinKey is what two messages must have in common to share a file.
type twinKey struct {
	sum  Sum
	date int64
}

// twin is the latest file with certain octets and a certain date.
type twin struct {
	path  string
	vsize int64
}

type extraction struct {
	*Reader
	root   string // what becomes dir/Maildir
	opts   ExtractOptions
	pack   *compressor // nil: plain
	batch  maildirx.Batch
	twins  map[twinKey]twin
	vsize  map[*Message]int64 // of every message written
	result ExtractResult
}

func (x *extraction) run(ctx context.Context) error {
	if err := maildirx.Init(x.Reader.opts.FS, x.root); err != nil {
		return err
	}
	var boxes []*Mailbox
	var chosen []*Message
	for _, m := range x.mailboxes {
		if !x.wanted(m) || len(m.Epochs) == 0 || !m.Listed && !x.opts.IncludeGone {
			continue
		}
		if err := maildirx.Init(x.Reader.opts.FS, x.dirOf(m)); err != nil {
			return err
		}
		boxes = append(boxes, m)
		chosen = append(chosen, x.choose(m)...)
	}
	slices.SortStableFunc(chosen, func(a, b *Message) int { return a.Place.Compare(b.Place) })
	if err := x.extract(ctx, chosen); err != nil {
		return err
	}
	for _, m := range boxes {
		if err := x.writeDovecotFiles(m); err != nil {
			return err
		}
		x.result.Mailboxes++
	}
	if err := x.writeSubscriptions(); err != nil {
		return err
	}
	return x.batch.Commit()
}

func (x *extraction) wanted(m *Mailbox) bool {
	return len(x.opts.Mailboxes) == 0 || slices.Contains(x.opts.Mailboxes, m.ID)
}

// dirOf is where a mailbox's directory is made: m.Dir with the root in place of its first part.
func (x *extraction) dirOf(m *Mailbox) string {
	return filepath.Join(x.root, filepath.FromSlash(m.Dir[len(maildirx.Root):]))
}

// choose is what to extract of a mailbox.
func (x *extraction) choose(m *Mailbox) []*Message {
	if x.opts.IncludeGone {
		return slices.Collect(x.Messages(m.ID))
	}
	return x.Current(m.ID)
}

// writeDovecotFiles writes a mailbox's uidlist and keywords. What is damaged is in neither.
func (x *extraction) writeDovecotFiles(m *Mailbox) error {
	var written []*Message
	for _, msg := range x.choose(m) {
		if _, ok := x.vsize[msg]; ok {
			written = append(written, msg)
		}
	}
	list := x.uidList(m, written, func(msg *Message) string { return x.name(msg, "").String() })
	fs := x.Reader.opts.FS
	if err := fs.WriteFileFrom(filepath.Join(x.dirOf(m), maildirx.UIDListFile), func(w io.Writer) error {
		_, err := list.WriteTo(w)
		return err
	}); err != nil || len(m.Keywords) == 0 {
		return err
	}
	return fs.WriteFileFrom(filepath.Join(x.dirOf(m), maildirx.KeywordsFile), func(w io.Writer) error {
		return maildirx.WriteKeywords(w, m.Keywords)
	})
}

func (x *extraction) writeSubscriptions() error {
	names := x.subscribed(x.wanted)
	return x.Reader.opts.FS.WriteFileFrom(filepath.Join(x.root, maildirx.SubscriptionsFile), func(w io.Writer) error {
		return maildirx.WriteSubscriptions(w, names)
	})
}

// extract delivers messages that are sorted by place, so that each frame is decompressed once.
func (x *extraction) extract(ctx context.Context, msgs []*Message) error {
	sp := spool.New(x.root)
	defer func() { _ = sp.Close() }()
	var loaded *Message
	var vsize int64
	var damage *DamageError
	for _, msg := range msgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if twin, ok := x.twins[keyOf(msg)]; ok {
			if err := x.link(msg, twin); err != nil {
				return err
			}
			continue
		}
		if loaded == nil || loaded.Place != msg.Place {
			loaded = nil
			err := x.Load(ctx, msg, sp)
			if errors.As(err, &damage) {
				x.result.Damaged = append(x.result.Damaged, Damaged{
					Key: msg.Key, Mailbox: x.Mailbox(msg.Mailbox).Name(), Reason: err.Error(),
				})
				continue
			}
			if err != nil {
				return err
			}
			loaded = msg
			if vsize, err = maildirx.VSize(sp.Open()); err != nil {
				return err
			}
		}
		if err := x.deliver(msg, sp, vsize); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(msg *Message) twinKey { return twinKey{sum: msg.Sum, date: msg.InternalDate.Unix()} }

// deliver writes the message that is in sp.
func (x *extraction) deliver(msg *Message, sp *spool.Spool, vsize int64) error {
	x.vsize[msg] = vsize
	d := x.delivery(msg)
	d.Write = func(w io.Writer) error {
		if x.pack != nil {
			return x.pack.copy(w, sp.Open())
		}
		_, err := io.Copy(w, sp.Open())
		return err
	}
	if err := x.batch.Deliver(d); err != nil {
		return err
	}
	x.delivered(msg, d)
	return nil
}

// link makes a message's file a hard link, or a copy, of one that is there.
func (x *extraction) link(msg *Message, to twin) error {
	x.vsize[msg] = to.vsize
	d := x.delivery(msg)
	if err := x.batch.LinkInto(to.path, d); err != nil {
		return err
	}
	x.delivered(msg, d)
	return nil
}

// delivery says where a message goes, under its own name and with its newest flags.
func (x *extraction) delivery(msg *Message) maildirx.Delivery {
	m := x.Mailbox(msg.Mailbox)
	letters := maildirx.Flags(msg.Flags, func(keyword string) (byte, bool) {
		i := slices.Index(m.Keywords, keyword)
		return byte('a' + i), i >= 0 //nolint:gosec // below 26, and unused when negative
	})
	return maildirx.Delivery{Dir: x.dirOf(m), Name: x.name(msg, letters), Mtime: msg.InternalDate}
}

func (x *extraction) delivered(msg *Message, d maildirx.Delivery) {
	// The latest, not the first: when a file has as many links as it can have, its copy takes the next ones.
	x.twins[keyOf(msg)] = twin{path: filepath.Join(d.Dir, "cur", d.Name.String()), vsize: x.vsize[msg]}
	x.result.Messages++
	x.result.Octets += msg.Size
	if x.opts.Progress != nil {
		x.opts.Progress(x.result.Messages, x.result.Octets)
	}
}

// name is a message's own file name with both its sizes.
func (x *extraction) name(msg *Message, letters string) maildirx.Name {
	name := x.fileName(msg, letters)
	name.VSize = x.vsize[msg]
	return name
}
