package maildirx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Walk calls fn for each mailbox of the Maildir++ tree at root, whoever wrote it: the inbox first if
// root itself is a Maildir, then the others in the order of their directories' names. A mailbox is a
// directory with a cur or new directory in it; symbolic links are not followed. Levels are decoded
// as by ParseDir, and one that is written otherwise is taken as it stands; so in a tree of foreign make
// two directories may have one path, and dir tells them apart. An error of fn ends the walk and is
// returned as it is.
func Walk(root string, fn func(mailboxPath []string, dir string) error) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("walk Maildir++ tree: %w", err)
	}
	if isMaildir(root) {
		if err := fn([]string{inbox}, root); err != nil {
			return err
		}
	}
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), ".")
		dir := filepath.Join(root, entry.Name())
		if !ok || !entry.IsDir() || !isMaildir(dir) {
			continue
		}
		if err := fn(foreignPath(strings.Split(name, ".")), dir); err != nil {
			return err
		}
	}
	return nil
}

func isMaildir(dir string) bool {
	return isDir(filepath.Join(dir, "cur")) || isDir(filepath.Join(dir, "new"))
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// File is one message file of a mailbox.
type File struct {
	Path string // with the mailbox's directory
	Name Name
}

// Messages lists the message files of a mailbox: those in cur and then those in new, each in the order
// of their names. Nothing is moved or changed. Files that begin with a dot are no messages. Whatever else
// is there and cannot be taken for one (a symbolic link, a directory, a name that ParseName refuses) is
// named in the error, and the messages are returned all the same.
func Messages(dir string) ([]File, error) {
	var files []File
	var errs []error
	for _, sub := range []string{"cur", "new"} {
		path := filepath.Join(dir, sub)
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if !isDir(path) {
			errs = append(errs, fmt.Errorf("%s is not a directory", path))
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			errs = append(errs, err)
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), ".") {
				continue
			}
			file := File{Path: filepath.Join(path, entry.Name())}
			if !entry.Type().IsRegular() {
				errs = append(errs, fmt.Errorf("%s is not a regular file", file.Path))
				continue
			}
			if file.Name, err = ParseName(entry.Name()); err != nil {
				errs = append(errs, err)
				continue
			}
			files = append(files, file)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return files, fmt.Errorf("list messages of %s: %w", dir, err)
	}
	return files, nil
}
