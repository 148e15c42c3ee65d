package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// assembly is a catalog on its way from what was salvaged. Commits that are known keep their octets, as long as they fit
// what comes before them.
type assembly struct {
	*salvage
	ctx      context.Context //nolint:containedctx // lives as long as one pass
	c        Catalog
	out      io.Writer
	packer   *zstd.Encoder
	time     time.Time            // of the last commit that is known
	began    time.Time            // of the first
	lastMade uint64               // number of the last commit made anew in the place of a lost one
	lines    []byte               // of the commit that is being made
	extra    map[uint64][]*record // what later commits want, by the commit made anew before them
	wanted   map[uint64][]*record // the same, as it turns out in this pass
	derive   map[Key][]derivedUID // by mailbox and epoch
	sound    map[Place]bool       // frames whose octets have been found to be what they were

	fromSegments, fromCatalog, made int
	unknown                         Unknown
	size                            int64
	sum                             Sum
}

// derivedUID is a message that was made from its file.
type derivedUID struct {
	uid   uint32
	place Place
}

// assembleTwice makes the catalog without writing it. What a commit lacks because an earlier one is lost is learnt in the
// first pass; in the second, the commit made in the place of the lost one says it.
func (b *rebuilder) assembleTwice(ctx context.Context) (*assembly, error) {
	a, err := b.assemble(ctx, io.Discard, nil)
	if err == nil && len(a.wanted) > 0 {
		a, err = b.assemble(ctx, io.Discard, a.wanted)
	}
	return a, err
}

// assemble writes the catalog made from all that was found.
func (b *rebuilder) assemble(ctx context.Context, out io.Writer, extra map[uint64][]*record) (*assembly, error) {
	hash := sha256.New()
	a := &assembly{
		salvage: b.salvage, ctx: ctx, c: newCatalog(b.info), extra: extra, wanted: make(map[uint64][]*record),
		derive: make(map[Key][]derivedUID), sound: make(map[Place]bool), time: b.info.Created,
	}
	a.out = io.MultiWriter(out, hash, written{&a.size})
	var err error
	if a.packer, err = newRecordEncoder(); err != nil {
		return nil, fmt.Errorf("start compression: %w", err)
	}
	defer func() { _ = a.packer.Close() }()
	if a.dec, err = newRecordDecoder(); err != nil {
		return nil, err
	}
	defer a.dec.Close()
	units := b.units
	for _, n := range b.numbers {
		var before []unit
		for len(units) > 0 && units[0].place().Compare(b.commits[n].begin) < 0 {
			before, units = append(before, units[0]), units[1:]
		}
		if err := errors.Join(ctx.Err(), a.fill(before, n)); err != nil {
			return nil, err
		}
		if err := a.adopt(n, b.commits[n]); err != nil {
			return nil, err
		}
	}
	if err := a.fill(units, math.MaxUint64); err != nil {
		return nil, err
	}
	if err := a.forgetStates(); err != nil {
		return nil, err
	}
	a.sum = Sum(hash.Sum(nil))
	return a, nil
}

// forgetStates ends a catalog from which something is lost: no epoch counts as copied whole any more, whatever commits said
// that still relied on what is lost.
func (a *assembly) forgetStates() error {
	a.unknown.Octets += a.dropped
	for n := range a.b.sums {
		if int(n) > len(a.c.segments) {
			a.unknown.Ends++
		}
	}
	if a.unknown == (Unknown{}) {
		return nil
	}
	var list []*record
	for _, m := range a.c.mailboxes {
		for _, e := range m.Epochs {
			if e.State != nil {
				list = append(list, &record{T: recState, Mailbox: m.ID, Epoch: e.N})
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := a.begin(a.c.commits + 1); err != nil {
		return err
	}
	for _, r := range list {
		if err := a.say(r); err != nil {
			return err
		}
	}
	return a.end()
}

// written counts octets on their way to a file.
type written struct{ n *int64 }

func (c written) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return len(p), nil
}

// fill makes the commits that are missing before commit next, from what the segments have in their place.
func (a *assembly) fill(units []unit, next uint64) error {
	var groups [][]unit
	for i, u := range units {
		if i == 0 || u.kind == unitSeal || units[i-1].kind == unitSeal || u.kind == unitFrame && units[i-1].kind == unitJunk {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], u)
	}
	if next == math.MaxUint64 { // how many there were, only their traces say
		for _, u := range units {
			if u.torn {
				a.unknown.Ends++
			}
		}
		next = a.c.commits + 1 + uint64(len(groups))
	}
	if next > a.c.commits+1+maxLostCommits+uint64(len(groups)) {
		return &DamageError{File: catalogFile, Offset: -1, Reason: fmt.Sprintf("commits %d to %d are lost", a.c.commits+1, next-1)}
	}
	for a.c.commits+1 < next {
		var group []unit
		if last := a.c.commits+2 == next; len(groups) > 0 {
			group, groups = groups[0], groups[1:]
			for ; last && len(groups) > 0; groups = groups[1:] {
				group = append(group, groups[0]...)
			}
		}
		if err := a.make(group); err != nil {
			return err
		}
	}
	for _, group := range groups { // no commit can have had it
		for _, u := range group {
			a.unknown.Octets += u.length
		}
	}
	return nil
}

// maxLostCommits bounds how many commits in a row are replaced, because a number may be any.
const maxLostCommits = 100_000

// make writes a commit made anew.
func (a *assembly) make(group []unit) error {
	a.lastMade = a.c.commits + 1
	if err := a.begin(a.lastMade); err != nil {
		return err
	}
	for _, u := range group {
		if err := a.unit(u); err != nil {
			return err
		}
	}
	if err := a.sayNeeds(a.extra[a.lastMade]); err != nil {
		return err
	}
	a.made++
	has := func(kind unitKind) bool {
		return slices.ContainsFunc(group, func(u unit) bool { return u.kind == kind })
	}
	switch {
	case has(unitFrame):
		a.unknown.Remade++
	case !has(unitSeal):
		a.unknown.Commits++
	}
	return a.end()
}

func (a *assembly) unit(u unit) error {
	switch u.kind {
	case unitJunk:
		a.unknown.Octets += u.length
		err := a.say(&record{T: recAside, Segment: u.segment, Offset: u.offset, Length: u.length})
		return unlessUnfit(err)
	case unitSeal:
		return a.seal(u.segment)
	default:
		return a.frame(u)
	}
}

// errUnfit: a record does not fit what the catalog knows.
var errUnfit = errors.New("the record does not fit")

func unlessUnfit(err error) error {
	if errors.Is(err, errUnfit) {
		return nil
	}
	return err
}

// begin starts a commit of which there is no copy in a segment.
func (a *assembly) begin(n uint64) error {
	t := a.time
	r := &record{T: recCommit, N: n, Archive: a.b.info.ID}
	if !t.IsZero() {
		r.Time = &t
	}
	a.lines = a.lines[:0]
	return a.say(r)
}

// say adds a record to the commit. errUnfit: it was not added, because it does not apply.
func (a *assembly) say(r *record) error {
	if err := a.c.apply(r); err != nil {
		return fmt.Errorf("%w: %w", errUnfit, err)
	}
	var err error
	a.lines, err = appendRecord(a.lines, r)
	return err
}

func (a *assembly) end() error {
	packed := a.packer.EncodeAll(a.lines, nil)
	if len(a.lines) > maxCatalogFrame {
		return fmt.Errorf("commit %d: %w: %d octets of records", a.c.commits, errLimit, len(a.lines))
	}
	_, err := a.out.Write(packed)
	return err
}

// adopt takes over a commit that is known. If all of it fits, its octets stay what they are.
func (a *assembly) adopt(n uint64, src source) error {
	if n != a.c.commits+1 {
		return fmt.Errorf("commit %d follows commit %d", n, a.c.commits)
	}
	packed, plain, err := a.read(src)
	if err != nil {
		return err
	}
	first, err := firstRecord(plain)
	if err != nil {
		return err
	}
	if first.Time != nil {
		a.time = first.Time.UTC()
		if a.began.IsZero() {
			a.began = a.time
		}
	}
	if err := a.begin(n); err != nil {
		return err
	}
	clean := true
	_, rest, _ := bytes.Cut(plain, []byte{'\n'})
	for line := range bytes.Lines(rest) {
		fits, err := a.adoptLine(line)
		if err != nil {
			return err
		}
		clean = clean && fits
	}
	if clean && a.inPlace(first, int64(len(packed))) {
		if src.segment > 0 {
			a.fromSegments++
		} else {
			a.fromCatalog++
		}
		_, err := a.out.Write(packed)
		return err
	}
	a.made++
	if first.Segment > 0 {
		copied := &record{T: recAside, Segment: first.Segment, Offset: first.Offset, Length: skippableHeader + src.length}
		if err := unlessUnfit(a.say(copied)); err != nil {
			return err
		}
	}
	return a.end()
}

// inPlace moves the end of the segment behind the commit's copy.
func (a *assembly) inPlace(first *record, packed int64) bool {
	if first.Segment > maxSegment || int(first.Segment) > len(a.c.segments) {
		return false
	}
	return a.c.endCommit(first, packed) == nil
}

// adoptLine applies a record of a known commit. If it lacks something that a lost commit must have said, that is
// said first; what does not fit even so is left out.
func (a *assembly) adoptLine(line []byte) (fits bool, err error) {
	r, err := parseRecord(bytes.TrimSuffix(line, []byte{'\n'}))
	if err != nil || len(line) > maxRecord || r.T == recCommit {
		a.unknown.Records++
		return false, nil //nolint:nilerr // one record less
	}
	if a.known(r) && a.c.apply(r) == nil {
		a.lines = append(a.lines, line...)
		return true, nil
	}
	lacking, err := a.lacking(r)
	if err == nil {
		err = a.sayNeeds(lacking)
	}
	if err != nil {
		return false, err
	}
	a.wanted[a.lastMade] = append(a.wanted[a.lastMade], lacking...)
	if r.T == recMessage && r.File != nil && a.c.Message(Key{Mailbox: r.Mailbox, Epoch: r.File[0], UID: r.File[len(r.File)-1]}) == nil {
		r.File, r.Link = nil, true // whose file it is, is lost; where its octets are, is not
	}
	if !a.known(r) {
		a.unknown.Records++
		return false, nil
	}
	if err := a.say(r); errors.Is(err, errUnfit) {
		a.unknown.Records++
	} else if err != nil {
		return false, err
	}
	return false, nil
}

// known says that the octets of a message are in a frame that the catalog knows.
func (a *assembly) known(r *record) bool {
	if r.T != recMessage {
		return true
	}
	if len(r.At) != 3 || r.At[0] < 1 || r.At[0] > maxSegment {
		return false
	}
	_, ok := a.c.frameAt(Place{Segment: uint32(r.At[0]), Frame: r.At[1]}) //nolint:gosec // checked above
	return ok
}

// seal says that a segment is sealed, with the SHA-256 that SHA256SUMS has for it, else the one it has now.
func (a *assembly) seal(n uint32) error {
	f, err := openFile(a.b.dir, segmentName(n))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := &record{T: recSeal, Segment: n, Length: a.sizes[n]}
	if sum, ok := a.b.sums[n]; ok {
		r.SHA256 = sum.String()
	} else if r, err = sealRecord(n, interruptibleAt{a.ctx, f}, a.sizes[n]); err != nil {
		return err
	}
	if int(n) <= len(a.c.segments) {
		r.Length = max(r.Length, a.c.segments[n-1].end)
	}
	return unlessUnfit(a.say(r))
}

// interruptibleAt ends a long read when its context ends.
type interruptibleAt struct {
	ctx context.Context //nolint:containedctx // lives as long as one read
	r   io.ReaderAt
}

func (i interruptibleAt) ReadAt(p []byte, off int64) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.ReadAt(p, off)
}

func (a *assembly) open(segment uint32) (*os.File, error) {
	f, err := os.Open(filepath.Join(a.b.dir, segmentName(segment)))
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	return f, nil
}
