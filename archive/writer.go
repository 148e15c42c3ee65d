package archive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/klauspost/compress/zstd"

	"mailark/internal/durable"
	"mailark/internal/spool"
	"mailark/maildirx"
)

const (
	maxKeywords = maildirx.MaxKeywords // with a letter, in one mailbox
	maxLetters  = 64                   // flag letters of one file name, read leniently
)

// Writer adds to an archive. One goroutine at a time may call it. After an error that is not about
// its arguments, the writer stays broken and repeats the error; what was committed is safe, and opening
// the archive again goes on from there.
type Writer struct {
	Catalog
	dir     string
	opts    Options
	lock    *flock.Flock
	log     *durable.File // the catalog's file
	segFile *durable.File // the open segment; nil: none
	seg     *segmentInfo
	lanes   []*lane
	outs    []*laneOut
	packer  *zstd.Encoder // of catalog frames
	pending []*record

	pendingSize int               // octets that the pending records have at most
	lane        map[*Message]int  // of the pending messages' octets
	began       time.Time         // of the oldest pending record
	twins       map[uint32]*twins // by mailbox
	added       int64             // octets added to segments
	hold        bool              // commit only when told to, and seal nothing
	err         error
}

// Create makes a new archive in dir, which must be missing or empty, and locks it.
// Errors: ErrExists, ErrLocked.
func Create(dir string, src Source, options *Options) (*Writer, error) {
	opts := options.withDefaults()
	if err := opts.FS.MkdirAll(dir); err != nil {
		return nil, opts.explainFull(dir, fmt.Errorf("create archive: %w", err))
	}
	if _, err := readInfo(dir); err != nil { // before the lock, which is a file too
		if err := checkEmpty(dir); err != nil {
			return nil, err
		}
	}
	lock, err := lockArchive(dir)
	if err != nil {
		return nil, err
	}
	if err := create(dir, src, &opts); err != nil {
		return nil, errors.Join(opts.explainFull(dir, err), lock.Close())
	}
	return openLocked(dir, lock, opts)
}

// create writes the files of an empty archive; archive.json comes last and makes it one.
func create(dir string, src Source, opts *Options) error {
	if err := checkEmpty(dir); err != nil {
		return err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("make archive id: %w", err)
	}
	info := Info{
		Format: formatName, Version: formatVersion, ID: hex.EncodeToString(id),
		Created: opts.Now().UTC().Truncate(time.Second), Source: src, Program: opts.Program,
	}
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", infoFile, err)
	}
	fs := opts.FS
	err = fs.Mkdir(filepath.Join(dir, segmentDir))
	for _, f := range []struct {
		name string
		data []byte
	}{
		{readmeFile, readme(info)}, {sumsFile, nil}, {catalogFile, nil}, {infoFile, append(data, '\n')},
	} {
		if err == nil {
			err = fs.WriteFile(filepath.Join(dir, f.name), f.data)
		}
	}
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	return nil
}

// checkEmpty allows what an interrupted create has left, and nothing else.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	own := []string{lockFile, runningFile, segmentDir, readmeFile, sumsFile, catalogFile}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmp")
		if !slices.Contains(own, name) && e.Name() != infoFile+".tmp" {
			return fmt.Errorf("create archive in %s: it holds %q: %w", dir, e.Name(), ErrExists)
		}
	}
	if segments, err := segmentFiles(dir); err != nil || len(segments) > 0 {
		return errors.Join(err, fmt.Errorf("create archive in %s: it holds segments: %w", dir, ErrExists))
	}
	for _, name := range []string{catalogFile, sumsFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Size() > 0 {
			return fmt.Errorf("create archive in %s: it holds a %s that is not empty: %w", dir, name, ErrExists)
		}
	}
	return nil
}

// Others hold the lock for an instant to find out whether a run is at work (FORMAT.md, "running.json").
const (
	lockTries = 4
	lockPause = 25 * time.Millisecond
)

func lockArchive(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(durable.FileMode))
	for try := range lockTries {
		if try > 0 {
			time.Sleep(lockPause)
		}
		ok, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock archive: %w", err)
		}
		if ok {
			_ = os.Remove(Running(dir)) // of a run that was killed; who is at work now is another
			return lock, nil
		}
	}
	return nil, fmt.Errorf("open %s: %w", dir, ErrLocked)
}

// Running is the file in which the run that holds an archive's lock may say where it stands. No reader of
// the mail looks at it.
func Running(dir string) string { return filepath.Join(dir, runningFile) }

// Lock is the file whose lock a writer holds.
func Lock(dir string) string { return filepath.Join(dir, lockFile) }

// OpenWriter opens and locks an archive, and ends the commit that a crash may have left half done:
// it is finished if it is whole in the segment, else cut off. Errors: ErrNotArchive, ErrLocked,
// *DamageError if the catalog is damaged elsewhere than at its end.
func OpenWriter(dir string, options *Options) (*Writer, error) {
	opts := options.withDefaults()
	if _, err := readInfo(dir); err != nil {
		return nil, err
	}
	lock, err := lockArchive(dir)
	if err != nil {
		return nil, err
	}
	return openLocked(dir, lock, opts)
}

// openLocked takes over the lock.
func openLocked(dir string, lock *flock.Flock, opts Options) (*Writer, error) {
	w := &Writer{dir: dir, opts: opts, lock: lock, lane: make(map[*Message]int), twins: make(map[uint32]*twins)}
	if err := w.open(); err != nil {
		return nil, errors.Join(w.ExplainFull(err), w.Close())
	}
	return w, nil
}

func (w *Writer) open() error {
	info, err := readInfo(w.dir)
	if err != nil {
		return err
	}
	if w.log, err = w.opts.FS.Open(filepath.Join(w.dir, catalogFile)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return &DamageError{File: catalogFile, Offset: -1, Reason: "it is missing"}
		}
		return fmt.Errorf("open catalog: %w", err)
	}
	size, err := w.log.Size()
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	var end int64
	if w.Catalog, end, err = replay(w.log, size, info); err != nil {
		return err
	}
	return w.recover(end, size)
}

// SpoolDir is where the spools for Add belong: the archive's own file system.
func (w *Writer) SpoolDir() string { return w.dir }

// Stored is how many compressed octets this writer has added to the segments.
func (w *Writer) Stored() int64 { return w.added }

// Close drops what was not committed, and unlocks.
func (w *Writer) Close() error {
	for _, l := range w.lanes {
		l.stop()
	}
	for _, out := range w.outs {
		if out.scratch != nil {
			_ = out.scratch.Close() // it has no name and nobody reads it
		}
	}
	w.lanes, w.outs = nil, nil
	var errs []error
	for _, f := range []*durable.File{w.segFile, w.log} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	w.segFile, w.log = nil, nil
	if w.lock != nil {
		errs = append(errs, w.lock.Close())
		w.lock = nil
	}
	_ = w.fail(errClosed) // for whoever calls on
	return errors.Join(errs...)
}

var errClosed = errors.New("archive is closed")

// fail breaks the writer for good, at the first error.
func (w *Writer) fail(err error) error {
	err = w.ExplainFull(err)
	if w.err == nil {
		w.err = err
	}
	return err
}

// note applies a record and puts it into the next commit.
func (w *Writer) note(r *record) error {
	if w.err != nil {
		return w.err
	}
	if err := w.apply(r); err != nil {
		return err
	}
	if len(w.pending) == 0 {
		w.began = w.opts.Now()
	}
	w.pending = append(w.pending, r)
	w.pendingSize += r.sizeBound()
	return nil
}

func (w *Writer) now() *time.Time {
	t := w.opts.Now().UTC().Truncate(time.Second)
	return &t
}

// Add stores a message; body is empty afterwards. linked says that its octets were in the archive
// already, so that only a record, and mostly a hard link in the tar, was added. It commits when a
// frame is full or the oldest pending record is CommitEvery old. It is an error to add a key twice.
func (w *Writer) Add(ctx context.Context, k Key, date time.Time, flags []string, body *spool.Spool) (linked bool, err error) {
	if err := errors.Join(w.err, ctx.Err()); err != nil {
		return false, err
	}
	if body.Size() > MaxMessageSize {
		return false, fmt.Errorf("add UID %d: %d octets are more than %d", k.UID, body.Size(), int64(MaxMessageSize))
	}
	mbox := w.Mailbox(k.Mailbox)
	if mbox == nil || k.Epoch == 0 || int(k.Epoch) > len(mbox.Epochs) || k.UID == 0 || w.Message(k) != nil {
		return false, fmt.Errorf("add UID %d to mailbox %d epoch %d: no such place, or archived already", k.UID, k.Mailbox, k.Epoch)
	}
	flags = storable(flags)
	letters, err := w.letters(mbox, flags)
	if err != nil {
		return false, err
	}
	msg := &Message{
		Key: k, Sum: body.Sum(), InternalDate: storableDate(date), Flags: w.internFlags(flags), Size: body.Size(),
		letters: letters,
	}
	r := &record{
		T: recMessage, Mailbox: k.Mailbox, Epoch: k.Epoch, UID: k.UID, Date: formatDate(msg.InternalDate), Flags: msg.Flags,
		Letters: letters, Size: msg.Size, SHA256: msg.Sum.String(), msg: msg,
	}
	if err := w.place(r, body); err != nil {
		return false, w.fail(err)
	}
	if err := w.note(r); err != nil {
		return false, w.fail(err)
	}
	if w.commitDue() {
		return msg.Link, w.Commit()
	}
	return msg.Link, nil
}

// place decides where the octets go: nowhere, a hard link, or a file of their own.
func (w *Writer) place(r *record, body *spool.Spool) error {
	msg := r.msg
	if err := w.openSegment(); err != nil {
		return err
	}
	if twin := w.twin(msg); twin != nil {
		msg.from, msg.Link, r.orig = twin, true, twin
		r.File = []uint32{twin.Epoch, twin.UID}
		return body.Reset()
	}
	if orig := w.BySum(msg.Sum); orig != nil {
		msg.Link, r.Link, r.orig = true, true, orig
		header, err := tarHeader(linkHeader(w.File(msg), w.File(orig), msg.InternalDate))
		if err != nil {
			return err
		}
		r.lane = w.laneOf(orig)
		w.send(r.lane, member{header: header}, 0)
		return body.Reset()
	}
	header, err := tarHeader(fileHeader(w.File(msg), msg.Size, msg.InternalDate))
	if err != nil {
		return err
	}
	if r.lane, err = w.freeLane(); err != nil {
		return err
	}
	msg.Place.Pos = w.send(r.lane, member{header: header, body: body.Move()}, msg.Size)
	w.lane[msg] = r.lane
	return nil
}

// letters gives each keyword its letter and returns those of the file name.
func (w *Writer) letters(mbox *Mailbox, flags []string) (string, error) {
	var failed error
	letters := maildirx.Flags(flags, func(keyword string) (byte, bool) {
		i := slices.Index(mbox.Keywords, keyword)
		if i < 0 && len(mbox.Keywords) < maxKeywords && maildirx.ValidKeyword(keyword) {
			i = len(mbox.Keywords)
			failed = errors.Join(failed, w.note(&record{
				T: recKeyword, Mailbox: mbox.ID, Letter: letter(i), Name: keyword,
			}))
		}
		return byte('a' + i), i >= 0 //nolint:gosec // below 26, and unused when negative
	})
	return letters, failed
}

// letter is that of a mailbox's keyword i, from 0.
func letter(i int) string { return "abcdefghijklmnopqrstuvwxyz"[i : i+1] }

// File is the path of a message's file in the extracted tree, as the tar has it.
func (c *Catalog) File(msg *Message) string {
	if msg.from != nil {
		return c.File(msg.from)
	}
	return c.Mailbox(msg.Mailbox).Dir + "/cur/" + c.fileName(msg, msg.letters).String()
}

// fileName is a message's own file name with the given flag letters.
func (c *Catalog) fileName(msg *Message, letters string) maildirx.Name {
	return maildirx.Name{
		Unique: maildirx.Unique(msg.InternalDate, msg.Mailbox, msg.Epoch, msg.UID, c.info.ID),
		Size:   msg.Size, VSize: -1, Flags: letters,
	}
}
