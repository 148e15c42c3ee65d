package maildirx

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailark/internal/durable"
)

// folderFile marks a directory of a Maildir++ tree as a mailbox below the root.
const folderFile = "maildirfolder"

// Init makes the Maildir dir, and the parents it lacks: cur, new and tmp, and the empty file
// "maildirfolder" if the last part of dir begins with a dot, as all of a Maildir++ tree do but its root.
// Modes are 0700 and 0600. What is there already stays, and is synced into its directory all the same:
// whoever made it may have been killed before that.
func Init(fs *durable.FS, dir string) error {
	if err := initDir(fs, dir); err != nil {
		return fmt.Errorf("make Maildir %s: %w", dir, err)
	}
	return nil
}

func initDir(fs *durable.FS, dir string) error {
	if err := fs.MkdirAll(dir); err != nil {
		return err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := fs.Mkdir(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	if strings.HasPrefix(filepath.Base(dir), ".") {
		mark, err := fs.Create(filepath.Join(dir, folderFile))
		if err == nil {
			err = mark.Close()
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return errors.Join(fs.SyncDir(dir), fs.SyncDir(filepath.Dir(dir)))
}

// Delivery is one message to be delivered.
type Delivery struct {
	Dir   string    // of the mailbox; Init has made it
	Name  Name      // in cur
	Mtime time.Time // INTERNALDATE; zero: the file keeps the time it is written at
	// Write writes the octets. It may be called again after an error.
	Write func(io.Writer) error
}

func (d Delivery) target() string { return filepath.Join(d.Dir, "cur", d.Name.String()) }

// Deliver delivers one message, durably:
//
//	create tmp/<unique> · write · mtime · sync · rename to cur/<name> · syncdir cur
//
// A message of the same name in cur is replaced, so that a run that was cut short can be repeated.
func Deliver(fs *durable.FS, d Delivery) error {
	b := Batch{FS: fs}
	if err := b.Deliver(d); err != nil {
		return err
	}
	return b.Commit()
}

// LinkInto delivers d as a second name of the message file from, which holds the same octets: see
// Batch.LinkInto.
func LinkInto(fs *durable.FS, from string, d Delivery) error {
	b := Batch{FS: fs}
	if err := b.LinkInto(from, d); err != nil {
		return err
	}
	return b.Commit()
}

// Batch delivers many messages and syncs each cur directory only once, in Commit. Until then a message
// that was delivered is whole if it is there, but a power cut may take it away. The zero value is ready.
// It is for one goroutine.
type Batch struct {
	FS *durable.FS // steps on the disk; nil: no hook
	// NoSync leaves out every sync, for trees that can be made again. After a power cut even a message
	// in cur may then be empty or cut short.
	NoSync bool

	dirs map[string]bool // cur directories that Commit must sync
}

func (b *Batch) fs() *durable.FS {
	if b.FS == nil {
		b.FS = durable.New(nil)
	}
	return b.FS
}

// Deliver does what the function Deliver does, but for the sync of the directory.
func (b *Batch) Deliver(d Delivery) error {
	if err := b.deliver(d); err != nil {
		return fmt.Errorf("deliver %s: %w", d.target(), err)
	}
	return nil
}

func (b *Batch) deliver(d Delivery) error {
	if err := d.check(); err != nil {
		return err
	}
	tmp := filepath.Join(d.Dir, "tmp", d.Name.Unique)
	f, err := b.create(tmp)
	if err != nil {
		return err
	}
	err = d.Write(f)
	if err == nil {
		err = setMtime(tmp, d.Mtime)
	}
	if err == nil && !b.NoSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, b.fs().Remove(tmp))
	}
	if err := b.fs().Rename(tmp, d.target()); err != nil {
		return errors.Join(err, b.fs().Remove(tmp))
	}
	b.delivered(d)
	return nil
}

// create makes a file in tmp. One that is there already was left by a run that was cut short, since no
// two messages have the same name.
func (b *Batch) create(tmp string) (*durable.File, error) {
	f, err := b.fs().Create(tmp)
	if !errors.Is(err, os.ErrExist) {
		return f, err
	}
	if err := b.fs().Remove(tmp); err != nil {
		return nil, err
	}
	return b.fs().Create(tmp)
}

func (b *Batch) delivered(d Delivery) {
	if b.dirs == nil {
		b.dirs = make(map[string]bool)
	}
	b.dirs[filepath.Join(d.Dir, "cur")] = true
}

// check refuses a name that would lead out of the mailbox, or could not be read back.
func (d Delivery) check() error {
	again, err := ParseName(d.Name.String())
	if err != nil {
		return err
	}
	if again != d.Name {
		return fmt.Errorf("%w: %.300q reads as another", ErrName, d.Name.String())
	}
	return nil
}

// setMtime sets a file's time of modification, within what a count of nanoseconds can say (1677 to 2262).
func setMtime(path string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if first := time.Unix(0, math.MinInt64); t.Before(first) {
		t = first
	}
	if last := time.Unix(0, math.MaxInt64); t.After(last) {
		t = last
	}
	return os.Chtimes(path, t, t)
}

// LinkInto delivers d as a hard link to the message file from, which holds the same octets and has been
// delivered before; d.Write is not used. A link shares the time of modification. So a copy is made where
// the times differ to the second or d has none, as where the file system makes no link. A message of the
// same name in cur is replaced.
func (b *Batch) LinkInto(from string, d Delivery) error {
	if err := b.linkInto(from, d); err != nil {
		return fmt.Errorf("link %s into %s: %w", from, d.target(), err)
	}
	return nil
}

func (b *Batch) linkInto(from string, d Delivery) error {
	if err := d.check(); err != nil {
		return err
	}
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	if there, err := os.Lstat(d.target()); err == nil && os.SameFile(info, there) && sameTime(info, d) {
		b.delivered(d)
		return nil
	}
	if sameTime(info, d) && b.fs().Link(from, d.target()) == nil {
		b.delivered(d)
		return nil
	}
	d.Write = func(w io.Writer) error { return copyFile(w, from) }
	return b.deliver(d)
}

// sameTime is false for a delivery without a date: no file is as old as the zero time.
func sameTime(info os.FileInfo, d Delivery) bool { return info.ModTime().Unix() == d.Mtime.Unix() }

func copyFile(w io.Writer, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(w, f)
	return err
}

// Commit makes everything delivered so far survive a power cut. After an error it can be called again.
func (b *Batch) Commit() error {
	for _, dir := range sortedKeys(b.dirs) {
		if !b.NoSync {
			if err := b.fs().SyncDir(dir); err != nil {
				return fmt.Errorf("commit deliveries: %w", err)
			}
		}
		delete(b.dirs, dir)
	}
	return nil
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
