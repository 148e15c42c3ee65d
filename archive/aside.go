package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
)

// frame is the place of the frame in which p lies.
func (p Place) frame() Place { return Place{Segment: p.Segment, Frame: p.Frame} }

// applyAside puts a part of a segment aside (FORMAT.md, "Putting aside"): a mail frame with all its messages; with a
// length, octets that hold nothing of use; with neither, nothing but the end of a sealed segment.
func (c *Catalog) applyAside(r *record) error {
	if r.Segment == 0 || r.Segment > maxSegment || int64(r.Segment) > int64(len(c.segments))+1 {
		return fmt.Errorf("segment %d follows segment %d", r.Segment, len(c.segments))
	}
	if r.Offset < 0 || r.Length < 0 || r.Length > maxSkippable || r.Offset > math.MaxInt64-r.Length {
		return fmt.Errorf("%d octets at %d are out of range", r.Length, r.Offset)
	}
	var end int64
	var sealed bool
	if int(r.Segment) <= len(c.segments) {
		end, sealed = c.segments[r.Segment-1].end, c.segments[r.Segment-1].sealed
	}
	if r.Offset+r.Length > end && (r.Offset < end || sealed) {
		return fmt.Errorf("%d octets at %d of segment %d, which ends at %d", r.Length, r.Offset, r.Segment, end)
	}
	seg := c.segment(r.Segment)
	i, isFrame := slices.BinarySearchFunc(seg.frames, r.Offset, func(f frameInfo, offset int64) int {
		return cmp.Compare(f.offset, offset)
	})
	if r.Length > 0 && (isFrame || seg.holds(r.Offset, r.Length)) {
		return fmt.Errorf("%d octets at %d of segment %d hold what is in use", r.Length, r.Offset, r.Segment)
	}
	seg.changed = true
	switch {
	case isFrame:
		seg.asides = append(seg.asides, span{offset: r.Offset, length: seg.frames[i].length})
		seg.frames = slices.Delete(seg.frames, i, i+1)
		c.forgetFrame(Place{Segment: r.Segment, Frame: r.Offset})
	case r.Length > 0:
		seg.asides = append(seg.asides, span{offset: r.Offset, length: r.Length})
		seg.end = max(seg.end, r.Offset+r.Length)
	}
	return nil
}

// holds says that a part of the segment belongs to a frame or to a copy of records.
func (s *segmentInfo) holds(offset, length int64) bool {
	i := sort.Search(len(s.frames), func(i int) bool { return s.frames[i].offset+s.frames[i].length > offset })
	j := sort.Search(len(s.copies), func(j int) bool { return s.copies[j].offset+s.copies[j].length > offset })
	return i < len(s.frames) && s.frames[i].offset < offset+length || j < len(s.copies) && s.copies[j].offset < offset+length
}

// forgetFrame forgets every message whose octets are in a frame. What the tar says of mailboxes may have been in that frame
// too, so all of it counts as out of date.
func (c *Catalog) forgetFrame(frame Place) {
	for _, m := range c.mailboxes {
		c.changed[m.ID] = true
	}
	c.subsChanged = true
	if c.byFrame == nil {
		c.indexFrames()
	}
	lost := make(map[uint32]map[*Message]bool)
	for _, msg := range c.byFrame[frame] {
		if lost[msg.Mailbox] == nil {
			lost[msg.Mailbox] = make(map[*Message]bool)
		}
		lost[msg.Mailbox][msg] = true
		c.forget(msg)
	}
	delete(c.byFrame, frame)
	for mailbox, msgs := range lost {
		l := &c.messages[mailbox-1]
		l.list = slices.DeleteFunc(l.list, func(msg *Message) bool { return msgs[msg] })
	}
}

// forget removes a message from everything but its mailbox's list. Its epoch lacks it from now on.
func (c *Catalog) forget(msg *Message) {
	c.index.remove(msg)
	c.Mailbox(msg.Mailbox).Epochs[msg.Epoch-1].State = nil
	c.aside[msg.Key] = putAside{sum: msg.Sum, gone: msg.Gone}
	if !msg.Gone {
		at := epochKey{msg.Mailbox, msg.Epoch}
		c.awaiting[at] = append(c.awaiting[at], msg.Key)
	}
}

// epochKey names an epoch: mailbox and number.
type epochKey struct{ mailbox, epoch uint32 }

func (c *Catalog) indexFrames() {
	c.byFrame = make(map[Place][]*Message)
	for _, l := range c.messages {
		for _, msg := range l.list {
			c.byFrame[msg.Place.frame()] = append(c.byFrame[msg.Place.frame()], msg)
		}
	}
}

// putAside is what is known of a message that was put aside.
type putAside struct {
	sum  Sum
	gone bool // it has left the server
}

// endAwaiting: the epoch has been copied whole, so what has not come back has left the server.
func (c *Catalog) endAwaiting(mailbox, epoch uint32) {
	at := epochKey{mailbox, epoch}
	for _, k := range c.awaiting[at] {
		if p, ok := c.aside[k]; ok {
			p.gone = true
			c.aside[k] = p
		}
	}
	delete(c.awaiting, at)
}

// PutAside are the messages whose octets were damaged and put aside, and that have not come back, by key. The next
// export fetches those of awaited again. Those of lost have left the server, under this key at least, and no other message
// has their octets.
func (c *Catalog) PutAside() (awaited, lost []Key) {
	coming := make(map[Sum]bool)
	for k, p := range c.aside {
		if !p.gone && c.fetchable(k) {
			awaited = append(awaited, k)
			coming[p.sum] = true
		}
	}
	for k, p := range c.aside {
		if (p.gone || !c.fetchable(k)) && !coming[p.sum] && c.BySum(p.sum) == nil {
			lost = append(lost, k)
		}
	}
	slices.SortFunc(awaited, compareKey)
	slices.SortFunc(lost, compareKey)
	return awaited, lost
}

// fetchable says that the server may still have a message under this key.
func (c *Catalog) fetchable(k Key) bool {
	e := c.Epoch(k.Mailbox)
	return e != nil && e.N == k.Epoch && c.Mailbox(k.Mailbox).Listed
}

func compareKey(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.UID, b.UID))
}

// gaps are the parts of a segment that neither a frame, nor a copy, nor an aside accounts for.
func (s *segmentInfo) gaps() []span {
	parts := append(slices.Clone(s.copies), s.asides...)
	for _, f := range s.frames {
		parts = append(parts, span{f.offset, f.length})
	}
	slices.SortFunc(parts, func(a, b span) int { return cmp.Compare(a.offset, b.offset) })
	var list []span
	var pos int64
	for _, p := range append(parts, span{offset: s.end}) {
		if p.offset > pos {
			list = append(list, span{pos, p.offset - pos})
		}
		pos = max(pos, p.offset+p.length)
	}
	return list
}

// isAside says whether exactly one skippable frame of the kind that puts aside lies at a part of a file.
func isAside(r io.ReaderAt, part span) (bool, error) {
	f, err := scanFrame(r, part.offset, part.offset+part.length)
	if err != nil {
		return false, unlessContent(err)
	}
	return f.kind == kindAside && f.length == part.length, nil
}

// checkAsides makes sure that what is put aside is a frame that decoders pass over, and that the catalog accounts for
// everything else.
func (v *verifier) checkAsides() error {
	for _, s := range v.segments {
		name := segmentName(s.number)
		for _, gap := range s.gaps() {
			v.problem(&DamageError{File: name, Offset: gap.offset, Reason: fmt.Sprintf(
				"the catalog does not account for %d octets", gap.length)})
		}
		if len(s.asides) == 0 {
			continue
		}
		f, err := os.Open(filepath.Join(v.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // reported already
		}
		if err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		for _, part := range s.asides {
			ok, err := isAside(f, part)
			if err == nil && !ok {
				v.hurtAsides = append(v.hurtAsides, Place{Segment: s.number, Frame: part.offset})
				v.problem(&DamageError{File: name, Offset: part.offset, Reason: fmt.Sprintf(
					"%d octets hold nothing of use, and are not put aside yet", part.length)})
			} else if err != nil {
				v.problem(&DamageError{File: name, Offset: part.offset, Reason: err.Error()})
			}
		}
		_ = f.Close() // was only read
	}
	return nil
}

// putAsideNamed names what was put aside earlier.
func (v *verifier) putAsideNamed() (awaited, lost []Damaged) {
	name := func(keys []Key, reason string) (list []Damaged) {
		for _, k := range keys {
			list = append(list, Damaged{Key: k, Mailbox: v.Mailbox(k.Mailbox).Name(), Reason: reason})
		}
		return list
	}
	a, l := v.PutAside()
	return name(a, "its octets were damaged"), name(l, "its octets were damaged, and it is no longer on the server")
}
