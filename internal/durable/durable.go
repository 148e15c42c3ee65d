// Package durable is the only place that writes, syncs, renames, truncates and removes files of an
// archive, a ledger or an extracted tree. Every such call is one numbered step, and a hook sees each
// step before and after it happens, so that a test can count the steps of a run and die at any of them.
//
// After a crash: what Sync or SyncDir returned nil for is on the disk; everything else may be lost,
// whole or in part.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Modes of everything Mailark creates: mail is for its owner alone.
const (
	FileMode   os.FileMode = 0o600
	SealedMode os.FileMode = 0o400
	DirMode    os.FileMode = 0o700
	tempSuffix             = ".tmp"
)

// Op names the kind of a step.
type Op string

// The kinds of steps.
const (
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpSyncDir  Op = "syncdir"
	OpTruncate Op = "truncate"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpLink     Op = "link"
	OpChmod    Op = "chmod"
)

// Step is one change to the disk.
type Step struct {
	N    int    // 1 for the first step of this FS
	Op   Op     //
	Path string // file or directory the step changes
	From string // for OpRename and OpLink: the name there was before
	Len  int    // octets, for OpWrite
}

// Hook is called before (done false) and after (done true) each step. An error from the call before
// prevents the step; an error from the call after is returned although the step has happened. The
// hook may also end the process.
type Hook func(s Step, done bool) error

// ErrSkip is what a hook returns before a step that is to be left out although the caller is told that it
// was done, like a sync by a disk that lies. The hook is called after such a step as well.
var ErrSkip = errors.New("leave this step out")

// ShortWriteError is what a hook returns before an OpWrite of which only the first octets are to reach the
// file, as when the disk fills up.
type ShortWriteError struct {
	Octets int
	Err    error // what the write returns
}

func (e *ShortWriteError) Error() string { return e.Err.Error() }
func (e *ShortWriteError) Unwrap() error { return e.Err }

// FS performs steps. The zero value is ready and has no hook. It is safe for several goroutines.
type FS struct {
	Hook Hook

	mu sync.Mutex
	n  int
}

// New returns an FS with the given hook, which may be nil.
func New(hook Hook) *FS { return &FS{Hook: hook} }

// Steps is the number of steps begun so far.
func (fs *FS) Steps() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.n
}

func (fs *FS) step(s Step, do func() error) error {
	if fs.Hook == nil {
		return do()
	}
	fs.mu.Lock()
	fs.n++
	s.N = fs.n
	fs.mu.Unlock()
	err := fs.Hook(s, false)
	switch {
	case err == nil:
		err = do()
	case errors.Is(err, ErrSkip):
		err = nil
	}
	if err != nil {
		return err
	}
	return fs.Hook(s, true)
}

// File is an open file whose changes are steps.
type File struct {
	fs *FS
	f  *os.File
}

// Create makes a new empty file for reading and writing; it is an error if it exists. The parent
// directory is not synced; call SyncDir.
func (fs *FS) Create(path string) (*File, error) {
	return fs.open(OpCreate, path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open opens an existing file for reading and writing. It changes nothing and is no step.
func (fs *FS) Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &File{fs: fs, f: f}, nil
}

func (fs *FS) open(op Op, path string, flag int) (*File, error) {
	var file *File
	err := fs.step(Step{Op: op, Path: path}, func() error {
		f, err := os.OpenFile(path, flag, FileMode)
		file = &File{fs: fs, f: f}
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Write writes at the file's offset.
func (f *File) Write(p []byte) (n int, err error) {
	err = f.fs.step(Step{Op: OpWrite, Path: f.f.Name(), Len: len(p)}, func() error {
		n, err = f.f.Write(p)
		return err
	})
	var short *ShortWriteError
	if errors.As(err, &short) {
		n, _ = f.f.Write(p[:min(short.Octets, len(p))]) // what counts is the error that the hook wants
	}
	return n, err
}

// Seek sets the offset of the next Write.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.f.Seek(offset, whence) }

// ReadAt reads without moving the offset.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Size is the file's length in octets.
func (f *File) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync makes everything written so far survive a power cut.
func (f *File) Sync() error { return f.fs.step(Step{Op: OpSync, Path: f.f.Name()}, f.f.Sync) }

// Truncate cuts the file to size octets.
func (f *File) Truncate(size int64) error {
	return f.fs.step(Step{Op: OpTruncate, Path: f.f.Name()}, func() error { return f.f.Truncate(size) })
}

// Close closes the file; it is no step, since it makes nothing durable.
func (f *File) Close() error { return f.f.Close() }

// Name is the path the file was opened with.
func (f *File) Name() string { return f.f.Name() }

// SyncFile makes what a file holds survive a power cut. The file may be read-only.
func (fs *FS) SyncFile(path string) error {
	return fs.step(Step{Op: OpSync, Path: path}, func() error { return syncPath(path) })
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // was only read
	return f.Sync()
}

// SyncDir makes the names in a directory survive a power cut.
func (fs *FS) SyncDir(dir string) error {
	return fs.step(Step{Op: OpSyncDir, Path: dir}, func() error { return syncPath(dir) })
}

// Rename gives a file its final name; the directory is not synced.
func (fs *FS) Rename(from, to string) error {
	return fs.step(Step{Op: OpRename, Path: to, From: from}, func() error { return os.Rename(from, to) })
}

// Remove removes a file or an empty directory. A missing one is no error.
func (fs *FS) Remove(path string) error {
	return fs.step(Step{Op: OpRemove, Path: path}, func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}

// RemoveAll removes a directory and all that is in it. A missing one is no error.
func (fs *FS) RemoveAll(dir string) error {
	return fs.step(Step{Op: OpRemove, Path: dir}, func() error { return os.RemoveAll(dir) })
}

// Chmod changes a file's mode.
func (fs *FS) Chmod(path string, mode os.FileMode) error {
	return fs.step(Step{Op: OpChmod, Path: path}, func() error { return os.Chmod(path, mode) })
}

// Link makes a second name for a file.
func (fs *FS) Link(from, to string) error {
	return fs.step(Step{Op: OpLink, Path: to, From: from}, func() error { return os.Link(from, to) })
}

// Mkdir makes one directory and syncs its parent. An existing directory is left as it is.
func (fs *FS) Mkdir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	err := fs.step(Step{Op: OpMkdir, Path: dir}, func() error { return os.Mkdir(dir, DirMode) })
	if err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(dir))
}

// MkdirAll makes a directory and the parents it lacks, each synced into its parent. The first one that is there
// is synced into its parent too: whoever made it may have been killed before that.
func (fs *FS) MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	makeParent := fs.MkdirAll
	if info, err := os.Stat(parent); err == nil && info.IsDir() {
		makeParent = fs.SyncName
	}
	if parent != dir {
		if err := makeParent(parent); err != nil {
			return err
		}
	}
	return fs.Mkdir(dir)
}

// SyncName makes the name of an existing directory survive a power cut. Where its parent may be searched but not read,
// as the homes of others, it cannot be done; then the name is not new either, and it is no error.
func (fs *FS) SyncName(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := fs.SyncDir(filepath.Dir(abs)); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	return nil
}

// WriteFile replaces path with the given octets: temporary file, sync, rename, directory sync. At
// any instant, and after any crash, path is either the whole old file or the whole new one.
//
//	create path.tmp · write · sync · rename path.tmp path · syncdir
func (fs *FS) WriteFile(path string, data []byte) error {
	return fs.WriteFileFrom(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFileFrom is WriteFile for content that is written piece by piece.
func (fs *FS) WriteFileFrom(path string, write func(io.Writer) error) error {
	tmp := path + tempSuffix
	f, err := fs.open(OpCreate, tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := fs.Rename(tmp, path); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(path))
}
