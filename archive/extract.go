package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mailark/internal/spool"
	"mailark/maildirx"
)

// ExtractOptions choose what Extract writes.
type ExtractOptions struct {
	Mailboxes   []uint32 // IDs; empty: all
	IncludeGone bool     // also what is no longer on the server, and what older epochs held
	Progress    func(messages int, octets int64)
}

// ExtractResult is what Extract wrote.
type ExtractResult struct {
	Mailboxes, Messages int
	Octets              int64
	Damaged             []Damaged // left out, because their octets cannot be had
}

// Extract writes a Maildir++ tree into dir, which must be missing or empty: the messages of each mailbox with
// their newest flags, INTERNALDATE as the file's time, UIDs and keywords in the files Dovecot reads. Equal octets with
// equal INTERNALDATE share a file where the file system has hard links.
//
// After a crash the tree is incomplete, but every file in a cur directory is whole; remove it and begin again.
func (r *Reader) Extract(ctx context.Context, dir string, opts ExtractOptions) (ExtractResult, error) {
	x := &extraction{Reader: r, root: dir, opts: opts, files: make(map[twinKey]string)}
	if err := x.run(ctx); err != nil {
		return x.result, fmt.Errorf("extract: %w", err)
	}
	return x.result, nil
}

// twinKey is what two messages must have in common to share a file.
type twinKey struct {
	sum  Sum
	date int64
}

type extraction struct {
	*Reader
	root   string
	opts   ExtractOptions
	batch  maildirx.Batch
	files  map[twinKey]string // first file with these octets and this date
	result ExtractResult
}

func (x *extraction) run(ctx context.Context) error {
	if entries, err := os.ReadDir(x.root); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s: %w", x.root, ErrExists)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	x.batch.FS = x.Reader.opts.FS
	var chosen []*Message
	for _, m := range x.mailboxes {
		if len(x.opts.Mailboxes) > 0 && !slices.Contains(x.opts.Mailboxes, m.ID) || len(m.Epochs) == 0 ||
			!m.Listed && !x.opts.IncludeGone {
			continue
		}
		msgs := x.choose(m)
		if err := x.prepare(m, msgs); err != nil {
			return err
		}
		chosen = append(chosen, msgs...)
	}
	if err := x.extractSubscriptions(); err != nil {
		return err
	}
	slices.SortStableFunc(chosen, func(a, b *Message) int { return a.Place.Compare(b.Place) })
	if err := x.extract(ctx, chosen); err != nil {
		return err
	}
	return x.batch.Commit()
}

// choose is what to extract of a mailbox.
func (x *extraction) choose(m *Mailbox) []*Message {
	if x.opts.IncludeGone {
		return slices.Collect(x.Messages(m.ID))
	}
	return x.Current(m.ID)
}

// prepare makes a mailbox's directory with its uidlist and keywords.
func (x *extraction) prepare(m *Mailbox, msgs []*Message) error {
	dir := filepath.Join(x.root, filepath.FromSlash(m.Dir))
	fs := x.Reader.opts.FS
	if err := maildirx.Init(fs, dir); err != nil {
		return err
	}
	if m.Dir != maildirx.Root {
		if err := fs.WriteFile(filepath.Join(dir, "maildirfolder"), nil); err != nil {
			return err
		}
	}
	list := x.uidList(m, msgs, func(msg *Message) string { return x.fileName(msg, "").String() })
	if err := fs.WriteFileFrom(filepath.Join(dir, "dovecot-uidlist"), func(w io.Writer) error {
		_, err := list.WriteTo(w)
		return err
	}); err != nil {
		return err
	}
	x.result.Mailboxes++
	if len(m.Keywords) == 0 {
		return nil
	}
	return fs.WriteFileFrom(filepath.Join(dir, "dovecot-keywords"), func(w io.Writer) error {
		return maildirx.WriteKeywords(w, m.Keywords)
	})
}

func (x *extraction) extractSubscriptions() error {
	root := filepath.Join(x.root, maildirx.Root)
	if err := maildirx.Init(x.Reader.opts.FS, root); err != nil {
		return err
	}
	return x.Reader.opts.FS.WriteFileFrom(filepath.Join(root, "subscriptions"), func(w io.Writer) error {
		return maildirx.WriteSubscriptions(w, x.subscribed())
	})
}

// extract delivers messages that are sorted by place, so that each frame is decompressed once.
func (x *extraction) extract(ctx context.Context, msgs []*Message) error {
	sp := spool.New(x.root)
	defer func() { _ = sp.Close() }()
	var loaded *Message
	var damage *DamageError
	for _, msg := range msgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := x.delivery(msg, sp)
		key := twinKey{sum: msg.Sum, date: msg.InternalDate.Unix()}
		if first := x.files[key]; first != "" {
			if err := x.batch.LinkInto(first, d); err != nil {
				return err
			}
			x.count(msg)
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
		}
		if err := x.batch.Deliver(d); err != nil {
			return err
		}
		x.files[key] = filepath.Join(d.Dir, "cur", d.Name.String())
		x.count(msg)
	}
	return nil
}

// delivery says where a message goes, under its own name and with its newest flags.
func (x *extraction) delivery(msg *Message, sp *spool.Spool) maildirx.Delivery {
	m := x.Mailbox(msg.Mailbox)
	letters := maildirx.Flags(msg.Flags, func(keyword string) (byte, bool) {
		i := slices.Index(m.Keywords, keyword)
		return byte('a' + i), i >= 0 //nolint:gosec // below 26, and unused when negative
	})
	return maildirx.Delivery{
		Dir:   filepath.Join(x.root, filepath.FromSlash(m.Dir)),
		Name:  x.fileName(msg, letters),
		Mtime: msg.InternalDate,
		Write: func(w io.Writer) error {
			_, err := io.Copy(w, sp.Open())
			return err
		},
	}
}

func (x *extraction) count(msg *Message) {
	x.result.Messages++
	x.result.Octets += msg.Size
	if x.opts.Progress != nil {
		x.opts.Progress(x.result.Messages, x.result.Octets)
	}
}
