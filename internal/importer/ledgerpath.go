package importer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mailark/internal/session"
)

// ledgerDir is where an archive keeps its ledgers (FORMAT.md, "imports").
const ledgerDir = "imports"

// What is behind a ledger's name in those of its lock and of the file where a run says where it stands.
const (
	LockSuffix    = ".lock"
	RunningSuffix = ".running"
)

// Ledgers are the paths of the ledgers an archive keeps itself.
func Ledgers(archiveDir string) []string {
	dir := filepath.Join(archiveDir, ledgerDir)
	entries, _ := os.ReadDir(dir) // none: nothing was ever uploaded
	var list []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".jsonl") {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list
}

// targetHost is the host as the ledger knows it: lower case, and with the port where that is not
// one of the two all servers use. A tunnel on another port leads to another server.
func targetHost(o *session.Options) string {
	host := strings.ToLower(strings.TrimSuffix(o.Host, "."))
	switch o.Port {
	case 0, 143, 993:
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(o.Port))
}

// ledgerPath is the default ledger: <archive>/imports/<user>@<host>.jsonl.
func ledgerPath(archiveDir, user, host string) string {
	return filepath.Join(archiveDir, ledgerDir, ledgerName(user, host))
}

// ledgerName is a file name that is different for every user and host, also where file names
// have no case, and allowed on FAT, NTFS and SMB: lower-case letters, digits and ".-_+" stand for
// themselves, in the user "@" too, every other octet is "=" and two hexadecimal digits. A name longer
// than 180 octets is cut there and ends in "~" and half its SHA-256 in place of the rest.
func ledgerName(user, host string) string {
	const longest = 180
	name := escape(user, "@") + "@" + escape(host, "")
	if len(name) > longest {
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("%s~%x", name[:longest], sum[:16])
	}
	return name + ".jsonl"
}

func escape(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte(".-_+"+also, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	return b.String()
}

// realPath is the file a path leads to, whether it is there yet or not: two names of one ledger must
// find the same lock.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range 40 {
		to, err := os.Readlink(path)
		if err != nil { // no link, or nothing there
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return path, nil // it will be made, or the error will come up there
			}
			return filepath.Join(dir, filepath.Base(path)), nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", errors.New("too many symbolic links")
}
