package maildirsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"mailark/internal/durable"
	"mailark/internal/session"
)

// ErrNoMaildir is wrapped by errors about a directory that is not there, cannot be read, or holds no Maildir.
var ErrNoMaildir = errors.New("no Maildir there")

// ErrState is wrapped by errors about Options.State: UIDs could not be written down or read. It is no fault of the tree.
var ErrState = errors.New("the UIDs given to messages cannot be kept")

// Options say what to read. Dir is needed.
type Options struct {
	Dir string // the tree's root
	// State is the directory where the UIDs are kept that were given to messages the tree has no UID for. It is
	// made when it is needed, if its parent is there. "": none are kept, so that the next run gives others.
	State    string
	ReadOnly bool // State is only read
	// Known tells what the archive has of a mailbox, by session.Mailbox.Raw: UIDVALIDITY and the highest UID of its
	// newest epoch, 0 if it has none. nil: nothing is known. It may be called from several goroutines.
	Known func(raw string) (uidValidity, highest uint32)
	Log   *slog.Logger     // nil: silent
	Now   func() time.Time // nil: time.Now
}

// Tree is a Maildir tree. It is safe for several goroutines.
type Tree struct {
	opts Options
	fs   durable.FS

	numbering sync.Mutex // held while UIDs are given

	mu    sync.Mutex
	boxes map[string]*box // by name, as last listed
}

// New makes a Tree. It does not look at the disk yet.
func New(o Options) *Tree {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Known == nil {
		o.Known = func(string) (uint32, uint32) { return 0, 0 }
	}
	return &Tree{opts: o}
}

// Connect opens the tree. An error wraps ErrNoMaildir.
func (t *Tree) Connect(ctx context.Context) (*Source, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	root, err := os.OpenRoot(t.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open Maildir: %w: %w", ErrNoMaildir, err)
	}
	return &Source{tree: t, root: root, snapshot: &snapshot{}}, nil
}

// list walks the tree and remembers what was found.
func (t *Tree) list(ctx context.Context, root *os.Root) (*session.Listing, error) {
	boxes, err := walk(ctx, root, t.opts.Log)
	if err != nil {
		return nil, err
	}
	if len(boxes) == 0 {
		return nil, fmt.Errorf("list %s: %w: no directory in it has a directory cur", t.opts.Dir, ErrNoMaildir)
	}
	nameAll(boxes)
	known, err := markSubscribed(root, boxes)
	if err != nil {
		t.opts.Log.Warn("the subscriptions cannot be read", "reason", err)
	}
	listing := &session.Listing{Answered: true, SubscriptionsKnown: known}
	byName := make(map[string]*box, len(boxes))
	for _, b := range boxes {
		byName[b.name] = b
		listing.Mailboxes = append(listing.Mailboxes, session.Mailbox{
			Name: b.name, Raw: b.raw, Delim: b.delim, Subscribed: b.subscribed,
		})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.boxes = byName
	return listing, nil
}

// box finds a mailbox by its name. The tree is walked if that was not done yet.
func (t *Tree) box(ctx context.Context, root *os.Root, name string) (*box, error) {
	t.mu.Lock()
	boxes := t.boxes
	t.mu.Unlock()
	if boxes == nil {
		if _, err := t.list(ctx, root); err != nil {
			return nil, err
		}
		t.mu.Lock()
		boxes = t.boxes
		t.mu.Unlock()
	}
	if b := boxes[name]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%w: %q", errNoMailbox, name)
}

var errNoMailbox = errors.New("no such mailbox")
