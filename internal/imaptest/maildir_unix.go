//go:build unix

package imaptest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// dovecotGroup is the group of Dovecot's own processes, which must read the passwords.
func dovecotGroup() int {
	g, err := user.LookupGroup("dovecot")
	if err != nil {
		return -1
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1
	}
	return id
}

// copyMaildir copies a tree for the mail user. A message everybody may read becomes a hard link, for
// Dovecot only renames messages; all other files are Dovecot's to change.
func copyMaildir(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			if err := os.Mkdir(dest, 0o700); err != nil {
				return err
			}
			return os.Chown(dest, mailUID, mailUID)
		case !info.Mode().IsRegular():
			return nil
		}
		dir := filepath.Base(filepath.Dir(path))
		if (dir == "cur" || dir == "new") && info.Mode().Perm()&0o004 != 0 && os.Link(path, dest) == nil {
			return nil
		}
		return copyFile(path, dest, info)
	})
}

func copyFile(from, to string, info fs.FileInfo) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chown(mailUID, mailUID), out.Close())
	if err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime()) // INTERNALDATE
}
