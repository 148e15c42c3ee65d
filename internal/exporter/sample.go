package exporter

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/spool"
)

// Sample says how many bodies an audit fetches again.
type Sample struct {
	All  bool
	N    int    // how many, where All is not set: spread over all mailboxes
	Seed uint64 // the same seed takes the same messages of the same mailboxes; 0: another one each time
}

// got is a body that the server has given as the archive's record has it.
type got struct {
	msg *archive.Message
	box *looked
}

// sampleSome fetches the sample.
func (a *audit) sampleSome(ctx context.Context) error {
	if a.sample.All || a.sample.N <= 0 {
		return nil
	}
	counts := make([]int, len(a.looked))
	for i, box := range a.looked {
		counts[i] = len(box.uids)
	}
	take := quotas(counts, a.sample.N, a.rng)
	var boxes []*looked
	for i, box := range a.looked {
		a.rng.Shuffle(len(box.uids), func(i, j int) { box.uids[i], box.uids[j] = box.uids[j], box.uids[i] })
		box.uids = slices.Clone(box.uids[:take[i]])
		slices.Sort(box.uids)
		box.result.Sampled, box.result.NotAsked = take[i], take[i]
		if take[i] > 0 {
			boxes = append(boxes, box)
		}
	}
	for _, box := range boxes {
		a.at.Mailbox = box.result.Name
		if err := a.judge(box.result, a.fetchBodies(ctx, box, box.uids)); err != nil {
			return err
		}
	}
	return nil
}

// quotas spreads n over mailboxes with so many messages: one for each mailbox as far as n reaches, the rest in
// proportion. The sum is n, or all there are.
func quotas(counts []int, n int, rng *rand.Rand) []int {
	take := make([]int, len(counts))
	give := func(i int) bool {
		ok := n > 0 && take[i] < counts[i]
		take[i], n = take[i]+b2i(ok), n-b2i(ok)
		return ok
	}
	order := rng.Perm(len(counts))
	for _, i := range order {
		give(i)
	}
	rest := int64(0)
	for i := range counts {
		rest += int64(counts[i] - take[i])
	}
	n = int(min(int64(n), rest))
	spread := int64(n)
	for i := range counts {
		if rest > 0 {
			share := min(int(spread*int64(counts[i]-take[i])/rest), counts[i]-take[i])
			take[i], n = take[i]+share, n-share
		}
	}
	for gave := true; gave; { // what rounding has left
		gave = false
		for _, i := range order {
			gave = give(i) || gave
		}
	}
	return take
}

// bodies fetches the octets of messages of one mailbox again and compares them with the archive's records.
type bodies struct {
	*audit
	box    *looked
	open   map[uint32]*archive.Message // not settled yet
	other  map[uint32]archive.Sum      // what came where it was not what the record has
	untold []uint32                    // the server passes over them
	inVain int                         // settled in a row without octets
	dry    int                         // requests in a row answered by a call for patience
}

// fetchBodies fetches the octets of the given messages, and settles each: as equal to its record, which is to be read
// back, as other, or as not given.
func (a *audit) fetchBodies(ctx context.Context, box *looked, uids []uint32) error {
	b := &bodies{
		audit: a, box: box, open: make(map[uint32]*archive.Message, len(uids)), other: make(map[uint32]archive.Sum),
	}
	k := box.key
	for _, uid := range uids {
		k.UID = uid
		b.open[uid] = a.reader.Message(k)
		a.at.OctetsPlanned += b.open[uid].Size
	}
	a.at.MessagesPlanned += len(uids)
	a.opts.Progress(a.at)
	box.result.Sampled, box.result.NotAsked = len(uids), len(uids)
	a.link.begin()
	var err error
	for portion := range slices.Chunk(uids, auditPortion) {
		if err = b.fetch(ctx, portion); err != nil || b.inVain >= a.opts.Retry.InVain {
			break
		}
	}
	if err == nil && len(b.open) > 0 {
		err = &mailboxError{text: fmt.Sprintf("the server gave nothing for %s messages in a row; the rest was not compared",
			humane.Count(b.inVain))}
	}
	if err == nil && len(b.untold) > 0 {
		err = b.lookAgain(ctx)
	}
	return err
}

// auditPortion is how many messages are asked for at once. Finding the one that ends the connection must not cost as
// many connections as the patience with a mailbox has.
const auditPortion = 500

// fetch asks for messages, and in halves for what it did not get, down to single ones.
func (b *bodies) fetch(ctx context.Context, uids []uint32) error {
	switch {
	case len(uids) == 0 || b.inVain >= b.opts.Retry.InVain:
		return nil
	case len(uids) == 1:
		return b.fetchOne(ctx, uids[0])
	}
	if err := b.request(ctx, uids, false); b.ends(ctx, err) {
		return err
	}
	if uids = b.unsettled(uids); len(uids) < 2 {
		return b.fetch(ctx, uids)
	}
	half := len(uids) / 2
	if err := b.fetch(ctx, uids[:half]); err != nil {
		return err
	}
	return b.fetch(ctx, b.unsettled(uids[half:]))
}

// fetchOne asks for one message until the patience with it ends.
func (b *bodies) fetchOne(ctx context.Context, uid uint32) error {
	var err error
	for try := range b.opts.Retry.Attempts {
		if err = b.request(ctx, []uint32{uid}, try+1 == b.opts.Retry.Attempts); b.ends(ctx, err) {
			return err
		}
		if b.open[uid] == nil {
			return nil
		}
	}
	sum, came := b.other[uid]
	switch {
	case came:
		b.settleOther(uid, sum)
	case err != nil:
		b.settleNotGiven(uid, words(err))
	default:
		b.untold = append(b.untold, uid)
		b.settleNotGiven(uid, "the server lists it, but sends no octets for it")
	}
	return nil
}

// ends reports whether an error ends the mailbox or the audit; others are about messages.
func (b *bodies) ends(ctx context.Context, err error) bool {
	var (
		stop    *stopError
		mailbox *mailboxError
	)
	return ctx.Err() != nil || errors.As(err, &stop) || errors.As(err, &mailbox) || errors.Is(err, errRenumbered)
}

func (b *bodies) unsettled(uids []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(uids), func(uid uint32) bool { return b.open[uid] == nil })
}

// request sends FETCH once and settles what comes as it should. last: they will not be asked for again.
func (b *bodies) request(ctx context.Context, uids []uint32, last bool) error {
	sel, err := b.link.enter(ctx, b.box.name)
	if err != nil {
		return err
	}
	if sel.UIDValidity != b.box.validity {
		return errRenumbered
	}
	sizes := make([]int64, len(uids))
	for i, uid := range uids {
		sizes[i] = b.open[uid].Size
	}
	err = b.link.src.FetchBodies(ctx, uids, sizes, b.receive)
	var ended error
	switch {
	case err == nil:
	case ctx.Err() != nil:
		b.link.drop()
		return context.Cause(ctx)
	case errors.Is(err, errHuge):
		b.link.drop() // it is full of what was not read
	case lostConnection(err):
		ended = b.link.lose(ctx, err, len(uids) > 1) // one message alone has its own patience
	case asksPatience(err) && last:
	case asksPatience(err):
		// It may mean this one message and say the same for ever, so the pauses begin short.
		pause := doubled(b.link.retry.Backoff, b.dry, b.link.retry.Wait)
		if b.dry++; b.dry >= maxAskedForPatience {
			return &mailboxError{text: "the server asks for patience again and again: " + words(err)}
		}
		b.link.log.Warn("the server asks for patience", "mailbox", b.box.result.Name, "reason", words(err), "again in", pause)
		ended = b.link.retry.Sleep(ctx, pause)
	}
	if ended != nil {
		return ended
	}
	return err
}

// errHuge ends a request in which a literal was announced that no archive can hold.
var errHuge = errors.New("the server announces more octets than a message may have")

// receive hashes one body. What is not as the record has it has to come twice to be believed.
func (b *bodies) receive(uid uint32, size int64, r io.Reader) error {
	msg := b.open[uid]
	if msg == nil {
		return nil // not asked for, or known already
	}
	switch {
	case size > archive.MaxMessageSize:
		return errHuge
	case size == 0 && msg.Size > 0:
		return nil // that is no other message, but none
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		return err
	}
	b.link.alive()
	b.dry = 0
	sum := archive.Sum(hash.Sum(nil))
	if sum == msg.Sum {
		b.got = append(b.got, got{msg, b.box})
		b.settle(uid)
		b.inVain = 0
		b.at.Messages++
		b.at.Octets += msg.Size
		b.opts.Progress(b.at)
		return nil
	}
	if before, again := b.other[uid]; again && before == sum {
		b.settleOther(uid, sum)
		b.inVain = 0
	}
	b.other[uid] = sum
	return nil
}

// settle ends the fetching of a message. It stays among those not asked for until its place in the figures is known.
func (b *bodies) settle(uid uint32) { delete(b.open, uid) }

func (b *bodies) settleOther(uid uint32, sum archive.Sum) {
	msg := b.open[uid]
	b.settle(uid)
	m := b.box.result
	m.NotAsked--
	m.OtherOctets++
	b.box.differ(uid)
	b.result.differ(Difference{
		Mailbox: m.Name, UID: uid, What: "octets", Server: sha256Is + sum.String(), Archive: sha256Is + msg.Sum.String(),
	})
}

func (b *bodies) settleNotGiven(uid uint32, text string) {
	b.settle(uid)
	m := b.box.result
	m.NotAsked--
	m.NotGiven++
	b.inVain++
	b.dry = 0
	b.result.NotGiven = append(b.result.NotGiven, Refused{m.Name, uid, text})
}

// differ counts a message as differing, once.
func (l *looked) differ(uid uint32) {
	if i, known := slices.BinarySearch(l.differing, uid); !known {
		l.differing = slices.Insert(l.differing, i, uid)
		l.result.Differing++
	}
}

// lookAgain finds out whether messages for which the server sends nothing are still there.
func (b *bodies) lookAgain(ctx context.Context) error {
	b.link.leave()
	now, err := b.link.list(ctx, b.box.name)
	if err != nil {
		return err
	}
	if now.selected.UIDValidity != b.box.validity {
		return errRenumbered
	}
	n := 0
	for _, uid := range b.untold {
		n += b2i(!now.has(uid))
	}
	if n > 0 {
		m := b.box.result
		m.Doubts = append(m.Doubts, fmt.Sprintf("%s left the server while it was compared", humane.Plural(n, "message")))
	}
	return nil
}

// readBack reads from the archive what the server has given, in the order of the places, which costs least.
func (a *audit) readBack(ctx context.Context) error {
	slices.SortFunc(a.got, func(x, y got) int { return x.msg.Place.Compare(y.msg.Place) })
	sp := spool.New("")
	defer func() { _ = sp.Close() }()
	for _, g := range a.got {
		var damage *archive.DamageError
		m := g.box.result
		err := a.reader.Load(ctx, g.msg, sp) // compares the SHA-256
		switch {
		case err == nil:
			m.NotAsked--
			m.Compared++
			m.Octets += g.msg.Size
		case errors.As(err, &damage):
			m.NotAsked--
			m.Damaged++
			a.result.differ(Difference{
				Mailbox: m.Name, UID: g.msg.UID, What: "damage", Server: sha256Is + g.msg.Sum.String(), Archive: err.Error(),
			})
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return fmt.Errorf("read %q UID %d from the archive: %w", m.Name, g.msg.UID, err)
		}
	}
	return nil
}
