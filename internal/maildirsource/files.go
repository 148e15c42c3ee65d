package maildirsource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxListFile is the largest file beside the mail that is read, in octets.
const maxListFile = 1 << 30

var errNotRegular = errors.New("is no regular file")

// openFile opens a regular file for reading. It never waits (a FIFO would), and follows no symbolic link.
func openFile(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Lstat(name)
	switch {
	case err != nil:
		return nil, nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: errSymlink}
	case !info.Mode().IsRegular():
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = &fs.PathError{Op: "open", Path: name, Err: errChanged}
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, nil, err
	}
	return f, opened, nil
}

// readLines gives parse the whole lines of a file; what a program is just adding at the end, without its newline,
// is left out. There is no such file: found is false.
func readLines(root *os.Root, name string, parse func(io.Reader) error) (found bool, err error) {
	f, info, err := openFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	if info.Size() > maxListFile {
		return false, fmt.Errorf("%s has %d octets, more than %d", name, info.Size(), maxListFile)
	}
	end, err := lastNewline(f, info.Size())
	if err != nil {
		return false, err
	}
	return true, parse(io.NewSectionReader(f, 0, end))
}

// lastNewline is the offset behind the last newline among the first size octets.
func lastNewline(f io.ReaderAt, size int64) (int64, error) {
	chunk := make([]byte, 4<<10)
	for end := size; end > 0; {
		from := max(0, end-int64(len(chunk)))
		part := chunk[:end-from]
		if _, err := f.ReadAt(part, from); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return from + int64(at) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// parseNames reads a file of mailbox names.
type parseNames = func(io.Reader) ([][]string, error)

// readNames reads a file of mailbox names; nil if there is none.
func readNames(root *os.Root, name string, parse parseNames) (names [][]string, err error) {
	_, err = readLines(root, name, func(r io.Reader) (err error) {
		if names, err = parse(r); err == nil && names == nil {
			names = [][]string{}
		}
		return err
	})
	return names, err
}
