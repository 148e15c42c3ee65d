package archive

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// readAhead reads the commits of a catalog one after the other. While one is looked at the next is decompressed, if
// they are small: what is in memory at any time is one commit and limit octets.
type readAhead struct {
	limit int // octets of a commit, decompressed, that are kept while the next one is read
	reads chan commitRead
	free  chan []byte // memory to read into, two pieces in all
	done  chan struct{}
	last  []byte // what next returned, and whether it is to be given back
	lent  bool
}

// commitRead is what readCommit returned.
type commitRead struct {
	frame rawFrame
	plain []byte
	err   error
}

// maxAhead is the usual limit of a readAhead.
const maxAhead = 16 << 20

// newReadAhead begins to read a catalog of the given size in octets. The reader is in use until stop.
func newReadAhead(r io.ReaderAt, size int64, limit int) (*readAhead, error) {
	dec, err := newRecordDecoder()
	if err != nil {
		return nil, err
	}
	a := &readAhead{limit: limit, reads: make(chan commitRead), free: make(chan []byte, 2), done: make(chan struct{})}
	a.free <- nil
	a.free <- nil
	go func() {
		defer close(a.reads)
		defer dec.Close()
		a.run(r, dec, size)
	}()
	return a, nil
}

func (a *readAhead) run(r io.ReaderAt, dec *zstd.Decoder, size int64) {
	var offset int64
	for {
		buf, ok := a.memory()
		if !ok {
			return
		}
		var read commitRead
		read.frame, read.plain, read.err = readCommitInto(buf, r, dec, offset, size)
		select {
		case a.reads <- read:
		case <-a.done:
			return
		}
		if read.err != nil {
			return
		}
		offset += read.frame.length
		if len(read.plain) > a.limit && !a.pause() {
			return
		}
	}
}

// memory waits for some that nobody uses.
func (a *readAhead) memory() ([]byte, bool) {
	select {
	case buf := <-a.free:
		return buf, true
	case <-a.done:
		return nil, false
	}
}

// pause waits until nobody looks at a commit. Of the two pieces of memory it gives up the smaller one.
func (a *readAhead) pause() bool {
	one, ok := a.memory()
	if !ok {
		return false
	}
	two, ok := a.memory()
	if cap(one) < cap(two) {
		one = two
	}
	a.free <- one
	a.free <- nil
	return ok
}

// next returns the next commit, as readCommit does; after an error there is none. The records are
// valid until the next call.
func (a *readAhead) next() (rawFrame, []byte, error) {
	if a.lent {
		a.free <- a.last
	}
	read, ok := <-a.reads
	if !ok {
		return read.frame, nil, io.EOF
	}
	a.last, a.lent = read.plain, read.err == nil
	return read.frame, read.plain, read.err
}

// stop ends the reading and waits for it.
func (a *readAhead) stop() {
	close(a.done)
	for range a.reads {
	}
}
