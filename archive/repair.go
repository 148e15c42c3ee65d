package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"mailark/internal/spool"
)

const damagedDir = "damaged"

// RepairOptions tune a repair; the zero value is right for everyday use.
type RepairOptions struct {
	// GiveUpMissing: segments that are missing count as lost. Without it they may be on a disk that is not there now.
	GiveUpMissing bool
	// Progress, which may be nil, gets the compressed octets done and in all, from several goroutines.
	Progress func(done, total int64)
}

// RepairResult is what Repair found and did.
type RepairResult struct {
	Problems []error // what was wrong; none: nothing was done
	Frames   int     // mail frames put aside
	Rescued  int     // messages that could be read in them, or in frames that have come back whole, and were stored again
	Octets   int64   // put aside, of no use to anybody
	Copies   int     // copies of records written again from the catalog
	Seals    int     // segments sealed anew
	Awaited  []Damaged
	Lost     []Damaged
}

// Repair puts aside what Verify finds damaged (FORMAT.md, "Putting aside"): messages that can still be read are stored
// again, the octets of damaged frames are kept in damaged/, and decoders pass over their place. What is lost counts
// as not archived, so that the next export fetches it again. After a crash, Repair goes on where it was.
// What cannot be read is not damaged: Repair then stops. The result is nil if an error came before anything was changed.
// Errors: ErrNotArchive, ErrLocked, *MissingError if segments are not there, *DamageError if the catalog is damaged, which
// Rebuild mends.
func Repair(ctx context.Context, dir string, options *Options, how RepairOptions) (*RepairResult, error) {
	info, err := readInfo(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockArchive(dir)
	if err != nil {
		return nil, err
	}
	p := &repairer{opts: options.withDefaults(), dir: dir, progress: how.Progress, giveUp: how.GiveUpMissing}
	known, err := readCatalog(dir, info)
	if err == nil {
		err = p.look(&known)
	}
	if err == nil {
		err = p.lengthen(&known)
	}
	if err != nil {
		return p.changed(), errors.Join(err, lock.Close())
	}
	if p.w, err = openLocked(dir, lock, p.opts); err != nil {
		return p.changed(), err
	}
	p.wrote = true
	err = p.run(ctx)
	if err = errors.Join(err, p.w.Close()); err != nil {
		return &p.result, fmt.Errorf("repair: %w", err)
	}
	return &p.result, nil
}

// changed is the result if anything was written.
func (p *repairer) changed() *RepairResult {
	if !p.wrote {
		return nil
	}
	return &p.result
}

type repairer struct {
	opts     Options
	dir      string
	w        *Writer
	progress func(done, total int64)
	giveUp   bool
	wrote    bool
	v        *verifier
	extended []error
	result   RepairResult
}

func (p *repairer) run(ctx context.Context) error {
	if err := p.verify(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{p.putAside, p.takeBack, p.overwrite, p.copies, p.seals}
	if len(p.result.Problems) == 0 {
		steps = nil
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	p.v.Catalog = p.w.Catalog
	p.result.Awaited, p.result.Lost = p.v.putAsideNamed()
	return p.w.publishSeals()
}

// verify finds what is damaged.
func (p *repairer) verify(ctx context.Context) error {
	p.v = &verifier{dir: p.dir, opts: p.opts, progress: p.progress, Catalog: p.w.Catalog}
	listed, err := p.v.readSums()
	if err != nil {
		return err
	}
	if err := p.v.check(ctx, nil, listed); err != nil {
		return err
	}
	p.result.Problems = append(p.extended, p.v.result.Problems...)
	if len(p.result.Problems) == 0 && len(p.v.result.Damaged) > 0 {
		p.result.Problems = append(p.result.Problems, fmt.Errorf("%d messages are damaged", len(p.v.result.Damaged)))
	}
	return p.compareHurt()
}

// compareHurt reads damaged frames once more: octets that have the SHA-256 they were written with are never put aside.
func (p *repairer) compareHurt() error {
	for _, frame := range p.v.hurtFrames {
		info, ok := p.w.frameAt(frame)
		if !ok {
			continue
		}
		now, err := p.sumOf(frame.Segment, info.offset, info.length)
		if err != nil {
			return err // a disk that cannot be read now may be read later, or in another machine
		}
		if now == info.sum {
			return fmt.Errorf("read %s: the frame at %d was read wrongly, and rightly the next time: trust neither "+
				"this disk nor this machine's memory", segmentName(frame.Segment), frame.Frame)
		}
	}
	return nil
}

func (p *repairer) sumOf(segment uint32, offset, length int64) (Sum, error) {
	f, err := openFile(p.dir, segmentName(segment))
	if err != nil {
		return Sum{}, err
	}
	defer func() { _ = f.Close() }()
	return sumSection(f, offset, length)
}

// putAside records what is put aside and stores again what can be read of it: one commit a frame, so that what was
// rescued is there when the frame no longer counts.
func (p *repairer) putAside(ctx context.Context) error {
	w := p.w
	w.hold = true
	for _, s := range w.segments {
		for _, gap := range s.gaps() {
			if err := w.note(&record{T: recAside, Segment: s.number, Offset: gap.offset, Length: gap.length}); err != nil {
				return err
			}
		}
	}
	for _, place := range p.v.hurtAsides { // of a rebuild, or of a repair that was interrupted
		if err := w.note(&record{T: recAside, Segment: place.Segment, Offset: place.Frame}); err != nil {
			return err
		}
	}
	if len(w.pending)+len(p.v.hurtFrames) > 0 {
		if err := p.treeFiles(); err != nil {
			return err
		}
	}
	slices.SortFunc(p.v.hurtFrames, Place.Compare)
	members, err := p.commitsOf(p.v.hurtFrames)
	if err != nil {
		return err
	}
	for i, frame := range p.v.hurtFrames {
		err := p.putAsideFrame(ctx, frame, members[frame])
		if err == nil && i == len(p.v.hurtFrames)-1 {
			err = p.dovecotFiles()
		}
		if err == nil {
			err = w.Commit()
		}
		if err != nil {
			return fmt.Errorf("put aside the frame at %d of %s: %w", frame.Frame, segmentName(frame.Segment), err)
		}
	}
	return w.Commit() // of gaps, if there were no frames
}

// treeFiles writes the directories of all mailboxes again, and what the tar has for Dovecot: they may have been in what is put
// aside.
func (p *repairer) treeFiles() error {
	if err := p.w.openSegment(); err != nil {
		return err
	}
	for _, m := range p.w.mailboxes {
		if err := p.w.addDirs(m); err != nil {
			return err
		}
	}
	return p.dovecotFiles()
}

func (p *repairer) dovecotFiles() error {
	for _, m := range p.w.mailboxes {
		if len(m.Epochs) > 0 {
			if err := p.w.addDovecotFiles(m); err != nil {
				return err
			}
		}
	}
	return p.w.addSubscriptions()
}

func (p *repairer) putAsideFrame(ctx context.Context, frame Place, lost *commitMembers) error {
	w := p.w
	info, ok := w.frameAt(frame)
	if !ok {
		return nil
	}
	f, err := openFile(p.dir, segmentName(frame.Segment))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := w.note(&record{T: recAside, Segment: frame.Segment, Offset: frame.Frame}); err != nil {
		return err
	}
	clear(w.twins) // they may be what was just put aside
	p.result.Frames++
	p.result.Octets += info.length
	if err := w.openSegment(); err != nil {
		return err
	}
	if err := p.rescue(ctx, f, p.v.byFrame[frame], info); err != nil {
		return err
	}
	return p.members(frame, lost)
}

// rescue stores again what can be read of a frame's messages.
func (p *repairer) rescue(ctx context.Context, f io.ReaderAt, msgs []*Message, info frameInfo) error {
	slices.SortFunc(msgs, func(a, b *Message) int { return a.Place.Compare(b.Place) })
	dec, err := newMailDecoder()
	if err != nil {
		return fmt.Errorf("start decompression: %w", err)
	}
	defer dec.Close()
	file := &watched{r: io.NewSectionReader(f, info.offset, info.length)}
	if err := dec.Reset(file); err != nil {
		return file.err // nil: nothing of it is of use
	}
	in := interruptible{ctx, dec}
	body := spool.New(p.w.SpoolDir())
	defer func() { _ = body.Close() }()
	var pos int64
	for _, msg := range msgs {
		if msg.Place.Pos < pos {
			continue
		}
		if err := body.Reset(); err != nil {
			return err
		}
		_, err := io.CopyN(io.Discard, in, msg.Place.Pos-pos)
		if err == nil {
			_, err = io.CopyN(body, in, msg.Size)
		}
		if err != nil {
			return errors.Join(ctx.Err(), body.Err(), file.err) // nil: the rest is of no use
		}
		pos = msg.Place.Pos + msg.Size
		if Sum(body.Sum()) != msg.Sum {
			continue
		}
		if err := p.again(ctx, msg, body); err != nil {
			return err
		}
	}
	return nil
}

// again stores a message and all that share its octets.
func (p *repairer) again(ctx context.Context, owner *Message, body *spool.Spool) error {
	all := append([]*Message{owner}, p.v.sharers[owner.Place]...)
	slices.SortFunc(all, compareKeys)
	copied := spool.New(p.w.SpoolDir())
	defer func() { _ = copied.Close() }()
	for _, msg := range all {
		if msg.Sum != owner.Sum || p.w.Message(msg.Key) != nil {
			continue
		}
		if err := copied.Reset(); err != nil {
			return err
		}
		if _, err := io.Copy(copied, body.Open()); err != nil {
			return err
		}
		if _, err := p.w.Add(ctx, msg.Key, msg.InternalDate, msg.Flags, copied); err != nil {
			return err
		}
		p.result.Rescued++
		if msg.Gone {
			if err := p.w.SetGone(true, msg.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// commitMembers is what the frames of a commit held beside the octets of messages.
type commitMembers struct {
	links []Key // hard links
}

// members writes again the hard links to octets elsewhere that a frame held, or may have held.
func (p *repairer) members(frame Place, lost *commitMembers) error {
	if lost == nil {
		return nil
	}
	w := p.w
	for _, k := range lost.links {
		msg := w.Message(k)
		if msg == nil || !msg.Link || msg.from != nil || msg.Place == (Place{}) || msg.Place.frame() == frame {
			continue
		}
		orig := w.BySum(msg.Sum)
		if orig == nil || orig == msg {
			continue
		}
		header, err := tarHeader(linkHeader(w.File(msg), w.File(orig), msg.InternalDate))
		if err != nil {
			return err
		}
		w.send(w.laneOf(orig), member{header: header}, 0)
	}
	return nil
}

// commitsOf reads from the catalog what the commits of some frames hold. The frames of one commit are not told apart.
func (p *repairer) commitsOf(frames []Place) (map[Place]*commitMembers, error) {
	found := make(map[Place]*commitMembers)
	if len(frames) == 0 {
		return found, nil
	}
	return found, p.eachCommit(func(plain []byte) error { return membersOf(plain, frames, found) })
}

// eachCommit reads the catalog's file.
func (p *repairer) eachCommit(each func(plain []byte) error) error {
	size, err := p.w.log.Size()
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	dec, err := newRecordDecoder()
	if err != nil {
		return err
	}
	defer dec.Close()
	for offset := int64(0); ; {
		f, plain, err := readCommit(p.w.log, dec, offset, size)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read catalog: %w", err)
		}
		offset += f.length
		if err := each(plain); err != nil {
			return err
		}
	}
}

func membersOf(plain []byte, frames []Place, found map[Place]*commitMembers) error {
	m := new(commitMembers)
	hit := false
	for line := range bytes.Lines(plain) {
		if hit || bytes.Contains(line, []byte(`"frame"`)) {
			r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'}))
			if err != nil {
				return err
			}
			place := Place{Segment: r.Segment, Frame: r.Offset}
			if _, hurt := slices.BinarySearchFunc(frames, place, Place.Compare); r.T == recFrame && hurt {
				found[place] = m
				hit = true
			}
		}
	}
	if !hit {
		return nil
	}
	for line := range bytes.Lines(plain) {
		r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			return err
		}
		if r.T == recMessage && r.Link {
			m.links = append(m.links, Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: r.UID})
		}
	}
	return nil
}
