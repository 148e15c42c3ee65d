package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// recover brings the files into line: what is whole in the segments and unknown to the catalog is
// added to the catalog, what follows is cut off. Everything was looked at before the first octet is written.
func (w *Writer) recover(catalogEnd, catalogSize int64) error {
	s, err := lookBehind(w.dir, &w.Catalog)
	if err != nil {
		return err
	}
	if catalogEnd < catalogSize {
		w.opts.Log.Warn("the catalog ends in an unfinished commit", "octets", catalogSize-catalogEnd)
		if err := errors.Join(w.log.Truncate(catalogEnd), w.log.Sync()); err != nil {
			return fmt.Errorf("cut catalog: %w", err)
		}
	}
	if _, err := w.log.Seek(catalogEnd, io.SeekStart); err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	if err := w.settleNames(); err != nil {
		return err
	}
	commits := w.commits - uint64(len(s.findings))
	for _, f := range s.findings {
		commits++
		if err := w.finish(f, commits); err != nil {
			return err
		}
	}
	if s.open > 0 {
		if err := w.resume(s); err != nil {
			return err
		}
	}
	return w.publishSeals()
}

// settleNames makes certain of the names of files and directories that are there. A writer that was killed may have made one
// and not have synced it any more, and from now on mail depends on it.
func (w *Writer) settleNames() error {
	fs, segments := w.opts.FS, filepath.Join(w.dir, segmentDir)
	if err := fs.Mkdir(segments); err != nil {
		return fmt.Errorf("make %s: %w", segmentDir, err)
	}
	if err := errors.Join(fs.SyncDir(segments), fs.SyncDir(w.dir), fs.SyncName(w.dir)); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// finish adds to the catalog what the survey has found: a commit, of which a copy is in the segment, or
// a seal.
func (w *Writer) finish(f finding, commit uint64) error {
	name := segmentName(f.segment)
	if err := w.settle(f); err != nil {
		return fmt.Errorf("finish a commit in %s: %w", name, err)
	}
	var packed []byte
	var err error
	if f.seal != nil {
		packed, err = w.packSeal(commit, f.seal)
	} else {
		packed, err = w.readSegment(f.segment, f.offset, f.length)
	}
	if err != nil {
		return err
	}
	w.opts.Log.Info("finished a commit that was whole in its segment", "segment", name, "commit", commit)
	return w.appendCatalog(packed)
}

// settle makes sure that a commit found in a segment is on the disk, before the catalog says so. It is in
// memory for certain, having just been read; but a sync that failed in an earlier run may have left it marked as
// written. So its octets are written once more.
func (w *Writer) settle(f finding) (err error) {
	path := filepath.Join(w.dir, segmentName(f.segment))
	if f.seal != nil {
		// A sealed segment may be read-only, and is only synced.
		return w.opts.FS.SyncFile(path)
	}
	file, err := w.opts.FS.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return w.opts.FS.SyncFile(path)
		}
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Seek(f.begin, io.SeekStart); err != nil {
		return err
	}
	rest := io.NewSectionReader(file, f.begin, f.offset+f.length-f.begin)
	buf := make([]byte, laneBuffer)
	for {
		n, err := io.ReadFull(rest, buf)
		if n > 0 {
			if _, err := file.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return file.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// readSegment reads a part of a segment.
func (w *Writer) readSegment(n uint32, offset, length int64) ([]byte, error) {
	f, err := openFile(w.dir, segmentName(n))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, length)
	if _, err := f.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("read %s: %w", segmentName(n), err)
	}
	return b, nil
}

// resume opens the segment that is not sealed, and cuts off the rest of an unfinished commit.
func (w *Writer) resume(s *survey) error {
	path := filepath.Join(w.dir, segmentName(s.open))
	if s.cut == 0 && int(s.open) > len(w.segments) {
		if err := errors.Join(w.opts.FS.Remove(path), w.opts.FS.SyncDir(filepath.Dir(path))); err != nil {
			return fmt.Errorf("remove a segment without a commit: %w", err)
		}
		return nil
	}
	f, err := w.opts.FS.Open(path)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	w.useSegment(w.segment(s.open), f)
	if s.cut < s.size {
		w.opts.Log.Warn("cutting off an unfinished commit", "segment", segmentName(s.open), "octets", s.size-s.cut)
		if err := errors.Join(f.Truncate(s.cut), f.Sync()); err != nil {
			return fmt.Errorf("cut segment: %w", err)
		}
	}
	if _, err := f.Seek(s.cut, io.SeekStart); err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	return nil
}
