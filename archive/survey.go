package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// survey looks at what the segments hold behind the last commit that the catalog knows. It writes nothing:
// a reader needs no more than the catalog it brings up to date, a writer then does what the survey says. A
// *DamageError means that something does not fit; then nothing must be written at all.
type survey struct {
	dir      string
	catalog  *Catalog
	files    []uint32 // the segments that are there
	findings []finding
	open     uint32 // the segment that can be appended to; 0: none
	cut      int64  // its end: what follows is the rest of an unfinished commit
	size     int64  // its length
}

// finding is a commit that the catalog lacks: a copy in a segment, or the seal of one.
type finding struct {
	segment        uint32
	offset, length int64   // of the catalog frame in the segment
	begin          int64   // of the commit's first frame
	seal           *record // of a seal: its record
}

// lookBehind makes the survey and brings the catalog up to date in memory.
func lookBehind(dir string, c *Catalog) (*survey, error) {
	s, err := surveySegments(dir, c)
	if err == nil {
		err = s.complete()
	}
	if err == nil {
		err = s.strays()
	}
	return s, err
}

// surveySegments is lookBehind, without a look at what the catalog knows already.
func surveySegments(dir string, c *Catalog) (*survey, error) {
	s := &survey{dir: dir, catalog: c}
	files, err := segmentFiles(dir)
	if err != nil {
		return s, err
	}
	s.files = files
	n := uint32(len(c.segments)) //nolint:gosec // bounded by maxSegment
	if n == 0 || c.segments[n-1].sealed {
		n++
	}
	for ; n <= maxSegment; n++ {
		path := filepath.Join(dir, segmentName(n))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			break
		}
		higher := len(files) > 0 && files[len(files)-1] > n
		sealed, err := s.segment(n, path, higher)
		if err != nil {
			return s, err
		}
		if !sealed {
			break
		}
	}
	return s, nil
}

// complete makes sure that what the catalog knows is there in length at least.
func (s *survey) complete() error {
	for _, seg := range s.catalog.segments {
		info, err := os.Stat(filepath.Join(s.dir, segmentName(seg.number)))
		if errors.Is(err, os.ErrNotExist) {
			return &DamageError{File: segmentName(seg.number), Offset: -1, Reason: "it is missing"}
		}
		if err != nil {
			return fmt.Errorf("look at segments: %w", err)
		}
		if info.Size() < seg.end {
			reason := fmt.Sprintf("it ends there, but the catalog knows %d octets", seg.end)
			return &DamageError{File: segmentName(seg.number), Offset: info.Size(), Reason: reason}
		}
	}
	return nil
}

// strays makes sure that there is no segment that the catalog does not lead to.
func (s *survey) strays() error {
	for _, n := range s.files {
		if int(n) > len(s.catalog.segments) && n != s.open {
			return &DamageError{File: segmentName(n), Offset: 0, Reason: "the catalog does not lead to it"}
		}
	}
	return nil
}

// segment looks at segment n, which is not sealed as far as the catalog knows. higher: another one follows.
func (s *survey) segment(n uint32, path string, higher bool) (sealed bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("open segment: %w", err)
	}
	s.size = info.Size()
	for more := true; more; {
		if more, sealed, err = s.next(n, f); err != nil || sealed {
			return sealed, err
		}
	}
	s.open, s.cut = n, s.end(n)
	if higher {
		return false, &DamageError{File: segmentName(n), Offset: s.cut, Reason: "it is not whole there, yet another segment follows"}
	}
	return false, s.checkTail(n, f)
}

// end is where segment n ends as far as is known.
func (s *survey) end(n uint32) int64 {
	if int(n) > len(s.catalog.segments) {
		return 0
	}
	return s.catalog.segments[n-1].end
}

// next looks at what follows the last known commit of segment n. more: it was a whole commit. An error
// that is about what is written means that nothing whole follows.
func (s *survey) next(n uint32, f *os.File) (more, sealed bool, err error) {
	var frames []rawFrame
	pos := s.end(n)
	for {
		fr, err := scanFrame(f, pos, s.size)
		if err != nil {
			if isContent(err) {
				err = nil
			}
			return false, false, err
		}
		pos += fr.length
		switch {
		case fr.kind == kindData || fr.kind == kindAside:
			frames = append(frames, fr)
		case fr.kind == kindSeek && pos == s.size && len(frames) == 1 && frames[0].kind == kindData && s.end(n) > 0:
			sealed, err := s.sealing(n, f, frames[0], fr)
			return false, sealed, err
		case fr.kind == kindRecord:
			more, err := s.commit(n, f, frames, fr)
			return more, false, err
		default:
			return false, false, nil
		}
	}
}

// commit looks at a commit whose copy of records is at copied, and applies it if it is whole.
func (s *survey) commit(n uint32, f *os.File, frames []rawFrame, copied rawFrame) (whole bool, err error) {
	dec, err := newRecordDecoder()
	if err != nil {
		return false, err
	}
	defer dec.Close()
	at := copied.offset + skippableHeader
	fr, plain, err := readCommit(f, dec, at, copied.offset+copied.length)
	if err != nil || fr.length != copied.length-skippableHeader {
		if err == nil || isContent(err) {
			return false, nil
		}
		if errors.Is(err, errLimit) {
			return false, &DamageError{File: segmentName(n), Offset: at, Reason: err.Error()}
		}
		return false, fmt.Errorf("read segment: %w", err)
	}
	first, err := firstRecord(plain)
	if err != nil {
		return false, nil // checkTail judges it
	}
	c := s.catalog
	if first.N != c.commits+1 || first.Archive != c.info.ID || first.Segment != n || first.Offset != copied.offset {
		reason := fmt.Sprintf("commit %d lies there, the catalog ends with commit %d", first.N, c.commits)
		return false, &DamageError{File: segmentName(n), Offset: copied.offset, Reason: reason}
	}
	reason, err := checkCommit(f, plain, frames)
	if err != nil {
		return false, err
	}
	if reason != "" {
		if copied.offset+copied.length < s.size {
			return false, &DamageError{File: segmentName(n), Offset: s.end(n), Reason: reason}
		}
		return false, nil
	}
	begin := s.end(n)
	if err := c.applyCommit(plain, fr.length); err != nil {
		return false, &DamageError{File: segmentName(n), Offset: copied.offset, Reason: err.Error()}
	}
	s.findings = append(s.findings, finding{segment: n, offset: at, length: fr.length, begin: begin})
	return true, nil
}

// checkTail makes sure that what is about to be cut off is the rest of one unfinished commit: a
// whole copy of records with anything behind it shows that the segment is damaged, or the catalog too old.
func (s *survey) checkTail(n uint32, f *os.File) error {
	if s.cut == s.size {
		return nil
	}
	at, first, err := s.catalog.findCommit(f, s.cut, s.size)
	if err != nil {
		return fmt.Errorf("read %s: %w", segmentName(n), err)
	}
	if at < 0 {
		return nil
	}
	fr, err := scanFrame(f, at, s.size)
	if err == nil && first.N == s.catalog.commits+1 && at+fr.length == s.size {
		return nil // its own copy, at the very end: the mail in front of it is not whole
	}
	reason := fmt.Sprintf("what follows does not fit the catalog, yet holds commit %d at %d", first.N, at)
	return &DamageError{File: segmentName(n), Offset: s.cut, Reason: reason}
}

// sealing looks at the end of a segment that is sealed without the catalog knowing, and applies the seal if it is whole.
func (s *survey) sealing(n uint32, f *os.File, end, seek rawFrame) (whole bool, err error) {
	ok, err := isEndFrame(f, end)
	if err != nil || !ok {
		return false, err
	}
	seg := s.catalog.segments[n-1]
	putAside := func(offset int64) bool {
		fr, err := scanFrame(f, offset, s.size)
		return err == nil && fr.kind == kindAside
	}
	want := seekTable(append(seg.entries(putAside), seekEntry{length: uint32(end.length), plain: endLength})) //nolint:gosec // checked by isEndFrame
	got := make([]byte, len(want))
	if seek.length != int64(len(want)) {
		return false, nil
	}
	if _, err := f.ReadAt(got, seek.offset); err != nil {
		return false, fmt.Errorf("read segment: %w", err)
	}
	if !bytes.Equal(got, want) {
		return false, nil
	}
	seal, err := sealRecord(n, f, s.size)
	if err != nil {
		return false, err
	}
	begin := seg.end
	if err := errors.Join(s.catalog.apply(&record{T: recCommit, N: s.catalog.commits + 1}), s.catalog.apply(seal)); err != nil {
		return false, &DamageError{File: segmentName(n), Offset: begin, Reason: err.Error()}
	}
	s.findings = append(s.findings, finding{segment: n, begin: begin, seal: seal})
	return true, nil
}

// isEndFrame says whether a frame holds the end of a tar and nothing else.
func isEndFrame(f io.ReaderAt, end rawFrame) (bool, error) {
	if end.length > maxEndFrame {
		return false, nil
	}
	dec, err := newRecordDecoder()
	if err != nil {
		return false, err
	}
	defer dec.Close()
	in := &watched{r: io.NewSectionReader(f, end.offset, end.length)}
	if err := dec.Reset(in); err != nil {
		return false, in.err
	}
	plain, err := io.ReadAll(io.LimitReader(dec, endLength+1))
	if err != nil {
		return false, in.err
	}
	return bytes.Equal(plain, endOfArchive()), nil
}

// sealRecord is the record that says that a segment is sealed.
func sealRecord(n uint32, r io.ReaderAt, size int64) (*record, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		return nil, fmt.Errorf("read segment: %w", err)
	}
	return &record{T: recSeal, Segment: n, Length: size, SHA256: Sum(h.Sum(nil)).String()}, nil
}
