package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mailark/internal/durable"
	"mailark/internal/spool"
	"mailark/maildirx"
)

// laneOut is where a lane's frame goes: lane 0 writes into the segment itself, the others into a
// scratch file that is copied behind it at the commit.
type laneOut struct {
	to      io.Writer
	scratch *os.File
}

func (o *laneOut) Write(p []byte) (int, error) { return o.to.Write(p) }

// openSegment makes sure that there is an open segment. A new one begins with the tree's root, so
// that its first frame is one of mail, by which programs recognise the file.
func (w *Writer) openSegment() error {
	if w.err != nil {
		return w.err
	}
	if w.segFile != nil {
		return w.startLane(0)
	}
	n := uint32(len(w.segments)) + 1 //nolint:gosec // bounded by maxSegment
	if n > maxSegment {
		return fmt.Errorf("open segment %d: an archive has at most %d", n, maxSegment)
	}
	f, err := w.opts.FS.Create(filepath.Join(w.dir, segmentName(n)))
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	w.useSegment(w.segment(n), f)
	if err := w.opts.FS.SyncDir(filepath.Join(w.dir, segmentDir)); err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	header, err := tarHeader(dirHeader(maildirx.Root, w.opts.Now()))
	if err != nil {
		return err
	}
	if err := w.startLane(0); err != nil {
		return err
	}
	w.send(0, member{header: header}, 0)
	return nil
}

func (w *Writer) useSegment(seg *segmentInfo, f *durable.File) {
	w.seg, w.segFile = seg, f
	if len(w.outs) > 0 {
		w.outs[0].to = f
	}
}

// startLane makes sure that lanes 0 to i are running.
func (w *Writer) startLane(i int) error {
	for len(w.lanes) <= i {
		out := &laneOut{to: w.segFile}
		if len(w.lanes) > 0 {
			f, err := spool.Scratch(w.dir)
			if err != nil {
				return fmt.Errorf("start lane: %w", err)
			}
			out.to, out.scratch = f, f
		}
		l, err := newLane(out, w.opts.Window)
		if err != nil {
			if out.scratch != nil {
				_ = out.scratch.Close() // it has no name and nothing in it
			}
			return err
		}
		w.lanes, w.outs = append(w.lanes, l), append(w.outs, out)
	}
	return nil
}

// freeLane is the lane for the next message: the first, as long as it keeps up.
func (w *Writer) freeLane() (int, error) {
	for i := range w.opts.Lanes {
		if err := w.startLane(i); err != nil {
			return 0, err
		}
		if len(w.lanes[i].jobs) < laneQueue {
			return i, nil
		}
	}
	return 0, nil
}

// laneOf is where a hard link to a message goes: into the frame that holds the message, if that is
// not committed yet, because frames are extracted in order and a link must not come before its target.
func (w *Writer) laneOf(orig *Message) int { return w.lane[orig] }

// send gives a member to a lane and returns where its content begins in the frame.
func (w *Writer) send(i int, m member, size int64) (pos int64) {
	l := w.lanes[i]
	pos = l.size + int64(len(m.header))
	l.size = pos + size + tarPadding(size)
	l.jobs <- m
	return pos
}

// addFile puts a small file of ours into the tar.
func (w *Writer) addFile(name string, data []byte) error {
	header, err := tarHeader(fileHeader(name, int64(len(data)), w.opts.Now()))
	if err != nil {
		return w.fail(err)
	}
	body := spool.New(w.dir)
	if _, err := body.Write(data); err != nil {
		return w.fail(err)
	}
	w.send(0, member{header: header, body: body}, int64(len(data)))
	return nil
}

// maxPending bounds the records of one commit in octets, so that they stay below maxCatalogFrame, and the memory they
// take until then.
const maxPending = 32 << 20

// commitDue says that a frame is full, or that the oldest pending record has waited long enough.
func (w *Writer) commitDue() bool {
	if w.hold {
		return false
	}
	for _, l := range w.lanes {
		if l.size >= w.opts.FrameSize {
			return true
		}
	}
	return w.pendingSize >= maxPending || len(w.pending) > 0 && w.opts.Now().Sub(w.began) >= w.opts.CommitEvery
}

// Commit makes everything so far durable (FORMAT.md, "Commit order"):
//
//	frames of mail, then a copy of the records, into the segment · sync segment ·
//	records into the catalog · sync catalog
func (w *Writer) Commit() error {
	if w.err != nil {
		return w.err
	}
	if len(w.pending) == 0 {
		return nil
	}
	if err := w.commit(); err != nil {
		return w.fail(fmt.Errorf("commit: %w", err))
	}
	if w.seg.end >= w.opts.SegmentSize && !w.hold {
		return w.seal()
	}
	return nil
}

func (w *Writer) commit() error {
	if err := w.openSegment(); err != nil {
		return err
	}
	frames, end, err := w.endFrames()
	if err != nil {
		return err
	}
	commit := w.commitRecord(w.commits + 1)
	commit.Segment, commit.Offset = w.seg.number, end
	packed, err := w.pack(append([]*record{commit}, frames...))
	if err != nil {
		return err
	}
	if _, err := w.segFile.Write(skippableFrame(recordMagic, packed)); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	if err := w.segFile.Sync(); err != nil {
		return fmt.Errorf("sync segment: %w", err)
	}
	if err := w.appendCatalog(packed); err != nil {
		return err
	}
	w.added += end + skippableHeader + int64(len(packed)) - w.seg.end
	for _, r := range append(frames, commit) {
		if err := w.apply(r); err != nil {
			return err
		}
	}
	if err := w.endCommit(commit, int64(len(packed))); err != nil {
		return err
	}
	w.pending, w.pendingSize, w.lane = nil, 0, make(map[*Message]int)
	return nil
}

// commitRecord is the record that begins the catalog frame of a commit.
func (w *Writer) commitRecord(n uint64) *record {
	return &record{T: recCommit, N: n, Archive: w.info.ID, Time: w.now()}
}

// endFrames closes the lanes' frames and puts them into the segment one behind the other. It
// returns their records and the offset behind the last one.
func (w *Writer) endFrames() (records []*record, end int64, err error) {
	end = w.seg.end
	frameOf := make([]int64, len(w.lanes))
	for i, l := range w.lanes {
		plain := l.size
		if plain == 0 {
			continue
		}
		res := l.endFrame()
		if res.err != nil {
			return nil, 0, fmt.Errorf("write frame: %w", res.err)
		}
		if s := w.outs[i].scratch; s != nil {
			if err := copyScratch(w.segFile, s, res.length); err != nil {
				return nil, 0, fmt.Errorf("write frame: %w", err)
			}
		}
		frameOf[i] = end
		records = append(records, &record{
			T: recFrame, Segment: w.seg.number, Offset: end, Length: res.length, Plain: plain,
			SHA256: res.sum.String(),
		})
		end += res.length
	}
	for _, r := range w.pending {
		if r.msg == nil {
			continue
		}
		if r.orig != nil {
			r.msg.Place = r.orig.Place
		} else {
			r.msg.Place.Segment, r.msg.Place.Frame = w.seg.number, frameOf[r.lane]
		}
		p := r.msg.Place
		r.At = []int64{int64(p.Segment), p.Frame, p.Pos}
	}
	return records, end, nil
}

// copyScratch appends a lane's scratch file, which the next frame then overwrites.
func copyScratch(to io.Writer, scratch *os.File, length int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, io.NewSectionReader(scratch, 0, length), make([]byte, laneBuffer))
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	_, seekErr := scratch.Seek(0, io.SeekStart)
	return errors.Join(err, seekErr)
}

// pack encodes records and those pending into a catalog frame.
func (w *Writer) pack(first []*record) ([]byte, error) {
	var plain []byte
	var err error
	for _, r := range append(first, w.pending...) {
		if plain, err = appendRecord(plain, r); err != nil {
			return nil, err
		}
	}
	packed, err := w.packRecords(plain)
	if err == nil && len(plain) > maxCatalogFrame {
		err = fmt.Errorf("%w: %d octets of records", errLimit, len(plain))
	}
	return packed, err
}

func (w *Writer) appendCatalog(packed []byte) error {
	if _, err := w.log.Write(packed); err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	if err := w.log.Sync(); err != nil {
		return fmt.Errorf("sync catalog: %w", err)
	}
	return nil
}
