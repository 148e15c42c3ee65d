package archive

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// earlier is what the catalog had of frames that were put aside before this repair.
type earlier struct {
	wanted map[Place]bool
	frames map[Place]frameInfo
	byKey  map[Key]*Message
	msgs   map[Place][]*Message // by the place of their frame
}

// takeBack stores again the messages of frames that were put aside while they could not be had, and that have come back
// whole: somebody has found the disk, or a backup.
func (p *repairer) takeBack(ctx context.Context) error {
	slices.SortFunc(p.v.hurtAsides, Place.Compare)
	if len(p.v.hurtAsides) == 0 {
		return nil
	}
	e := &earlier{
		wanted: make(map[Place]bool), frames: make(map[Place]frameInfo),
		byKey: make(map[Key]*Message), msgs: make(map[Place][]*Message),
	}
	for _, place := range p.v.hurtAsides {
		e.wanted[place] = true
	}
	if err := p.eachCommit(e.gather); err != nil {
		return err
	}
	for _, place := range p.v.hurtAsides {
		if info, ok := e.frames[place]; ok { // else no mail was there
			if err := p.takeFrameBack(ctx, place, info, e.msgs[place]); err != nil {
				return fmt.Errorf("take back the frame at %d of %s: %w", place.Frame, segmentName(place.Segment), err)
			}
		}
	}
	return nil
}

func (p *repairer) takeFrameBack(ctx context.Context, place Place, info frameInfo, msgs []*Message) error {
	now, err := p.sumOf(place.Segment, info.offset, info.length)
	if err != nil || now != info.sum {
		return err
	}
	var owners []*Message
	byPlace := make(map[Place]bool)
	for _, msg := range msgs {
		aside, ok := p.w.aside[msg.Key]
		if !ok || aside.sum != msg.Sum {
			continue // it has come back already
		}
		msg.Gone = aside.gone
		if byPlace[msg.Place] {
			p.v.sharers[msg.Place] = append(p.v.sharers[msg.Place], msg)
			continue
		}
		byPlace[msg.Place] = true
		owners = append(owners, msg)
	}
	if len(owners) == 0 {
		return nil
	}
	f, err := openFile(p.dir, segmentName(place.Segment))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := p.w.openSegment(); err != nil {
		return err
	}
	if err := p.rescue(ctx, f, owners, info); err != nil {
		return err
	}
	if err := p.dovecotFiles(); err != nil {
		return err
	}
	return p.w.Commit()
}

// gather adds what a commit says of the frames wanted, and of the messages in them.
func (e *earlier) gather(plain []byte) error {
	for line := range bytes.Lines(plain) {
		r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'}))
		if err == nil {
			err = e.take(r)
		}
		if err != nil {
			return fmt.Errorf("read catalog: %w", err)
		}
	}
	return nil
}

func (e *earlier) take(r *record) error {
	switch r.T {
	case recFrame:
		place := Place{Segment: r.Segment, Frame: r.Offset}
		if !e.wanted[place] {
			return nil
		}
		sum, err := ParseSum(r.SHA256)
		if err != nil {
			return err
		}
		e.frames[place] = frameInfo{offset: r.Offset, length: r.Length, plain: r.Plain, sum: sum}
	case recMessage:
		m, err := r.messageLine()
		if err != nil || !e.wanted[m.place.frame()] {
			return err
		}
		msg := &Message{Key: m.key, Sum: m.sum, InternalDate: m.date, Flags: m.flags, Size: m.size, Place: m.place}
		e.byKey[m.key] = msg
		e.msgs[m.place.frame()] = append(e.msgs[m.place.frame()], msg)
	case recFlags:
		if msg := e.byKey[Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: r.UID}]; msg != nil {
			msg.Flags = r.Flags
		}
	}
	return nil
}
