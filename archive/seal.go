package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	frames := append(w.seg.entries(), seekEntry{length: uint32(len(end)), plain: endLength}) //nolint:gosec // tiny
	return append(end, seekTable(frames)...), nil
}

// entries lists every frame of the segment for the seek table.
func (s *segmentInfo) entries() []seekEntry {
	list := make([]seekEntry, 0, len(s.frames)+len(s.copies)+1)
	frames := s.frames
	for _, c := range s.copies {
		for len(frames) > 0 && frames[0].offset < c.offset {
			list = append(list, seekEntry{length: uint32(frames[0].length), plain: uint32(frames[0].plain)}) //nolint:gosec // bounded by applyFrame
			frames = frames[1:]
		}
		list = append(list, seekEntry{length: uint32(c.length)}) //nolint:gosec // a catalog frame is bounded
	}
	return list
}

// noteSeal records the open segment, whose last octet is on the disk, as sealed.
func (w *Writer) noteSeal() error {
	length, err := w.segFile.Size()
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	seal, err := sealRecord(w.seg.number, w.segFile, length)
	if err != nil {
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
