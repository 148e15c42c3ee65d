package maildirsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"mailark/maildirx"
)

const (
	maxLevels    = 200     // directories inside each other
	maxMailboxes = 100_000 // as many as a session takes
	readAtOnce   = 1024    // names of a directory
)

// Names of a Maildir's directories.
const (
	curDir = "cur"
	newDir = "new"
	tmpDir = "tmp"
)

var (
	errTooMany = errors.New("more than 100000 mailboxes")
	errTooDeep = errors.New("directories are nested more than 200 deep; what is below was not looked at")
	errSymlink = errors.New("is a symbolic link, which is not followed")
)

// box is one mailbox of the tree.
type box struct {
	dir        string // below the root, with slashes; "." is the root itself
	levels     []string
	has        map[string]bool // which of curDir and newDir it has
	fault      error           // why it cannot be read at all
	name       string
	raw        string
	delim      string
	subscribed bool

	mu     sync.Mutex // of what follows
	users  int        // sources that have it open
	shared *snapshot  // of the last look, while somebody has it open
}

// walker finds mailboxes, whatever the layout. A directory that has cur, or new and tmp, is a mailbox. A directory
// whose name begins with a dot is named as Maildir++ does, with dots between levels, relative to the directory it is
// in; any other one is a level of its own. So mailboxes of Maildir++, of nested directories, and of mbsync's mixture of
// both (SubFolders Legacy) are found alike.
type walker struct {
	ctx   context.Context // of the one call it lives for
	root  *os.Root
	log   *slog.Logger
	boxes []*box
}

func walk(ctx context.Context, root *os.Root, log *slog.Logger) ([]*box, error) {
	w := &walker{ctx: ctx, root: root, log: log}
	if err := w.visit(".", nil); err != nil {
		return nil, err
	}
	return w.boxes, nil
}

// visit looks at one directory and those in it. What cannot be read becomes a mailbox with a fault, so that it is
// named; an error ends the walk.
func (w *walker) visit(dir string, levels []string) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if len(w.boxes) >= maxMailboxes {
		return errTooMany
	}
	entries, err := directories(w.root, dir)
	if err == nil && strings.Count(dir, "/") >= maxLevels && len(entries) > 0 {
		entries, err = nil, errTooDeep
	}
	if err != nil && dir == "." {
		return fmt.Errorf("%w: %w", ErrNoMaildir, err)
	}
	if err != nil {
		w.add(&box{dir: dir, levels: levels, fault: cause(err)})
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	isMailbox := has(curDir) || has(newDir) && has(tmpDir)
	if isMailbox {
		b := &box{dir: dir, levels: levels, has: map[string]bool{curDir: has(curDir), newDir: has(newDir)}}
		for _, e := range entries {
			if isLink(e) && b.has[e.Name()] {
				b.fault = fmt.Errorf("%s %w", e.Name(), errSymlink)
			}
		}
		if dir == "." {
			b.levels = []string{inbox}
		}
		w.add(b)
	}
	for _, e := range entries {
		name := e.Name()
		if isMailbox && (name == curDir || name == newDir || name == tmpDir) {
			continue
		}
		below := append(slices.Clone(levels), levelsOf(name)...)
		if isLink(e) {
			w.link(path.Join(dir, name), below)
		} else if err := w.visit(path.Join(dir, name), below); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) add(b *box) { w.boxes = append(w.boxes, b) }

// link notes a symbolic link to something that may be a mailbox.
func (w *walker) link(dir string, levels []string) {
	target := filepath.Join(w.root.Name(), filepath.FromSlash(dir))
	if info, err := os.Stat(target); err != nil || !info.IsDir() {
		return
	}
	w.log.Warn("a symbolic link is not followed", "path", dir)
	if info, err := os.Stat(filepath.Join(target, curDir)); err == nil && info.IsDir() {
		w.add(&box{dir: dir, levels: levels, fault: errSymlink})
	}
}

func isLink(e fs.DirEntry) bool { return e.Type()&fs.ModeSymlink != 0 }

// directories reads the directories and symbolic links in dir, sorted by name.
func directories(root *os.Root, dir string) ([]fs.DirEntry, error) {
	var found []fs.DirEntry
	err := eachEntry(root, dir, func(e fs.DirEntry) error {
		if e.IsDir() || isLink(e) {
			found = append(found, e)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return found, err
}

// eachEntry calls fn for what is in a directory, in no order.
func eachEntry(root *os.Root, dir string, fn func(fs.DirEntry) error) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		entries, err := f.ReadDir(readAtOnce)
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// cause is the system's reason without the path, which the mailbox's name stands for.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// levelsOf are the levels that a directory's name stands for.
func levelsOf(name string) []string {
	below, ok := strings.CutPrefix(name, ".")
	if !ok {
		return []string{level(strings.ReplaceAll(name, ".", `\2e`), name)}
	}
	var levels []string
	for _, s := range strings.Split(below, ".") {
		levels = append(levels, level(s, s))
	}
	return levels
}

// level decodes one level; what is not in the usual form stands as it is written.
func level(s, written string) string {
	if text := maildirx.ForeignLevel(s); text != s {
		return text
	}
	return written
}
