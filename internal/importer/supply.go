package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"mailark/archive"
	"mailark/internal/spool"
)

const (
	// stockOctets bounds what is read ahead of messages that lie elsewhere in the archive.
	stockOctets   = 64 << 20
	stockMessages = 20_000
)

// supply gives the octets of messages in the order of upload. Most lie in the archive in this order, and each
// frame is decompressed once. Those whose octets were stored with another mailbox's mail (Link) lie
// anywhere: to fetch them one by one would decompress half a frame for each. So they are read ahead, in the
// order of their places, and kept in a temporary file until it is their turn. For one goroutine.
type supply struct {
	arc    *archive.Reader
	queue  []*archive.Message // linked ones still to come, in the order of upload
	next   map[*archive.Message]int
	stock  *spool.Spool
	pieces map[archive.Sum]piece
}

// piece is a message in the stock.
type piece struct {
	offset int64
	err    error // it is damaged
}

func newSupply(arc *archive.Reader, stock *spool.Spool) *supply {
	return &supply{arc: arc, stock: stock}
}

// expect says what will be asked for, in order. What is in stock stays there.
func (s *supply) expect(msgs []*archive.Message) {
	s.queue, s.next = nil, make(map[*archive.Message]int)
	for _, msg := range msgs {
		if msg.Link && msg.Size <= stockOctets/8 {
			s.next[msg] = len(s.queue)
			s.queue = append(s.queue, msg)
		}
	}
}

// load replaces what is in sp by a message's octets, whose SHA-256 is right. Damage is an error for
// which damaged is true.
func (s *supply) load(ctx context.Context, msg *archive.Message, sp *spool.Spool) error {
	i, ahead := s.next[msg]
	if !ahead {
		return s.arc.Load(ctx, msg, sp)
	}
	if _, inStock := s.pieces[msg.Sum]; !inStock {
		if err := s.fill(ctx, s.queue[i:], sp); err != nil {
			return err
		}
	}
	p := s.pieces[msg.Sum]
	if p.err != nil {
		return p.err
	}
	if err := sp.Reset(); err != nil {
		return err
	}
	if _, err := io.Copy(sp, io.NewSectionReader(s.stock.Open(), p.offset, msg.Size)); err != nil {
		return fmt.Errorf("read ahead: %w", err)
	}
	if sp.Sum() != msg.Sum {
		return errors.New("read ahead: the temporary file has changed")
	}
	return nil
}

// fill makes a new stock of the first messages of the queue, each of their octets once. sp is for use
// meanwhile.
func (s *supply) fill(ctx context.Context, queue []*archive.Message, sp *spool.Spool) error {
	s.pieces = make(map[archive.Sum]piece)
	if err := s.stock.Reset(); err != nil {
		return err
	}
	var list []*archive.Message
	var octets int64
	for _, msg := range queue {
		if _, known := s.pieces[msg.Sum]; known {
			continue
		}
		if len(list) > 0 && octets+msg.Size > stockOctets || len(list) >= stockMessages {
			break
		}
		s.pieces[msg.Sum] = piece{}
		list = append(list, msg)
		octets += msg.Size
	}
	slices.SortFunc(list, func(a, b *archive.Message) int { return a.Place.Compare(b.Place) })
	for _, msg := range list {
		at := s.stock.Size()
		err := s.arc.Load(ctx, msg, sp)
		if err == nil {
			_, err = io.Copy(s.stock, sp.Open())
		}
		if err != nil && !damaged(err) {
			s.pieces = nil
			return err
		}
		s.pieces[msg.Sum] = piece{offset: at, err: err}
	}
	return nil
}
