package maildirsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"mailark/maildirx"
)

// message is one file of a mailbox.
type message struct {
	file  string // its name
	mtime int64  // seconds since 1970
	size  int64  // octets of the file
	uid   uint32
	isNew bool // in new, not in cur
	alone bool // no other file of the mailbox has the same name but for the flags
}

func (m *message) path() string {
	if m.isNew {
		return path.Join(newDir, m.file)
	}
	return path.Join(curDir, m.file)
}

// name is the file's name taken apart. A name that is in no known form is all unique part.
func (m *message) name() maildirx.Name { return parseName(m.file) }

func parseName(file string) maildirx.Name {
	name, err := maildirx.ParseName(file)
	if err != nil {
		return maildirx.Name{Unique: file, Size: -1, VSize: -1}
	}
	return name
}

// base is the part of a file's name that does not change with the flags.
func base(file string) string {
	name := parseName(file)
	return name.Base()
}

const (
	// maxScans is how often a mailbox is read when it changes meanwhile.
	maxScans = 5
	// scanPause is the first pause between; each further one is twice as long.
	scanPause = 20 * time.Millisecond
	// mtimeTick is how coarse the time stamps of a file system may be: a directory changed so short ago may have
	// changed again without showing it.
	mtimeTick = 20 * time.Millisecond
	// maxMessages is the largest mailbox.
	maxMessages = 20_000_000
)

var errTooManyMessages = errors.New("more than 20000000 messages")

// scan lists the messages of a mailbox. Mail programs rename files meanwhile, and a directory that is changed while it
// is read may not show a file at all; so it is read again until nothing has changed, and what was seen the time before
// and is still there counts too.
func scan(ctx context.Context, dir *os.Root, has map[string]bool, log *slog.Logger) ([]message, error) {
	var last []message
	for try, pause := 1, scanPause; ; try, pause = try+1, 2*pause {
		list, steady, err := scanOnce(ctx, dir, has, log)
		if err != nil {
			return nil, err
		}
		if !steady && try > 1 {
			missed, err := stillThere(dir, has, last, list)
			if err != nil {
				return nil, err
			}
			list = append(list, missed...)
		}
		if steady || try == maxScans {
			return markAlone(dir, list), nil
		}
		last = list
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// scanOnce reads new before cur, since messages move that way. steady: nothing changed meanwhile.
func scanOnce(ctx context.Context, dir *os.Root, has map[string]bool, log *slog.Logger) ([]message, bool, error) {
	var list []message
	steady := true
	for _, sub := range []string{newDir, curDir} {
		if !has[sub] {
			continue
		}
		before, err := changed(dir, sub)
		if err != nil {
			return nil, false, err
		}
		err = eachEntry(dir, sub, func(e fs.DirEntry) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if strings.HasPrefix(e.Name(), ".") {
				return nil
			}
			if len(list) >= maxMessages {
				return errTooManyMessages
			}
			m := message{file: e.Name(), isNew: sub == newDir}
			info, err := e.Info()
			switch {
			case errors.Is(err, fs.ErrNotExist):
				steady = false
				return nil
			case err != nil:
				return err
			case !info.Mode().IsRegular() && !isLink(e):
				log.Warn("no message, passed over", "path", path.Join(dir.Name(), m.path()), "mode", info.Mode().String())
				return nil
			}
			m.size, m.mtime = info.Size(), info.ModTime().Unix()
			list = append(list, m)
			return nil
		})
		if err != nil {
			return nil, false, err
		}
		after, err := changed(dir, sub)
		if err != nil {
			return nil, false, err
		}
		steady = steady && after.Equal(before) && time.Since(after) > mtimeTick
	}
	return list, steady, nil
}

// changed is when a directory was last changed.
func changed(dir *os.Root, sub string) (time.Time, error) {
	info, err := dir.Lstat(sub)
	if err != nil {
		return time.Time{}, err
	}
	if !info.IsDir() {
		return time.Time{}, fmt.Errorf("%s is no directory any more", sub)
	}
	return info.ModTime(), nil
}

// stillThere are the messages of an earlier scan that a later one has not shown and that have not gone, under the names
// they have now.
func stillThere(dir *os.Root, has map[string]bool, earlier, later []message) (found []message, err error) {
	shown := make(map[string]bool, len(later))
	for i := range later {
		shown[base(later[i].file)] = true
	}
	missed := slices.DeleteFunc(slices.Clone(earlier), func(m message) bool { return shown[base(m.file)] })
	for range maxScans {
		missed = slices.DeleteFunc(missed, func(m message) bool {
			_, err := dir.Lstat(m.path())
			if err == nil {
				found = append(found, m)
			}
			return err == nil
		})
		if len(missed) == 0 {
			break
		}
		names, err := namesNow(dir, has)
		if err != nil {
			return nil, err
		}
		for i := range missed {
			m := &missed[i]
			if now, ok := names[base(m.file)]; ok {
				m.file, m.isNew = path.Base(now), path.Dir(now) == newDir
			}
		}
	}
	return found, nil
}

// namesNow are the paths of a mailbox's files by their bases.
func namesNow(dir *os.Root, has map[string]bool) (map[string]string, error) {
	names := make(map[string]string)
	for _, sub := range []string{newDir, curDir} {
		if !has[sub] {
			continue
		}
		err := eachEntry(dir, sub, func(e fs.DirEntry) error {
			m := message{file: e.Name(), isNew: sub == newDir}
			names[base(m.file)] = m.path()
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// markAlone finds files whose names differ in the flags alone. If all but one have gone, that was one message which
// was renamed meanwhile; else they are different messages.
func markAlone(dir *os.Root, list []message) []message {
	count := make(map[string]int, len(list))
	for i := range list {
		count[identity(&list[i])]++
	}
	list = slices.DeleteFunc(list, func(m message) bool {
		id := identity(&m)
		if count[id] == 1 {
			return false
		}
		_, err := dir.Lstat(m.path())
		gone := errors.Is(err, fs.ErrNotExist)
		count[id] -= b2i(gone)
		return gone
	})
	for i := range list {
		list[i].alone = count[identity(&list[i])] == 1
	}
	return list
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// identity is what tells a message from all others of its mailbox, for ever: the unique part of its name, without the
// numbers that mbsync and OfflineIMAP add to it.
func identity(m *message) string {
	fields := strings.Split(m.name().Unique, ",")
	kept := fields[:1]
	for _, field := range fields[1:] {
		if !strings.HasPrefix(field, "U=") && !strings.HasPrefix(field, "FMD5=") {
			kept = append(kept, field)
		}
	}
	return strings.Join(kept, ",")
}

// nameUID is the UID in a name of mbsync, 0 if there is none.
func nameUID(file string) uint32 {
	for _, field := range strings.Split(parseName(file).Unique, ",")[1:] {
		if digits, ok := strings.CutPrefix(field, "U="); ok {
			return parseUID(digits)
		}
	}
	return 0
}
