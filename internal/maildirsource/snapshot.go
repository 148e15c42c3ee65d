package maildirsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"mailark/maildirx"
)

// snapshot is a mailbox at one moment. Nobody changes it, so that several connections share it.
type snapshot struct {
	messages []message // by UID
	keywords *keywords
	validity uint32
	next     uint32
	stamp    string // what the mailbox looked like then; "" if it was changing
}

// enter returns the mailbox as it is now: what another connection has found, if nothing has changed since.
func (t *Tree) enter(ctx context.Context, b *box, dir *os.Root) (*snapshot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, err := stamp(dir, b.has)
	if err != nil {
		return nil, err
	}
	if b.shared == nil || b.shared.stamp != before || before == "" {
		s := &snapshot{}
		if s.messages, err = scan(ctx, dir, b.has, t.opts.Log); err != nil {
			return nil, err
		}
		if s.validity, s.next, err = t.number(dir, b, s.messages); err != nil {
			return nil, err
		}
		slices.SortFunc(s.messages, func(a, b message) int { return cmp.Compare(a.uid, b.uid) })
		s.keywords = readKeywords(dir, t.opts.Log)
		after, err := stamp(dir, b.has)
		if err != nil {
			return nil, err
		}
		if after == before {
			s.stamp = after
		}
		b.shared = s
	}
	b.users++
	return b.shared, nil
}

// leave forgets the snapshot when nobody uses it any more.
func (b *box) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users--; b.users == 0 {
		b.shared = nil
	}
}

// stamp tells a mailbox from what it will be after any change. It is "" if it has changed so short ago that the next
// change might not show.
func stamp(dir *os.Root, has map[string]bool) (string, error) {
	var b strings.Builder
	for _, name := range []string{
		".", newDir, curDir, maildirx.UIDListFile, maildirx.CourierUIDFile, validityFile, maildirx.KeywordsFile,
		maildirx.CourierKeywordsDir, maildirx.CourierKeywordsDir + "/" + maildirx.CourierKeywordsList,
	} {
		info, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) && !has[name] {
			continue
		}
		if err != nil {
			return "", err
		}
		if time.Since(info.ModTime()) < mtimeTick {
			return "", nil
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}
