package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"mailark/internal/spool"
)

// Reader reads an archive. It takes no lock and changes nothing, so that a read-only medium will do
// and a writer may be at work meanwhile: it sees what was committed when it was opened.
type Reader struct {
	Catalog
	dir    string
	opts   Options
	damage *DamageError

	mu      sync.Mutex
	files   map[uint32]*os.File
	cursors []*cursor
}

// cursor is a frame that is being decompressed, so that the next message in it costs no new start.
type cursor struct {
	segment uint32
	frame   int64
	pos     int64 // in the decompressed frame
	dec     *zstd.Decoder
	ok      bool
}

// maxCursors is how many frames are kept open: one for a walk through a mailbox, one for the
// messages whose octets were stored with another mailbox. Each costs the window's memory.
const maxCursors = 2

// Open opens an archive for reading. Errors: ErrNotArchive, *DamageError (of the catalog).
func Open(dir string, options *Options) (*Reader, error) {
	info, err := readInfo(dir)
	if err != nil {
		return nil, err
	}
	r := &Reader{dir: dir, opts: options.withDefaults(), files: make(map[uint32]*os.File)}
	if r.Catalog, err = readCatalog(dir, info); err != nil {
		return nil, err
	}
	_, err = lookBehind(dir, &r.Catalog)
	if err != nil && !errors.As(err, &r.damage) {
		return nil, err
	}
	if r.damage != nil {
		r.opts.Log.Warn("the archive is damaged, some of its mail may be out of reach; mailark verify tells more", "error", r.damage)
	}
	r.settle()
	return r, nil
}

// Damage says what is wrong with the segments as far as opening has shown, or nil: then some of what was archived
// may be out of reach, and Verify tells more.
func (r *Reader) Damage() error {
	if r.damage == nil {
		return nil
	}
	return r.damage
}

// readCatalog replays the catalog's file. After a *DamageError the catalog holds what was before it.
func readCatalog(dir string, info Info) (Catalog, error) {
	f, err := openFile(dir, catalogFile)
	if err != nil {
		return newCatalog(info), err
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return newCatalog(info), fmt.Errorf("open catalog: %w", err)
	}
	c, _, err := replay(f, stat.Size(), info)
	return c, err
}

// Dir is the archive's directory.
func (r *Reader) Dir() string { return r.dir }

// Close closes the archive's files.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.cursors {
		c.dec.Close()
	}
	r.cursors = nil
	for _, f := range r.files {
		_ = f.Close() // was only read
	}
	clear(r.files)
	return nil
}

// Load replaces what is in sp by a message's octets and compares their SHA-256; *DamageError if it is
// not what it was. It decompresses one frame at most, and nothing twice if messages come in the order of their places.
func (r *Reader) Load(ctx context.Context, m *Message, sp *spool.Spool) error {
	if err := errors.Join(ctx.Err(), sp.Reset()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.cursor(m.Place)
	if err != nil {
		return err
	}
	from := interruptible{ctx, c.dec}
	if _, err = io.CopyN(io.Discard, from, m.Place.Pos-c.pos); err == nil {
		_, err = io.CopyN(sp, from, m.Size)
	}
	if err != nil {
		c.ok = false
		if err := cmp.Or(sp.Err(), ctx.Err()); err != nil {
			return err
		}
		reason := fmt.Sprintf("decompress frame: %v", noEOF(err))
		return &DamageError{File: segmentName(m.Place.Segment), Offset: m.Place.Frame, Reason: reason}
	}
	c.pos = m.Place.Pos + m.Size
	if Sum(sp.Sum()) != m.Sum {
		return &DamageError{File: segmentName(m.Place.Segment), Offset: m.Place.Frame, Reason: errWrongSum.Error()}
	}
	return nil
}

// cursor is an open frame that has not passed the place yet. The least recently used one gives way.
func (r *Reader) cursor(p Place) (*cursor, error) {
	best := -1
	for i, c := range r.cursors {
		if c.ok && c.segment == p.Segment && c.frame == p.Frame && c.pos <= p.Pos &&
			(best < 0 || c.pos > r.cursors[best].pos) {
			best = i
		}
	}
	if best < 0 {
		best = len(r.cursors) - 1
		if len(r.cursors) < maxCursors {
			dec, err := newMailDecoder()
			if err != nil {
				return nil, fmt.Errorf("start decompression: %w", err)
			}
			r.cursors = append(r.cursors, &cursor{dec: dec})
			best++
		}
		if err := r.start(r.cursors[best], p); err != nil {
			return nil, err
		}
	}
	c := r.cursors[best]
	r.cursors = slices.Insert(slices.Delete(r.cursors, best, best+1), 0, c)
	return c, nil
}

// start puts a cursor at the beginning of a frame.
func (r *Reader) start(c *cursor, p Place) error {
	c.ok = false
	f, found := r.frameAt(p)
	if !found {
		return &DamageError{File: segmentName(p.Segment), Offset: p.Frame, Reason: "the catalog knows no frame there"}
	}
	file, err := r.file(p.Segment)
	if err != nil {
		return err
	}
	if err := c.dec.Reset(io.NewSectionReader(file, f.offset, f.length)); err != nil {
		return &DamageError{File: segmentName(p.Segment), Offset: p.Frame, Reason: err.Error()}
	}
	c.segment, c.frame, c.pos, c.ok = p.Segment, p.Frame, 0, true
	return nil
}

// frameAt finds the frame of a place.
func (c *Catalog) frameAt(p Place) (frameInfo, bool) {
	if p.Segment == 0 || int(p.Segment) > len(c.segments) {
		return frameInfo{}, false
	}
	frames := c.segments[p.Segment-1].frames
	i := sort.Search(len(frames), func(i int) bool { return frames[i].offset >= p.Frame })
	if i == len(frames) || frames[i].offset != p.Frame {
		return frameInfo{}, false
	}
	return frames[i], true
}

func (r *Reader) file(segment uint32) (*os.File, error) {
	if f := r.files[segment]; f != nil {
		return f, nil
	}
	f, err := openFile(r.dir, segmentName(segment))
	if err != nil {
		return nil, err
	}
	r.files[segment] = f
	return f, nil
}

// Size is the archive's size on the disk in octets: segments and catalog.
func (r *Reader) Size() (int64, error) {
	var size int64
	names := []string{catalogFile}
	files, err := segmentFiles(r.dir)
	if err != nil {
		return 0, err
	}
	for _, n := range files {
		names = append(names, segmentName(n))
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(r.dir, name))
		if err != nil {
			return 0, fmt.Errorf("measure archive: %w", err)
		}
		size += info.Size()
	}
	return size, nil
}
