package maildirsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"mailark/internal/session"
)

// Source reads a tree. It is for one goroutine.
type Source struct {
	tree *Tree
	root *os.Root

	box       *box // the mailbox that is open
	dir       *os.Root
	*snapshot                   // of it; empty: none is open
	names     map[string]string // paths by base, of the last look; nil: not looked yet
	opener    opener
}

// List lists the mailboxes. No roles are known: a tree has none.
func (s *Source) List(ctx context.Context) (*session.Listing, error) {
	listing, err := s.tree.list(ctx, s.root)
	if ctx.Err() != nil {
		return nil, stopped(ctx, "list mailboxes")
	}
	return listing, err
}

// Examine opens a mailbox: it lists its messages and gives each its UID. Errors are *session.Error of scope mailbox, or
// wrap ErrState.
func (s *Source) Examine(ctx context.Context, name string) (*session.Selected, error) {
	op := fmt.Sprintf("open %q", name)
	s.leave()
	sel, err := s.examine(ctx, name)
	switch {
	case ctx.Err() != nil:
		return nil, stopped(ctx, op)
	case errors.Is(err, ErrState):
		return nil, fmt.Errorf("%s: %w", op, err)
	case err != nil:
		return nil, &session.Error{Op: op, Scope: session.ScopeMailbox, Class: session.ClassFinal, Err: cause(err)}
	}
	return sel, nil
}

func (s *Source) examine(ctx context.Context, name string) (*session.Selected, error) {
	b, err := s.tree.box(ctx, s.root, name)
	if err != nil {
		return nil, err
	}
	if b.fault != nil {
		return nil, b.fault
	}
	dir, err := s.root.OpenRoot(b.dir)
	if err != nil {
		return nil, err
	}
	snap, err := s.tree.enter(ctx, b, dir)
	if err != nil {
		_ = dir.Close() // was only read
		return nil, err
	}
	s.box, s.dir, s.snapshot = b, dir, snap
	return &session.Selected{
		Exists: uint32(min(len(snap.messages), maxMessages)), UIDValidity: snap.validity, UIDNext: snap.next, ReadOnly: true,
	}, nil
}

// leave closes the mailbox.
func (s *Source) leave() {
	if s.dir != nil {
		_ = s.dir.Close() // was only read
		s.box.leave()
	}
	s.box, s.dir, s.snapshot, s.names = nil, nil, &snapshot{}, nil
}

// FetchMeta calls fn for every message of the open mailbox with UID >= from, by UID. An error of fn ends the calls and
// is returned. Sizes are estimates: no file is read.
func (s *Source) FetchMeta(ctx context.Context, from uint32, fn func(session.Meta) error) error {
	for i := range s.messages {
		m := &s.messages[i]
		if m.uid < from {
			continue
		}
		if ctx.Err() != nil {
			return stopped(ctx, "list messages")
		}
		err := fn(session.Meta{
			UID: m.uid, Flags: s.keywords.flags(m), InternalDate: time.Unix(m.mtime, 0), Size: estimate(m), Estimate: true,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// estimate is a message's size as far as its name tells it.
func estimate(m *message) int64 {
	name := m.name()
	plain := m.size
	if name.Size > 0 {
		plain = name.Size
	}
	if name.VSize >= plain && name.VSize <= 2*plain {
		return name.VSize
	}
	return plain
}

// FetchBodies calls fn for each of the given messages of the open mailbox that is there, with its octets; sizes do not
// matter. r ends with io.EOF only after size octets. A message that cannot be read is an *session.Error of scope
// message with the system's words, and the others are delivered all the same; several such errors are joined. An error
// of fn ends the fetch and is returned.
func (s *Source) FetchBodies(
	ctx context.Context, uids []uint32, _ []int64, fn func(uid uint32, size int64, r io.Reader) error,
) error {
	var refused []error
	for _, uid := range uids {
		if ctx.Err() != nil {
			return stopped(ctx, "read messages")
		}
		i, ok := slices.BinarySearchFunc(s.messages, uid, func(m message, uid uint32) int { return cmp.Compare(m.uid, uid) })
		if !ok {
			continue
		}
		err := s.fetch(&s.messages[i], fn)
		var own *callerError
		switch {
		case errors.As(err, &own):
			return own.err
		case errors.Is(err, errVanished):
		case err != nil:
			refused = append(refused, &session.Error{
				Op: "read " + s.messages[i].path(), Scope: session.ScopeMessage, Class: session.ClassFinal,
				Server: fmt.Sprintf("%s: %v", s.messages[i].path(), cause(err)), Err: err,
			})
		}
	}
	return errors.Join(refused...)
}

// callerError is an error of fn.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// errVanished says that a message is not there any more.
var errVanished = errors.New("vanished")

func (s *Source) fetch(m *message, fn func(uid uint32, size int64, r io.Reader) error) error {
	f, info, err := s.open(m)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, err := s.opener.open(f, info)
	if err != nil {
		return err
	}
	defer func() { _ = b.close() }()
	if err := fn(m.uid, b.size, b); err != nil {
		return &callerError{err}
	}
	return nil
}

// open opens a message's file, also if it has been renamed meanwhile because its flags have changed or it has moved from
// new to cur.
func (s *Source) open(m *message) (*os.File, fs.FileInfo, error) {
	f, info, err := openFile(s.dir, m.path())
	if !errors.Is(err, fs.ErrNotExist) {
		return f, info, err
	}
	if !m.alone {
		return nil, nil, errVanished
	}
	for range maxScans {
		known, ok := s.names[base(m.file)]
		if ok {
			if f, info, err = openFile(s.dir, known); !errors.Is(err, fs.ErrNotExist) {
				return f, info, err
			}
		}
		if s.names, err = namesNow(s.dir, s.box.has); err != nil {
			return nil, nil, err
		}
		if now, there := s.names[base(m.file)]; !there || ok && now == known {
			return nil, nil, errVanished
		}
	}
	return nil, nil, err
}

// Close ends the reading.
func (s *Source) Close() error {
	s.leave()
	return s.root.Close()
}

// stopped is the error of what the context has ended.
func stopped(ctx context.Context, op string) error {
	return &session.Error{Op: op, Scope: session.ScopeSession, Class: session.ClassFinal, Err: context.Cause(ctx)}
}
