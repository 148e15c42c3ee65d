package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
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
	frames := append(w.seg.entries(), seekEntry{length: uint32(len(end)), plain: uint32(len(endOfArchive()))}) //nolint:gosec // tiny
	return append(end, seekTable(frames)...), nil
}

// entries lists every frame of the segment for the seek table: frames of mail as recorded, and the
// record frames that fill the gaps between them.
func (s *segmentInfo) entries() []seekEntry {
	var list []seekEntry
	var pos int64
	for _, f := range s.frames {
		if gap := f.offset - pos; gap > 0 {
			list = append(list, seekEntry{length: uint32(gap)}) //nolint:gosec // one catalog frame
		}
		list = append(list, seekEntry{length: uint32(f.length), plain: uint32(f.plain)}) //nolint:gosec // a message is below 2 GiB
		pos = f.offset + f.length
	}
	if gap := s.end - pos; gap > 0 {
		list = append(list, seekEntry{length: uint32(gap)}) //nolint:gosec // one catalog frame
	}
	return list
}

// noteSeal records the open segment, whose last octet is on the disk, as sealed.
func (w *Writer) noteSeal() error {
	length, err := w.segFile.Size()
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(w.segFile, 0, length)); err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	seal := &record{T: recSeal, Segment: w.seg.number, Length: length, SHA256: Sum(h.Sum(nil)).String()}
	commit := w.nextCommit()
	var plain []byte
	for _, r := range []*record{commit, seal} {
		if plain, err = appendRecord(plain, r); err != nil {
			return err
		}
	}
	packed, err := w.packRecords(plain)
	if err != nil {
		return err
	}
	if err := w.appendCatalog(packed); err != nil {
		return err
	}
	w.added += length - w.seg.end
	if err := errors.Join(w.apply(commit), w.apply(seal), w.segFile.Close()); err != nil {
		return err
	}
	w.seg, w.segFile = nil, nil
	return w.publishSeals()
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
			return fmt.Errorf("seal %s: %w", path, err)
		}
	}
	return nil
}
