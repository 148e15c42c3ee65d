package archive

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mailark/internal/durable"
)

// seal ends the open segment (FORMAT.md, "Sealing"): end of the tar, seek table, sync; then the
// seal's record in the catalog; then SHA256SUMS and the read-only mode, which are made anew on opening
// should a crash come between.
func (w *Writer) seal() error {
	n := w.seg.number
	if err := w.writeSeal(); err != nil {
		return w.fail(fmt.Errorf("seal segment %d: %w", n, err))
	}
	return nil
}

func (w *Writer) writeSeal() error {
	octets, err := w.sealing()
	if err != nil {
		return err
	}
	if _, err := w.segFile.Write(octets); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	if err := w.segFile.Sync(); err != nil {
		return fmt.Errorf("sync segment: %w", err)
	}
	return w.noteSeal()
}

// sealing is what sealing appends to the open segment.
func (w *Writer) sealing() ([]byte, error) {
	end, err := w.packRecords(endOfArchive())
	if err != nil {
		return nil, err
	}
	frames := append(w.seg.entries(nil), seekEntry{length: uint32(len(end)), plain: endLength}) //nolint:gosec // tiny
	return append(end, seekTable(frames)...), nil
}

// entries lists every frame of the segment for the seek table. putAside, which may be nil, says that the mail frame at
// an offset has become a skippable one of which the catalog does not know yet.
func (s *segmentInfo) entries(putAside func(offset int64) bool) []seekEntry {
	type part struct {
		offset int64
		seekEntry
	}
	parts := make([]part, 0, len(s.frames)+len(s.copies)+len(s.asides)+1)
	for _, f := range s.frames {
		p := part{f.offset, seekEntry{length: uint32(f.length), plain: uint32(f.plain)}} //nolint:gosec // bounded by applyFrame
		if putAside != nil && putAside(f.offset) {
			p.plain = 0
		}
		parts = append(parts, p)
	}
	for _, skippable := range [][]span{s.copies, s.asides} {
		for _, c := range skippable {
			parts = append(parts, part{c.offset, seekEntry{length: uint32(c.length)}}) //nolint:gosec // bounded when applied
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.offset, b.offset) })
	list := make([]seekEntry, 0, len(parts)+1)
	for _, p := range parts {
		list = append(list, p.seekEntry)
	}
	return list
}

// noteSeal records the open segment, whose last octet is on the disk, as sealed.
func (w *Writer) noteSeal() error {
	length, err := w.segFile.Size()
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	checked := make(chan error, 1) // at the same time: each reads and hashes the whole segment
	go func() { checked <- checkFrames(w.seg, w.segFile) }()
	seal, err := sealRecord(w.seg.number, w.segFile, length)
	if err := errors.Join(<-checked, err); err != nil {
		return err
	}
	packed, err := w.packSeal(w.commits+1, seal)
	if err != nil {
		return err
	}
	if err := w.appendCatalog(packed); err != nil {
		return err
	}
	w.added += length - w.seg.end
	if err := errors.Join(w.apply(w.commitRecord(w.commits+1)), w.apply(seal), w.segFile.Close()); err != nil {
		return err
	}
	w.seg, w.segFile = nil, nil
	return w.publishSeals()
}

// checkFrames reads a segment's mail frames, before a seal vouches for what has become of them.
func checkFrames(s *segmentInfo, r io.ReaderAt) error {
	for _, f := range s.frames {
		sum, err := sumSection(r, f.offset, f.length)
		if err != nil {
			return err
		}
		if sum != f.sum {
			return &DamageError{File: segmentName(s.number), Offset: f.offset, Reason: "the SHA-256 of the frame is another one"}
		}
	}
	return nil
}

// packSeal is the catalog frame of a seal.
func (w *Writer) packSeal(commit uint64, seal *record) (packed []byte, err error) {
	var plain []byte
	for _, r := range []*record{w.commitRecord(commit), seal} {
		if plain, err = appendRecord(plain, r); err != nil {
			return nil, err
		}
	}
	return w.packRecords(plain)
}

// publishSeals brings SHA256SUMS and the modes of sealed segments up to date with the catalog.
func (w *Writer) publishSeals() error {
	var sums []byte
	for _, s := range w.segments {
		if s.sealed {
			sums = fmt.Appendf(sums, "%s  %s\n", s.sum, segmentName(s.number))
		}
	}
	path := filepath.Join(w.dir, sumsFile)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", sumsFile, err)
	}
	if !bytes.Equal(old, sums) {
		if err := w.opts.FS.WriteFile(path, sums); err != nil {
			return fmt.Errorf("write %s: %w", sumsFile, err)
		}
	}
	for _, s := range w.segments {
		path := filepath.Join(w.dir, segmentName(s.number))
		if info, err := os.Stat(path); !s.sealed || err != nil || info.Mode().Perm() == durable.SealedMode {
			continue // a missing segment is for verify to find
		}
		if err := w.opts.FS.Chmod(path, durable.SealedMode); err != nil {
			// Not every file system has modes, and no mail hangs on this one.
			w.opts.Log.Warn("a sealed segment stays writable", "segment", segmentName(s.number), "error", err)
		}
	}
	return nil
}

// hasEnd says whether a segment of so many octets ends as a sealed one should.
func hasEnd(f io.ReaderAt, s *segmentInfo, size int64) (bool, error) {
	end, err := scanFrame(f, s.end, size)
	if err != nil {
		return false, unlessContent(err)
	}
	if whole, err := isEndFrame(f, end); err != nil || !whole {
		return false, err
	}
	table := seekTable(append(s.entries(nil), seekEntry{length: uint32(end.length), plain: endLength})) //nolint:gosec // checked by isEndFrame
	if size != s.end+end.length+int64(len(table)) {
		return false, nil
	}
	now := make([]byte, len(table))
	if _, err := f.ReadAt(now, end.offset+end.length); err != nil {
		return false, fmt.Errorf("read segment: %w", err)
	}
	return bytes.Equal(now, table), nil
}
