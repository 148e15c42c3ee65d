package archive

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
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
	seg.changed = true
	i, isFrame := slices.BinarySearchFunc(seg.frames, r.Offset, func(f frameInfo, offset int64) int {
		return cmp.Compare(f.offset, offset)
	})
	switch {
	case isFrame:
		seg.asides = append(seg.asides, span{offset: r.Offset, length: seg.frames[i].length})
		seg.frames = slices.Delete(seg.frames, i, i+1)
		c.putAside(Place{Segment: r.Segment, Frame: r.Offset})
	case r.Length > 0:
		seg.asides = append(seg.asides, span{offset: r.Offset, length: r.Length})
		seg.end = max(seg.end, r.Offset+r.Length)
	}
	return nil
}

// putAside forgets every message whose octets are in a frame. What the tar says of mailboxes may have been in that frame
// too, so all of it counts as out of date.
func (c *Catalog) putAside(frame Place) {
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
	delete(c.byKey, msg.Key)
	if c.bySum[msg.Sum] == msg {
		delete(c.bySum, msg.Sum)
	}
	if !msg.Link && msg.from == nil {
		c.stored--
	}
	c.Mailbox(msg.Mailbox).Epochs[msg.Epoch-1].State = nil
	if !msg.Gone {
		c.awaited[msg.Key] = true
	}
}

func (c *Catalog) indexFrames() {
	c.byFrame = make(map[Place][]*Message)
	for _, l := range c.messages {
		for _, msg := range l.list {
			c.byFrame[msg.Place.frame()] = append(c.byFrame[msg.Place.frame()], msg)
		}
	}
}

// endAwaiting: the epoch has been copied whole, so what has not come back has left the server.
func (c *Catalog) endAwaiting(mailbox, epoch uint32) {
	maps.DeleteFunc(c.awaited, func(k Key, _ bool) bool { return k.Mailbox == mailbox && k.Epoch == epoch })
}

// Awaited are the messages that were put aside because their octets were damaged, and that the next export has to fetch
// again, by key. Those of older epochs and of mailboxes that have left the server are not among them.
func (c *Catalog) Awaited() []Key {
	var keys []Key
	for k := range c.awaited {
		if c.fetchable(k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKey)
	return keys
}

// fetchable says that the server may still have a message under this key.
func (c *Catalog) fetchable(k Key) bool {
	e := c.Epoch(k.Mailbox)
	return e != nil && e.N == k.Epoch && c.Mailbox(k.Mailbox).Listed
}

func compareKey(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.UID, b.UID))
}
