package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"mailark/internal/spool"
)

// prefetchLimit is how many octets of messages are kept ready at most, in a file without a name.
const prefetchLimit = 1 << 30

// prefetched are messages read ahead of their turn, in a scratch file.
type prefetched struct {
	file *os.File
	at   map[Place]int64
}

// Prefetch makes a coming series of Loads cheap: of the given messages, those whose octets were stored with another
// message are read now, in the order of their places, and kept in a scratch file in dir, a gigabyte of them at most. Without it,
// each of them would have its frame decompressed anew. What an earlier Prefetch has kept is dropped. A damaged message is
// passed over here; its Load reports it.
func (r *Reader) Prefetch(ctx context.Context, msgs []*Message, dir string) error {
	if err := r.dropPrefetched(); err != nil {
		return err
	}
	chosen := shared(msgs)
	if len(chosen) == 0 {
		return nil
	}
	file, err := spool.Scratch(dir)
	if err != nil {
		return fmt.Errorf("prefetch: %w", err)
	}
	ready := prefetched{file: file, at: make(map[Place]int64, len(chosen))}
	sp := spool.New(dir)
	defer func() { _ = sp.Close() }() // only its memory is left
	var size int64
	var damage *DamageError
	for _, m := range chosen {
		err := r.Load(ctx, m, sp)
		if errors.As(err, &damage) {
			continue
		}
		if err == nil {
			_, err = io.Copy(file, sp.Open())
		}
		if err != nil {
			return errors.Join(fmt.Errorf("prefetch: %w", err), file.Close())
		}
		ready.at[m.Place] = size
		size += m.Size
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = ready
	return nil
}

// shared are the messages that share octets stored with another one, each place once, in the order of places
// and as many as prefetchLimit allows.
func shared(msgs []*Message) []*Message {
	seen := make(map[Place]bool)
	var chosen []*Message
	var size int64
	for _, m := range msgs {
		if !m.Link || seen[m.Place] || size+m.Size > prefetchLimit {
			continue
		}
		seen[m.Place] = true
		size += m.Size
		chosen = append(chosen, m)
	}
	slices.SortFunc(chosen, func(a, b *Message) int { return a.Place.compare(b.Place) })
	return chosen
}

// compare orders places as they lie in the archive.
func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Frame, q.Frame), cmp.Compare(p.Pos, q.Pos))
}

func (r *Reader) dropPrefetched() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	file := r.ready.file
	r.ready = prefetched{}
	if file == nil {
		return nil
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close scratch file: %w", err)
	}
	return nil
}

// loadReady loads a message that was prefetched. ok false: it was not.
func (r *Reader) loadReady(m *Message, sp *spool.Spool) (ok bool, err error) {
	at, ok := r.ready.at[m.Place]
	if !ok {
		return false, nil
	}
	if _, err := io.Copy(sp, io.NewSectionReader(r.ready.file, at, m.Size)); err != nil {
		return true, fmt.Errorf("read scratch file: %w", err)
	}
	if sp.Size() != m.Size || Sum(sp.Sum()) != m.Sum {
		return true, fmt.Errorf("read scratch file: %w", errWrongSum)
	}
	return true, nil
}
