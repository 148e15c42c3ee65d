package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// recover brings the segments into line with the catalog. A commit that is whole in a segment, and
// whose octets are what its records say, but that the catalog lacks, is added to the catalog; what
// follows the last whole commit is cut off. At the end the open segment, if there is one, is ready to be appended to.
func (w *Writer) recover() error {
	n := uint32(len(w.segments)) //nolint:gosec // bounded by maxSegment
	if n == 0 || w.segments[n-1].sealed {
		n++
	}
	for ; ; n++ {
		path := filepath.Join(w.dir, segmentName(n))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			break
		}
		if err := w.recoverSegment(n, path); err != nil {
			return err
		}
		if w.segFile != nil {
			break
		}
	}
	if err := w.checkSegments(); err != nil {
		return err
	}
	return w.publishSeals()
}

// checkSegments makes sure that what the catalog knows is there in length at least, and that
// no segment lies beyond the open one.
func (w *Writer) checkSegments() error {
	for _, s := range w.segments {
		info, err := os.Stat(filepath.Join(w.dir, segmentName(s.number)))
		if errors.Is(err, os.ErrNotExist) {
			return &DamageError{File: segmentName(s.number), Offset: -1, Reason: "it is missing"}
		}
		if err != nil {
			return fmt.Errorf("check segments: %w", err)
		}
		if info.Size() < s.end {
			reason := fmt.Sprintf("it ends there, but the catalog knows %d octets", s.end)
			return &DamageError{File: segmentName(s.number), Offset: info.Size(), Reason: reason}
		}
	}
	files, err := segmentFiles(w.dir)
	if err != nil {
		return err
	}
	for _, n := range files {
		if int(n) > len(w.segments) {
			return &DamageError{File: segmentName(n), Offset: 0, Reason: "the catalog does not lead to it"}
		}
	}
	return nil
}

// recoverSegment opens segment n, which is not sealed as far as the catalog knows, and deals with what
// follows its last known commit.
func (w *Writer) recoverSegment(n uint32, path string) error {
	f, err := w.opts.FS.Open(path)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		return errors.Join(fmt.Errorf("open segment: %w", err), f.Close())
	}
	known := len(w.segments)
	w.useSegment(w.segment(n), f)
	for {
		done, err := w.rollForward(size)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if w.segFile == nil { // it turned out to be sealed
		return nil
	}
	if end := w.seg.end; end < size {
		if err := w.checkTail(size); err != nil {
			return err
		}
		w.opts.Log.Warn("cutting off an unfinished commit", "segment", segmentName(n), "octets", size-end)
		if err := errors.Join(f.Truncate(end), f.Sync()); err != nil {
			return fmt.Errorf("cut segment: %w", err)
		}
	}
	if w.seg.end == 0 && int(n) > known {
		return w.dropEmpty(path)
	}
	if _, err := f.Seek(w.seg.end, io.SeekStart); err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	return nil
}

// checkTail makes sure that what is about to be cut off is the rest of one unfinished commit: a
// whole copy of records with anything behind it shows that the segment is damaged, or the catalog too old.
func (w *Writer) checkTail(size int64) error {
	dec, err := newRecordDecoder()
	if err != nil {
		return err
	}
	defer dec.Close()
	at := findCommit(w.segFile, dec, w.seg.end, size)
	if at < 0 {
		return nil
	}
	f, plain, err := readCommit(w.segFile, dec, at, size)
	if err != nil {
		return err
	}
	first, err := firstRecord(plain)
	if err == nil && first.N <= w.commits+1 && at+f.length == size {
		return nil
	}
	reason := fmt.Sprintf("what follows does not fit the catalog, yet holds whole commits, one at %d", at)
	return &DamageError{File: segmentName(w.seg.number), Offset: w.seg.end, Reason: reason}
}

// dropEmpty removes a segment in which no commit was ever finished.
func (w *Writer) dropEmpty(path string) error {
	err := errors.Join(w.segFile.Close(), w.opts.FS.Remove(path), w.opts.FS.SyncDir(filepath.Dir(path)))
	w.segments = w.segments[:len(w.segments)-1]
	w.seg, w.segFile = nil, nil
	if err != nil {
		return fmt.Errorf("remove empty segment: %w", err)
	}
	return nil
}

// rollForward looks at what follows the last known commit of the open segment. It finishes one
// commit, or the sealing, if that is whole. done says that there is nothing more to finish.
func (w *Writer) rollForward(size int64) (done bool, err error) {
	var frames []rawFrame
	pos := w.seg.end
	for {
		f, err := scanFrame(w.segFile, pos, size)
		if err != nil {
			return true, nil // torn, or the end: what there is of it is cut off
		}
		pos += f.length
		switch {
		case f.kind == kindData:
			frames = append(frames, f)
		case f.kind == kindSeek && pos == size && len(frames) == 1:
			return true, w.finishSeal(frames[0], f)
		case f.kind == kindRecord:
			return w.finishCommit(frames, f, size)
		default:
			return true, nil
		}
	}
}

// finishCommit adds to the catalog a commit that is in the segment only, if its mail is what its records say.
func (w *Writer) finishCommit(frames []rawFrame, copied rawFrame, size int64) (done bool, err error) {
	recordDec, err := newRecordDecoder()
	if err != nil {
		return true, err
	}
	defer recordDec.Close()
	at := copied.offset + skippableHeader
	f, plain, err := readCommit(w.segFile, recordDec, at, copied.offset+copied.length)
	if err != nil || f.length != copied.length-skippableHeader {
		return true, nil
	}
	first, err := firstRecord(plain)
	if err != nil {
		return true, nil
	}
	name := segmentName(w.seg.number)
	if first.N != w.commits+1 || first.Archive != w.info.ID || first.Segment != w.seg.number || first.Offset != copied.offset {
		reason := fmt.Sprintf("commit %d lies there, the catalog ends with commit %d", first.N, w.commits)
		return true, &DamageError{File: name, Offset: copied.offset, Reason: reason}
	}
	if reason := w.checkCommit(plain, frames); reason != "" {
		if copied.offset+copied.length < size {
			return true, &DamageError{File: name, Offset: w.seg.end, Reason: reason}
		}
		w.opts.Log.Warn("an unfinished commit is not whole", "segment", name, "reason", reason)
		return true, nil
	}
	packed := make([]byte, f.length)
	if _, err := w.segFile.ReadAt(packed, at); err != nil {
		return true, fmt.Errorf("read segment: %w", err)
	}
	// The segment may be whole in memory only: what the catalog is going to know must be on the disk first.
	if err := w.segFile.Sync(); err != nil {
		return true, fmt.Errorf("sync segment: %w", err)
	}
	if err := w.appendCatalog(packed); err != nil {
		return true, err
	}
	if err := w.applyCommit(plain, f.length); err != nil {
		return true, &DamageError{File: name, Offset: copied.offset, Reason: err.Error()}
	}
	w.opts.Log.Info("finished a commit that was whole in its segment", "segment", name, "commit", first.N)
	return false, nil
}

// finishSeal records a segment whose end and seek table are whole as sealed. What is not exactly what
// sealing writes is cut off, and sealed again when its time comes.
func (w *Writer) finishSeal(end, seek rawFrame) error {
	want, err := w.sealing()
	if err != nil {
		return err
	}
	got := make([]byte, end.length+seek.length)
	if int64(len(want)) != int64(len(got)) {
		return nil
	}
	if _, err := w.segFile.ReadAt(got, end.offset); err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	if !bytes.Equal(got, want) {
		return nil
	}
	if err := w.segFile.Sync(); err != nil {
		return fmt.Errorf("sync segment: %w", err)
	}
	return w.noteSeal()
}
