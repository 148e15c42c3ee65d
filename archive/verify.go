package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// VerifyResult is what Verify found.
type VerifyResult struct {
	Segments, Frames int
	Messages         int       // records; equal octets count each time
	Octets           int64     // of mail, decompressed
	Unfinished       int       // commits that are whole in the segments and that the next run will add to the catalog
	Awaited          []Damaged // put aside earlier: the next export fetches them again
	Lost             []Damaged // put aside earlier, and no longer on the server
	Problems         []error   // *DamageError mostly; none: all is well
	Damaged          []Damaged // every message whose octets cannot be had
}

// Damaged names one message that is hurt.
type Damaged struct {
	Key
	Mailbox string // name for people
	Reason  string
}

// Verify reads everything there is and compares: every frame with its checksum, every message with its
// SHA-256, the catalog with the segments, sealed segments with SHA256SUMS. It goes on after damage and names
// all it finds. progress, which may be nil, gets the compressed octets done and in all, from several goroutines.
// An error means that the check itself did not come to its end: what cannot be read is not called damaged.
func Verify(ctx context.Context, dir string, options *Options, progress func(done, total int64)) (*VerifyResult, error) {
	info, err := readInfo(dir)
	if err != nil {
		return nil, err
	}
	v := &verifier{dir: dir, opts: options.withDefaults(), progress: progress}
	listed, err := v.readSums() // before the catalog, which a writer brings up to date first
	if err != nil {
		return nil, err
	}
	v.Catalog, err = readCatalog(dir, info)
	if err := v.damage(err); err != nil {
		return nil, err
	}
	found, err := lookBehind(dir, &v.Catalog)
	if err := v.damage(err); err != nil {
		return nil, err
	}
	v.result.Unfinished = len(found.findings)
	if err := v.check(ctx, found.findings, listed); err != nil {
		return nil, err
	}
	v.result.Messages = v.index.len()
	v.result.Awaited, v.result.Lost = v.putAsideNamed()
	slices.SortFunc(v.result.Damaged, func(a, b Damaged) int {
		return cmp.Or(cmp.Compare(a.Key.Mailbox, b.Key.Mailbox), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.UID, b.UID))
	})
	return &v.result, nil
}

// check compares everything with everything.
func (v *verifier) check(ctx context.Context, findings []finding, listed map[string]bool) error {
	v.sortByFrame()
	if err := v.checkSegments(ctx); err != nil {
		return err
	}
	if err := v.checkAsides(); err != nil {
		return err
	}
	if err := v.checkCopies(findings); err != nil {
		return err
	}
	return v.checkSums(listed)
}

type verifier struct {
	Catalog
	dir      string
	opts     Options
	progress func(done, total int64)
	done     atomic.Int64
	total    int64
	owners   map[Place]*Message   // one message for each place
	sharers  map[Place][]*Message // all others there
	byFrame  map[Place][]*Message // owners, by the place of their frame (Pos 0)

	mu     sync.Mutex
	result VerifyResult

	// What Repair mends.
	hurtFrames   []Place
	hurtCopies   []hurtCopy
	hurtAsides   []Place         // that decoders do not pass over yet
	hurtSegments map[uint32]bool // whose length or SHA-256 is not that of the seal
}

// hurtCopy is a copy of records that is not what the catalog has at catalogOffset.
type hurtCopy struct {
	segment               uint32
	offset, catalogOffset int64
	length                int64 // of the catalog frame
}

// damage notes an error that is one of damage, and returns any other.
func (v *verifier) damage(err error) error {
	var damage *DamageError
	if errors.As(err, &damage) {
		v.problem(damage)
		return nil
	}
	return err
}

func (v *verifier) problem(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Problems = append(v.result.Problems, err)
}

// damaged names a message and all that share its octets.
func (v *verifier) damaged(m *Message, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, hurt := range append([]*Message{m}, v.sharers[m.Place]...) {
		v.result.Damaged = append(v.result.Damaged, Damaged{
			Key: hurt.Key, Mailbox: v.Mailbox(hurt.Key.Mailbox).Name(), Reason: err.Error(),
		})
	}
}

// sortByFrame groups the messages by the frame their octets are in.
func (v *verifier) sortByFrame() {
	v.owners = make(map[Place]*Message)
	v.sharers = make(map[Place][]*Message)
	v.byFrame = make(map[Place][]*Message)
	for _, m := range v.mailboxes {
		for _, msg := range v.sorted(m.ID) {
			owner := v.owners[msg.Place]
			if owner == nil {
				v.owners[msg.Place] = msg
				frame := Place{Segment: msg.Place.Segment, Frame: msg.Place.Frame}
				v.byFrame[frame] = append(v.byFrame[frame], msg)
				continue
			}
			v.sharers[msg.Place] = append(v.sharers[msg.Place], msg)
			if owner.Sum != msg.Sum || owner.Size != msg.Size {
				v.problem(fmt.Errorf("the catalog says that UID %d of %q and UID %d of %q share octets, but not their SHA-256",
					owner.UID, v.Mailbox(owner.Mailbox).Name(), msg.UID, m.Name()))
			}
		}
	}
	for place, msgs := range v.byFrame {
		if _, ok := v.frameAt(place); !ok {
			err := &DamageError{File: segmentName(place.Segment), Offset: place.Frame, Reason: "the catalog knows no frame there"}
			v.problem(err)
			for _, m := range msgs {
				v.damaged(m, err)
			}
		}
	}
}

// checkSegments reads every segment that the catalog knows, frames side by side.
func (v *verifier) checkSegments(ctx context.Context) error {
	for _, s := range v.segments {
		v.total += s.end
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var openErr error
	for _, s := range v.segments {
		f, err := openFile(v.dir, segmentName(s.number))
		if err != nil {
			if openErr = v.lost(s, err); openErr != nil {
				break
			}
			continue
		}
		v.result.Segments++
		v.result.Frames += len(s.frames)
		checks := []func() error{func() error { return v.checkFile(ctx, s, f) }}
		for _, frame := range s.frames {
			checks = append(checks, func() error { return v.checkFrame(ctx, s, frame, f) })
		}
		var left atomic.Int32          // the last check closes the file, so that few are open at a time
		left.Store(int32(len(checks))) //nolint:gosec // bounded by the segment's length
		for _, check := range checks {
			group.Go(func() error {
				err := check()
				if left.Add(-1) == 0 {
					_ = f.Close() // was only read
				}
				return err
			})
		}
	}
	if err := cmp.Or(openErr, group.Wait()); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

// lost reports a segment that is not there. A segment that is there and cannot be opened is not lost.
func (v *verifier) lost(s *segmentInfo, err error) error {
	if err := v.damage(err); err != nil {
		return err
	}
	v.hurtSegment(s)
	v.mu.Lock()
	for _, frame := range s.frames {
		v.hurtFrames = append(v.hurtFrames, Place{Segment: s.number, Frame: frame.offset})
	}
	v.mu.Unlock()
	for _, frame := range s.frames {
		for _, m := range v.byFrame[Place{Segment: s.number, Frame: frame.offset}] {
			v.damaged(m, err)
		}
	}
	return nil
}

// checkFile compares a segment's length and its seal with the catalog.
func (v *verifier) checkFile(ctx context.Context, s *segmentInfo, f *os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := segmentName(s.number)
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if !s.sealed && int(s.number) < len(v.segments) {
		v.hurtSegment(s)
		v.problem(&DamageError{File: name, Offset: -1, Reason: "it is not sealed, yet another segment follows"})
	}
	if s.sealed {
		switch ok, err := hasEnd(f, s, info.Size()); {
		case err != nil:
			return fmt.Errorf("read %s: %w", name, err)
		case !ok:
			v.hurtSegment(s)
			v.problem(&DamageError{File: name, Offset: s.end, Reason: "no end of the tar and seek table as they should be"})
		}
	}
	if s.sealed && info.Size() != s.length {
		v.hurtSegment(s)
		v.problem(&DamageError{File: name, Offset: -1, Reason: fmt.Sprintf("it has %d octets, the catalog says %d",
			info.Size(), s.length)})
	}
	if s.sealed {
		h := sha256.New()
		if _, err := io.Copy(h, interruptible{ctx, f}); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		} else if Sum(h.Sum(nil)) != s.sum {
			v.hurtSegment(s)
			v.problem(&DamageError{File: name, Offset: -1, Reason: "its SHA-256 is not the one it was sealed with"})
		}
	}
	return nil
}

func (v *verifier) hurtSegment(s *segmentInfo) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.hurtSegments == nil {
		v.hurtSegments = make(map[uint32]bool)
	}
	v.hurtSegments[s.number] = true
}

// checkFrame decompresses one frame and compares the messages in it.
func (v *verifier) checkFrame(ctx context.Context, s *segmentInfo, frame frameInfo, f io.ReaderAt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dec, err := newMailDecoder()
	if err != nil {
		return fmt.Errorf("start decompression: %w", err)
	}
	defer dec.Close()
	msgs := v.byFrame[Place{Segment: s.number, Frame: frame.offset}]
	var octets int64
	for _, m := range msgs {
		octets += m.Size
	}
	hurt := false
	damage, err := checkFrame(ctx, f, dec, frame, msgs, func(m *Message, err error) {
		hurt = true
		v.damaged(m, err)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", segmentName(s.number), err)
	}
	if damage != nil {
		v.problem(&DamageError{File: segmentName(s.number), Offset: frame.offset, Reason: damage.Error()})
	}
	v.mu.Lock()
	if damage != nil || hurt {
		v.hurtFrames = append(v.hurtFrames, Place{Segment: s.number, Frame: frame.offset})
	}
	v.result.Octets += octets
	v.mu.Unlock()
	done := v.done.Add(frame.length)
	if v.progress != nil {
		v.progress(done, v.total)
	}
	return nil
}

// checkCopies compares the records' copies in the segments with the catalog, octet for octet.
func (v *verifier) checkCopies(findings []finding) error {
	catalog, err := os.Open(filepath.Join(v.dir, catalogFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // reported already
	}
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	defer func() { _ = catalog.Close() }()
	info, err := catalog.Stat()
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	dec, err := newRecordDecoder()
	if err != nil {
		return err
	}
	defer dec.Close()
	for offset := int64(0); ; {
		f, commit, err := peekCommit(catalog, dec, offset, info.Size())
		if err != nil && !isContent(err) {
			return fmt.Errorf("read catalog: %w", err)
		}
		if err != nil || commit.N > v.commits-uint64(len(findings)) {
			break // the end, or where the catalog is damaged
		}
		packed := make([]byte, f.length)
		if _, err := catalog.ReadAt(packed, offset); err != nil {
			return fmt.Errorf("read catalog: %w", err)
		}
		if commit.Segment > 0 {
			if err := v.checkCopy(commit, packed, offset); err != nil {
				return err
			}
		}
		offset += f.length
	}
	return nil
}

// checkCopy compares the copy of one commit's records with its frame in the catalog.
func (v *verifier) checkCopy(commit *record, packed []byte, offset int64) error {
	want := skippableFrame(recordMagic, packed)
	got := make([]byte, len(want))
	name := segmentName(commit.Segment)
	f, err := os.Open(filepath.Join(v.dir, name))
	if err == nil {
		_, err = f.ReadAt(got, commit.Offset)
		_ = f.Close()
	}
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err == nil && bytes.Equal(got, want) {
		return nil
	}
	v.hurtCopies = append(v.hurtCopies, hurtCopy{
		segment: commit.Segment, offset: commit.Offset, catalogOffset: offset, length: int64(len(packed)),
	})
	if !missing { // that is reported already
		v.problem(&DamageError{File: name, Offset: commit.Offset, Reason: fmt.Sprintf(
			"the copy of the records of commit %d is not what the catalog has", commit.N)})
	}
	return nil
}

// readSums reads the lines of SHA256SUMS.
func (v *verifier) readSums() (map[string]bool, error) {
	f, err := openFile(v.dir, sumsFile)
	if err := v.damage(err); err != nil {
		return nil, err
	}
	listed := make(map[string]bool)
	if f == nil {
		return listed, nil
	}
	defer func() { _ = f.Close() }()
	sc := bufio.NewScanner(f)
	for sc.Scan() && len(listed) <= maxSegment {
		listed[sc.Text()] = true
	}
	if err := sc.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("read %s: %w", sumsFile, err)
	}
	return listed, nil
}

// checkSums compares SHA256SUMS with the seals in the catalog. A segment sealed a moment ago may not be listed yet.
func (v *verifier) checkSums(listed map[string]bool) error {
	now, err := v.readSums()
	if err != nil {
		return err
	}
	for _, s := range v.segments {
		line := fmt.Sprintf("%s  %s", s.sum, segmentName(s.number))
		if s.sealed && !listed[line] && !now[line] && !v.lastSealed(s) {
			v.problem(&DamageError{File: sumsFile, Offset: -1, Reason: "it lacks, or has otherwise, " + segmentName(s.number)})
		}
		delete(listed, line)
	}
	for line := range listed {
		v.problem(&DamageError{File: sumsFile, Offset: -1, Reason: fmt.Sprintf("the catalog does not know %.120q", line)})
	}
	return nil
}

// lastSealed: a seal with which the catalog ends may not be in SHA256SUMS yet, if a crash came between.
func (v *verifier) lastSealed(s *segmentInfo) bool { return s.sealedBy == v.commits }
