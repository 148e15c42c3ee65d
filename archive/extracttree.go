package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"

	"mailark/internal/durable"
	"mailark/maildirx"
)

// What Extract has in its directory until the tree is whole.
const (
	unfinishedTree = maildirx.Root + ".tmp"
	extractLock    = "extract.lock"
)

// inTree lets write fill the new directory root and then makes it dir/Maildir. After an error of any
// step nothing of it is left, and dir is gone again if it was missing.
func inTree(fsys *durable.FS, archiveDir, dir string, write func(root string) error) (err error) {
	if err := checkOutside(archiveDir, dir); err != nil {
		return err
	}
	if err := checkUnused(dir); err != nil {
		return err
	}
	if _, missing := os.Stat(dir); missing != nil {
		defer func() {
			if err != nil {
				_ = fsys.Remove(dir) // it stays if somebody has put something there
			}
		}()
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, extractLock), flock.SetPermissions(durable.FileMode))
	if ok, err := lock.TryLock(); err != nil {
		return fmt.Errorf("lock the directory: %w", err)
	} else if !ok {
		return ErrBusy
	}
	root := filepath.Join(dir, unfinishedTree)
	defer func() {
		if err != nil {
			err = errors.Join(err, fsys.RemoveAll(root))
		}
		err = errors.Join(err, fsys.Remove(lock.Path()), lock.Close())
	}()
	if err := checkUnused(dir); err != nil { // another one may have ended meanwhile
		return err
	}
	if err := fsys.RemoveAll(root); err != nil {
		return err
	}
	if err := write(root); err != nil {
		return err
	}
	if err := fsys.Rename(root, filepath.Join(dir, maildirx.Root)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// checkUnused allows what an interrupted extract has left, and nothing else.
func checkUnused(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	own := []string{unfinishedTree, extractLock}
	for _, e := range entries {
		if !slices.Contains(own, e.Name()) {
			return fmt.Errorf("it holds %q: %w", e.Name(), ErrExists)
		}
	}
	return nil
}

// checkOutside refuses a directory that is the archive, or is or would be below it.
func checkOutside(archiveDir, dir string) error {
	own, err := os.Stat(archiveDir)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	for p := dir; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err == nil {
			// Links are followed first: what is above a link's target is not above the link.
			if real, err := filepath.EvalSymlinks(p); err == nil && real != p {
				p = real
			}
			if os.SameFile(info, own) {
				return ErrInside
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}
