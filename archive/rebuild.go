package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

// ErrFewer says that the catalog that could be made anew would know less than the one that is there.
var ErrFewer = errors.New("the catalog made anew would know less than the old one")

// RebuildOptions choose what Rebuild does.
type RebuildOptions struct {
	Force    bool // also where the catalog is fine, and where the new one knows less
	Progress func(done, total int64)
}

// RebuildResult is what Rebuild found and did.
type RebuildResult struct {
	Unchanged  bool   // the catalog was fine, and nothing was written
	OldCatalog string // the file that has the old catalog now; empty if there was none
	MadeInfo   bool   // archive.json was lost too, and was made anew
	Damage     error  // a *DamageError of the segments, for Repair; nil: none was seen
	Messages   int    // in the catalog now

	FromSegments int // commits from their copies in the segments
	FromCatalog  int // commits of which only the old catalog had something
	Made         int // commits made anew
	Unknown      Unknown
}

// Unknown counts what the commits made anew do not know any more.
type Unknown struct {
	Commits     int // lost with their mail; a seal is not counted
	Ends        int // segments that are missing or have no end, so that nobody knows whether commits are lost with it
	Remade      int // commits made from mail alone: changes of flags, and what has left the server, are lost
	Messages    int // made from the names of their files: the zone of INTERNALDATE and later flag changes are lost
	Letters     int // keyword letters of mailboxes whose keyword is lost
	Links       int // whose target is lost: the next export fetches them again
	Mailboxes   int // whose name, attributes and subscription are guessed from the directory
	Names       int // … of which the name is lost
	UIDValidity int // epochs whose UIDVALIDITY is lost: the next export begins new ones
	Records     int // that do not fit any more, such as changes of messages that are lost
	Octets      int64
}

// Rebuild makes the catalog anew (FORMAT.md, "Rebuilding"): from the copies in the segments, the readable parts of the old
// catalog, and where both are lost from the tar members themselves. The old catalog is kept beside the new one, which
// takes its place in one step. A catalog that is fine stays as it is.
// Errors: ErrNotArchive, ErrLocked, ErrFewer, *DamageError.
func Rebuild(ctx context.Context, dir string, options *Options, opts RebuildOptions) (*RebuildResult, error) {
	if files, err := segmentFiles(dir); err != nil {
		return nil, err
	} else if _, err := os.Stat(filepath.Join(dir, catalogFile)); len(files) == 0 && err != nil {
		return nil, fmt.Errorf("rebuild %s: %w", dir, ErrNotArchive)
	}
	lock, err := lockArchive(dir)
	if err != nil {
		return nil, err
	}
	b := &rebuilder{dir: dir, opts: options.withDefaults(), rebuild: opts, lock: lock}
	err = b.run(ctx)
	if err = errors.Join(err, lock.Close()); err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	return &b.result, nil
}

type rebuilder struct {
	dir     string
	opts    Options
	rebuild RebuildOptions
	lock    *flock.Flock
	info    Info
	old     Catalog // as far as it can be read
	sums    map[uint32]Sum
	*salvage
	result RebuildResult
}

func (b *rebuilder) run(ctx context.Context) error {
	// Whoever gave the catalog its name may have been killed before the name was on the disk.
	if err := b.opts.FS.SyncDir(b.dir); err != nil {
		return fmt.Errorf("sync archive: %w", err)
	}
	var damage *DamageError
	info, err := readInfo(b.dir)
	lost := errors.As(err, &damage) || errors.Is(err, ErrNotArchive) && !b.has(infoFile)
	if err != nil && !lost {
		return err
	}
	b.info = info
	fine, whole, err := b.lookAtOld()
	if err != nil {
		return err
	}
	if fine && !lost && !b.rebuild.Force {
		b.result.Unchanged, b.result.Messages = true, b.old.index.len()
		return b.publish(b.old)
	}
	if lost {
		b.info = Info{}
	}
	b.sums = b.listedSums()
	b.salvage = newSalvage(b, whole && !lost)
	if err := b.search(ctx); err != nil {
		return err
	}
	if len(b.commits) == 0 && (b.foreign != "" || !slices.ContainsFunc(b.units, func(u unit) bool { return u.kind == unitFrame })) {
		return b.nothingFound()
	}
	a, err := b.assembleTwice(ctx)
	if err != nil {
		return err
	}
	if lost {
		b.info = b.newInfo(a)
		a.c.info = b.info
	}
	if err := b.compare(&a.c); err != nil && !b.rebuild.Force {
		return err
	}
	if same, err := b.same(a.sum, a.size); err != nil {
		return err
	} else if same && !lost && !b.rebuild.Force {
		b.result.Unchanged = true
	} else if err := b.replace(ctx, a, lost); err != nil {
		return err
	}
	return b.finish(a)
}

func (b *rebuilder) has(name string) bool {
	_, err := os.Lstat(filepath.Join(b.dir, name))
	return err == nil
}

// lookAtOld reads the old catalog. whole: nothing in it is damaged. fine: it also leads to everything in the segments.
func (b *rebuilder) lookAtOld() (fine, whole bool, err error) {
	var damage *DamageError
	b.old = newCatalog(b.info)
	if b.info.ID == "" || !b.has(catalogFile) {
		return false, false, nil
	}
	f, err := openFile(b.dir, catalogFile)
	if err != nil {
		return false, false, err
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return false, false, fmt.Errorf("open catalog: %w", err)
	}
	old, end, err := replay(f, stat.Size(), b.info)
	b.old = old
	if errors.As(err, &damage) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	whole = end == stat.Size() && old.commits > 0
	ahead := old
	if whole { // what lies behind is applied to another copy, so that b.old stays what the file says
		if ahead, _, err = replay(f, stat.Size(), b.info); err != nil {
			return false, false, err
		}
	}
	found, err := lookBehind(b.dir, &ahead)
	if err != nil && !errors.As(err, &damage) {
		return false, false, err
	}
	return whole && err == nil && len(found.findings) == 0, whole, nil
}

// listedSums reads SHA256SUMS: a segment that is listed there is sealed.
func (b *rebuilder) listedSums() map[uint32]Sum {
	sums := make(map[uint32]Sum)
	v := &verifier{dir: b.dir}
	lines, err := v.readSums()
	if err != nil {
		return sums // it is made anew
	}
	for line := range lines {
		hex, name, _ := bytes.Cut([]byte(line), []byte("  "))
		sum, err := ParseSum(string(hex))
		if n := parseSegmentName(filepath.Base(string(name))); err == nil && n > 0 && segmentName(n) == string(name) {
			sums[n] = sum
		}
	}
	return sums
}

func (b *rebuilder) nothingFound() error {
	if b.foreign != "" && b.info.ID != "" {
		return &DamageError{File: infoFile, Offset: -1, Reason: fmt.Sprintf(
			"it says archive %.64s, but the commits are of archive %.64s; move %s away and rebuild again", b.info.ID, b.foreign, infoFile)}
	}
	return fmt.Errorf("no commit was found in the segments or the catalog: %w", ErrNotArchive)
}

// newInfo is an archive.json made from what the commits say.
func (b *rebuilder) newInfo(a *assembly) Info {
	info := Info{Format: formatName, Version: formatVersion, ID: b.info.ID, Created: a.began, Program: b.opts.Program}
	if runs := a.c.runs; len(runs) > 0 {
		info.Source, info.Program = runs[0].Source, runs[0].Program
		if info.Created.IsZero() || !runs[0].Start.IsZero() && runs[0].Start.Before(info.Created) {
			info.Created = runs[0].Start
		}
	}
	if info.Created.IsZero() {
		info.Created = b.opts.Now()
	}
	info.Created = info.Created.UTC().Truncate(time.Second)
	return info
}

// compare makes sure that every message the old catalog knows is in the new one.
func (b *rebuilder) compare(c *Catalog) error {
	missing := 0
	example := ""
	for _, m := range b.old.mailboxes {
		for _, msg := range b.old.sorted(m.ID) {
			if now := c.Message(msg.Key); now == nil || now.Sum != msg.Sum {
				missing++
				if missing == 1 {
					example = fmt.Sprintf("%q uid %d", m.Name(), msg.UID)
				}
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d messages, the first of them %s, would be missing: %w", missing, example, ErrFewer)
	}
	return nil
}

// same says whether the catalog's file is already what was assembled.
func (b *rebuilder) same(sum Sum, size int64) (bool, error) {
	f, err := os.Open(filepath.Join(b.dir, catalogFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read catalog: %w", err)
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("read catalog: %w", err)
	}
	if stat.Size() != size {
		return false, nil
	}
	now, err := sumSection(f, 0, size)
	return now == sum, err
}

// replace puts the new catalog in the place of the old one. The segments are synced first: a copy of records may have been
// read from memory, after a crash that came before its sync.
func (b *rebuilder) replace(ctx context.Context, a *assembly, lost bool) error {
	for _, n := range b.files {
		if err := b.opts.FS.SyncFile(filepath.Join(b.dir, segmentName(n))); err != nil {
			return fmt.Errorf("sync segment: %w", err)
		}
	}
	if err := errors.Join(b.opts.FS.SyncDir(filepath.Join(b.dir, segmentDir)), b.keep(catalogFile)); err != nil {
		return err
	}
	path := filepath.Join(b.dir, catalogFile)
	err := b.opts.FS.WriteFileFrom(path, func(w io.Writer) error {
		again, err := b.assemble(ctx, w, a.extra)
		if err == nil && again.sum != a.sum {
			err = errors.New("the segments changed meanwhile")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	if !lost {
		return nil
	}
	if err := b.keep(infoFile); err != nil {
		return err
	}
	data, err := json.MarshalIndent(b.info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", infoFile, err)
	}
	b.result.MadeInfo = true
	return b.opts.FS.WriteFile(filepath.Join(b.dir, infoFile), append(data, '\n'))
}

// keep copies a file to the next free name beside it, unless the newest copy is the same.
func (b *rebuilder) keep(name string) error {
	path := filepath.Join(b.dir, name)
	if !b.has(name) {
		return nil
	}
	kept := ""
	for n := 1; ; n++ {
		next := fmt.Sprintf("%s.old-%d", name, n)
		if !b.has(next) {
			if kept == "" || !sameFile(filepath.Join(b.dir, kept), path) {
				kept = next
				if err := b.opts.FS.WriteFileFrom(filepath.Join(b.dir, next), func(w io.Writer) error { return copyFile(w, path) }); err != nil {
					return fmt.Errorf("keep %s: %w", name, err)
				}
			}
			break
		}
		kept = next
	}
	if name == catalogFile {
		b.result.OldCatalog = kept
	}
	return nil
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, f, make([]byte, laneBuffer))
	return err
}

// sameFile says whether two files hold the same octets.
func sameFile(a, b string) bool {
	first, err := sumFile(a)
	second, err2 := sumFile(b)
	return err == nil && err2 == nil && first == second
}

// sumFile is the SHA-256 of a file.
func sumFile(path string) (Sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return Sum{}, fmt.Errorf("open: %w", err)
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return Sum{}, fmt.Errorf("read: %w", err)
	}
	return sumSection(f, 0, stat.Size())
}

// finish renews what hangs on the catalog, and looks at what a writer would say of the result.
func (b *rebuilder) finish(a *assembly) error {
	b.result.Messages = a.c.index.len()
	b.result.FromSegments, b.result.FromCatalog, b.result.Made = a.fromSegments, a.fromCatalog, a.made
	b.result.Unknown = a.unknown
	b.unsealed(&a.c)
	if err := b.publish(a.c); err != nil {
		return err
	}
	var damage *DamageError
	_, err := lookBehind(b.dir, &a.c)
	if errors.As(err, &damage) {
		b.result.Damage = damage
		return nil
	}
	return err
}

// unsealed looks for segments of which something was put aside after they were sealed, and whose next seal is lost. SHA256SUMS may
// have it still; whether it is right the next verify says.
func (b *rebuilder) unsealed(c *Catalog) {
	for _, s := range c.segments {
		if !s.sealed || !s.changed {
			continue
		}
		b.result.Damage = &DamageError{File: segmentName(s.number), Offset: -1, Reason: "it was not sealed again after the last repair"}
		if sum, ok := b.sums[s.number]; ok {
			s.sum = sum
		}
	}
}

// publish renews SHA256SUMS and README.txt where they are not what they should be.
func (b *rebuilder) publish(c Catalog) error {
	w := &Writer{Catalog: c, dir: b.dir, opts: b.opts}
	if err := w.publishSeals(); err != nil {
		return err
	}
	path, want := filepath.Join(b.dir, readmeFile), readme(b.info)
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, want) {
		return nil
	}
	if err := b.opts.FS.WriteFile(path, want); err != nil {
		return fmt.Errorf("write %s: %w", readmeFile, err)
	}
	return nil
}
