package archive

import (
	"errors"
	"io/fs"
)

// lostAside is the record that must have put a frame aside before a key of its messages was used again, or a segment sealed again.
// If the octets of the frame are what they were, nothing was put aside, and the older message stays.
func (a *assembly) lostAside(r *record) ([]*record, error) {
	if r.T == recSeal && r.Segment > 0 && int(r.Segment) <= len(a.c.segments) {
		if s := a.c.segments[r.Segment-1]; s.sealed && !s.changed {
			return []*record{{T: recAside, Segment: r.Segment, Offset: s.end}}, nil
		}
	}
	msg := a.c.Message(Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: r.UID})
	if r.T != recMessage || msg == nil {
		return nil, nil
	}
	frame := msg.Place.frame()
	info, known := a.c.frameAt(frame)
	if !known || a.sound[frame] {
		return nil, nil
	}
	sum, err := a.sumFrame(frame.Segment, info)
	if err != nil {
		return nil, err
	}
	if sum == info.sum {
		a.sound[frame] = true
		return nil, nil
	}
	return []*record{{T: recAside, Segment: frame.Segment, Offset: frame.Frame}}, nil
}

// sumFrame is the SHA-256 of a frame's octets as they are now, as far as they are there.
func (a *assembly) sumFrame(segment uint32, info frameInfo) (Sum, error) {
	f, err := a.open(segment)
	if errors.Is(err, fs.ErrNotExist) {
		return Sum{}, nil
	}
	if err != nil {
		return Sum{}, err
	}
	defer func() { _ = f.Close() }()
	return sumSection(interruptibleAt{a.ctx, f}, info.offset, info.length)
}

// isThere says that what a record without a length puts aside has been introduced: a frame, or the end of a segment.
func (a *assembly) isThere(aside *record) bool {
	_, frame := a.c.frameAt(Place{Segment: aside.Segment, Frame: aside.Offset})
	return frame || int(aside.Segment) <= len(a.c.segments) && a.c.segments[aside.Segment-1].end == aside.Offset
}
