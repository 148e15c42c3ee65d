package importer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"mailark/archive"
	"mailark/internal/durable"
)

// Others hold the lock for an instant to find out whether a run is at work.
const (
	lockTries = 4
	lockPause = 25 * time.Millisecond
)

var (
	// ErrLedgerLocked says that another import holds the ledger (exit code 11). It is an archive.ErrLocked too.
	ErrLedgerLocked error = lockedError{}
	// ErrLedgerOther says that the ledger belongs to another archive or another account.
	ErrLedgerOther = errors.New("the ledger belongs to another upload")
	// ErrLedgerDamaged says that a line of the ledger is not what was written there.
	ErrLedgerDamaged = errors.New("the ledger is damaged")
)

type lockedError struct{}

func (lockedError) Error() string        { return "the ledger is in use by another import" }
func (lockedError) Is(target error) bool { return target == archive.ErrLocked }

// ledger is the memory of uploads from one archive to one account: a file of JSON lines that only
// grows. Its format, version 1:
//
// Each line is one JSON object in UTF-8 that ends with a newline; t is its kind. Octets after the last
// newline are a line torn by a crash and are cut off when the ledger is next opened. So is a line of which
// a power cut left NULs, with all after it, unless an intent or a mailbox comes later, which were synced
// after it. Any other line that cannot be read is an error, never passed over. Times are RFC 3339; time is when the line was
// written, to the second. Fields that are zero or empty are left out and mean "unknown".
//
//	ledger   version (1), archive (id in archive.json), host (lower case; with ":port" unless
//	         that is 143 or 993), user, program. The first line, once.
//	mailbox  dir (directory in the tar, FORMAT.md "Mailboxes"), from (name for people), to (name on
//	         the target, decoded). From now on this mailbox goes there.
//	intent   id (ascending from 1), to, from, epoch, uid (the message in the archive), sha256,
//	         size (octets), date (INTERNALDATE to be sent), to_uidvalidity and to_uidnext: as far as
//	         known, a message stored later under this UIDVALIDITY has a UID not below to_uidnext.
//	stored   id, to_uidvalidity, to_uid: the copy is in the target. Without to_uid the server has not
//	         said where.
//	adopted  all fields of an intent but to_uidnext, and to_uid: such a copy was in the target before.
//	         It has no intent and no other result.
//	refused  id, text: the server's words. Not stored.
//	void     id: not stored, to be sent again under a new id.
//
// An intent is durable before the first octet of its APPEND is sent. An intent without a result is
// in doubt. No UID of a target mailbox and UIDVALIDITY stands in two lines stored or adopted. What counts
// as done for a target mailbox is the number of stored and adopted lines per SHA-256; uid and epoch are
// for people.
//
// After a crash: every intent whose APPEND may have been sent is in the file; results of the last
// batch may be missing, and are found out again.
type ledger struct {
	path string
	now  func() time.Time
	lock *flock.Flock
	file *durable.File

	mu      sync.Mutex // guards what follows
	dirty   bool       // written, but not synced
	err     error      // sticky: after a failed write the end of the file is unknown
	lastID  uint64
	mapped  map[string]string // dir: target mailbox
	entries map[string]*account
	byID    map[uint64]*entry // open ones
}

// account is what the ledger knows of one target mailbox.
type account struct {
	entries []*entry
	claimed map[receipt]bool // with known UID
}

// identity binds a ledger to one archive and one account.
type identity struct {
	archive, host, user, program string
}

// openLedger opens or makes the ledger at path, locks it, and cuts off a torn last line.
// Errors: ErrLedgerLocked, ErrLedgerOther, ErrLedgerDamaged.
func openLedger(path string, who identity, opts *Options) (*ledger, error) {
	l := newLedger(path, opts.Now)
	if err := l.open(who, opts.FS); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), l.Close())
	}
	return l, nil
}

// peekLedger reads the ledger at path without a lock and changes nothing. A missing one is empty.
func peekLedger(path string, who identity, opts *Options) (*ledger, error) {
	l := newLedger(path, opts.Now)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := l.replay(f, who); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	return l, nil
}

func newLedger(path string, now func() time.Time) *ledger {
	return &ledger{
		path: path, now: now,
		mapped: make(map[string]string), entries: make(map[string]*account), byID: make(map[uint64]*entry),
	}
}

func (l *ledger) open(who identity, fs *durable.FS) error {
	dir := filepath.Dir(l.path)
	if err := fs.MkdirAll(dir); err != nil {
		return err
	}
	// A file of its own: on Windows a lock on the ledger would keep us out as well.
	l.lock = flock.New(l.path+LockSuffix, flock.SetPermissions(durable.FileMode))
	locked, err := l.lock.TryLock()
	for try := 1; err == nil && !locked && try < lockTries; try++ {
		time.Sleep(lockPause)
		locked, err = l.lock.TryLock()
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if !locked {
		return ErrLedgerLocked
	}
	if l.file, err = fs.Open(l.path); errors.Is(err, os.ErrNotExist) {
		l.file, err = fs.Create(l.path)
	}
	if err != nil {
		return err
	}
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	end, err := l.replay(io.NewSectionReader(l.file, 0, size), who)
	if err != nil {
		return err
	}
	if end < size {
		if err := l.file.Truncate(end); err != nil {
			return err
		}
	}
	if _, err := l.file.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if end == 0 {
		header := &line{
			T: lineLedger, Version: ledgerVersion, Archive: who.archive, Host: who.host, User: who.user,
			Program: who.program, Time: stamp(l.now()),
		}
		data, err := header.encode()
		if err != nil {
			return err
		}
		if _, err := l.file.Write(data); err != nil {
			return err
		}
	}
	// Also of an old ledger: the process that wrote its last lines may have died before it could sync them.
	if err := l.file.Sync(); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// Close syncs what was written and gives up the lock.
func (l *ledger) Close() error {
	var err error
	if l.file != nil {
		err = errors.Join(l.Sync(), l.file.Close())
		l.file = nil
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Unlock())
		l.lock = nil
	}
	return err
}

// account is the account of a target mailbox, made if need be.
func (l *ledger) account(to string) *account {
	a := l.entries[to]
	if a == nil {
		a = &account{claimed: make(map[receipt]bool)}
		l.entries[to] = a
	}
	return a
}

// keep takes a new entry in.
func (l *ledger) keep(e *entry) error {
	a := l.account(e.to)
	if e.status == adopted {
		if err := a.claim(e.at); err != nil {
			return err
		}
	} else {
		l.byID[e.id] = e
	}
	l.lastID = e.id
	a.entries = append(a.entries, e)
	return nil
}

// finished takes the result of an open entry in.
func (l *ledger) finished(e *entry) error {
	delete(l.byID, e.id)
	a := l.account(e.to)
	switch e.status {
	case stored:
		return a.claim(e.at)
	case open, adopted, refused, void:
	}
	return nil
}

func (a *account) claim(at receipt) error {
	if at.UID == 0 {
		return nil
	}
	if a.claimed[at] {
		return fmt.Errorf("UID %d (UIDVALIDITY %d) of the target belongs to two messages", at.UID, at.UIDValidity)
	}
	a.claimed[at] = true
	return nil
}

// targets is where the archive's mailboxes went in earlier runs, by directory.
func (l *ledger) targets() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.mapped)
}

// mapMailboxes notes where mailboxes go, durably. Known ones cost nothing.
func (l *ledger) mapMailboxes(list []mapping) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	for _, m := range list {
		if l.mapped[m.dir] == m.to {
			continue
		}
		data, err := (&line{
			T: lineMailbox, Dir: m.dir, From: bounded(m.from), To: m.to, Time: stamp(l.now()),
		}).encode()
		if err != nil {
			return err
		}
		l.mapped[m.dir] = m.to
		out = append(out, data...)
	}
	if len(out) == 0 {
		return l.err
	}
	return errors.Join(l.write(out), l.sync())
}

// mapping is one mailbox line.
type mapping struct{ dir, from, to string }

// intend gives entries their ids and makes them durable, in one write and one sync, with all
// results before them.
func (l *ledger) intend(entries []*entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	var out []byte
	for i, e := range entries {
		e.id, e.status = l.lastID+uint64(i)+1, open
		data, err := entryLine(lineIntent, e, l.now()).encode()
		if err != nil {
			return err
		}
		out = append(out, data...)
	}
	if err := l.write(out); err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.keep(e); err != nil {
			return err
		}
	}
	return l.sync()
}

// settle writes the results of open entries, whose status, at and text are set by the caller, and
// adopted ones, which are new. They are durable with the next intents, or after Sync.
func (l *ledger) settle(entries ...*entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	var out []byte
	for _, e := range entries {
		data, err := l.settleOne(e)
		if err != nil {
			return err
		}
		out = append(out, data...)
	}
	if len(out) == 0 {
		return nil
	}
	return l.write(out)
}

func (l *ledger) settleOne(e *entry) ([]byte, error) {
	if l.account(e.to).claimed[e.at] {
		// The server names a UID that is another message's. Whatever that means (Gmail merges equal
		// messages), it is no place of this one.
		e.at.UID = 0
	}
	if e.status == adopted {
		e.id = l.lastID + 1
		if err := l.keep(e); err != nil {
			return nil, err
		}
		return entryLine(lineAdopted, e, l.now()).encode()
	}
	e.text = bounded(e.text)
	if err := l.finished(e); err != nil {
		return nil, err
	}
	return resultLine(e, l.now()).encode()
}

// Sync makes everything written so far durable.
func (l *ledger) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.file == nil {
		return l.err
	}
	return l.sync()
}

func (l *ledger) write(data []byte) error {
	if l.err != nil {
		return l.err
	}
	l.dirty = true
	if _, err := l.file.Write(data); err != nil {
		l.err = fmt.Errorf("write ledger %s: %w", l.path, err)
	}
	return l.err
}

func (l *ledger) sync() error {
	if l.err != nil || !l.dirty {
		return l.err
	}
	if err := l.file.Sync(); err != nil {
		l.err = fmt.Errorf("sync ledger %s: %w", l.path, err)
	}
	l.dirty = false
	return l.err
}

// list is the entries of a target mailbox with one of the given states, in the order of their ids.
func (l *ledger) list(to string, states ...status) []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*entry
	if a := l.entries[to]; a != nil {
		for _, e := range a.entries {
			if slices.Contains(states, e.status) {
				out = append(out, e)
			}
		}
	}
	return out
}

// isClaimed reports whether a message of the target belongs to an entry.
func (l *ledger) isClaimed(to string, at receipt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.entries[to]
	return a != nil && a.claimed[at]
}
