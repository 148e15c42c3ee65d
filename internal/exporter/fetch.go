package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/session"
	"mailark/internal/spool"
)

// fetcher fetches messages of a transfer over one connection. It belongs to the goroutine that uses that.
type fetcher struct {
	*transfer
	link *link

	asked  map[uint32]*want // by the request under way
	held   *body            // whole, but what follows it has not been seen yet
	cut    *want            // whose literal was cut short
	failed error            // of our own side
	untold int              // messages of the request under way that came short and await being asked for again

	dismissed bool // a helper that the server wants to be patient

	// Of the one that sees the transfer through:
	seen     int    // transfer.moved when the connection was last lost
	opened   int    // link.opened when the mailbox was last listed
	looked   bool   // has looked once what is still listed
	doubt    string // why a later look at the mailbox was not believed
	vanished []*want
}

// run asks until all is delivered, given up or left. errRenumbered: the mailbox got another UIDVALIDITY.
func (f *fetcher) run(ctx context.Context) error {
	for {
		portion, err := f.next(ctx)
		if err != nil {
			return err
		}
		if portion == nil {
			break
		}
		how, suspect, text, err := f.ask(ctx, portion)
		if err != nil {
			return err
		}
		f.report(portion, how, suspect, text)
		missing := func(w *want) bool { return !w.done && w.shorts == 0 }
		if how != lost && !f.looked && slices.ContainsFunc(portion, missing) {
			if err := f.lookAgain(ctx); err != nil {
				return err
			}
		}
	}
	if len(f.sched.refused) > 0 {
		if err := f.lookAgain(ctx); err != nil {
			return err
		}
	}
	if f.sched.left() {
		return &mailboxError{text: fmt.Sprintf(
			"the server gave nothing in %s requests in a row; the rest was left for another run", humane.Count(f.sched.dry))}
	}
	return nil
}

// lookAgain lists the mailbox afresh and takes out what has left it meanwhile. A server in trouble
// shows fewer messages than there are, so a look that lacks many has to be confirmed by another one,
// and one that shows nothing is never believed.
func (f *fetcher) lookAgain(ctx context.Context) error {
	f.looked = true
	now, err := f.look(ctx)
	if err != nil {
		return err
	}
	lacks := f.lacking(now)
	if lacks == 0 || !now.sound() {
		return nil
	}
	looks := []*listing{now}
	if lacks > max(fewVanished, len(f.wants)/10) {
		second, err := f.look(ctx)
		if err != nil {
			return err
		}
		looks = append(looks, second)
	}
	for _, l := range looks {
		if !l.sound() || len(l.messages) == 0 {
			f.doubt = fmt.Sprintf("while it was copied the server showed %s messages, and %s of those it would not give "+
				"were not among them; that was not believed", humane.Count(len(l.messages)), humane.Count(lacks))
			return nil
		}
	}
	f.vanished = append(f.vanished, f.forget(looks)...)
	return nil
}

// look lists the mailbox afresh. errRenumbered: it has another UIDVALIDITY.
func (f *fetcher) look(ctx context.Context) (*listing, error) {
	f.link.leave()
	now, err := f.link.list(ctx, f.mailbox)
	if err != nil {
		return nil, err
	}
	if now.selected.UIDValidity != f.validity || f.validity == 0 && f.contradicts(now) {
		return nil, errRenumbered
	}
	f.opened = now.opened
	return now, nil
}

// contradicts reports whether a wanted UID stands for another message in a listing.
func (f *fetcher) contradicts(now *listing) bool {
	return slices.ContainsFunc(f.wants, func(w *want) bool {
		m := now.find(w.UID)
		return m != nil && (m.Size != w.Size || !m.InternalDate.Equal(w.InternalDate))
	})
}

// recognise makes sure that the UIDs of a mailbox without UIDVALIDITY mean what they did, since the
// mailbox was opened anew. The UIDs of others are vouched for by UIDVALIDITY.
func (f *fetcher) recognise(ctx context.Context) error {
	if f.validity != 0 || f.link.opened == f.opened {
		return nil
	}
	now, err := f.look(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(f.wants, func(w *want) bool { return !w.done && !now.has(w.UID) }) {
		return errRenumbered
	}
	return nil
}

// ask makes one request. suspect is the message the connection ended in or behind; text is what to
// tell people of the failure.
func (f *fetcher) ask(ctx context.Context, portion []*want) (how outcome, suspect *want, text string, err error) {
	err = f.request(ctx, portion)
	switch {
	case err == nil:
		return answered, nil, "the server lists it, but sends no octets for it", nil
	case ctx.Err() != nil:
		f.link.drop()
		f.letGo()
		return 0, nil, "", context.Cause(ctx)
	case f.failed != nil:
		return 0, nil, "", &stopError{f.failed}
	case errors.Is(err, errShort):
		f.link.drop() // it may be full of what was not read
		return answered, nil, "", nil
	case f.isOwn(err):
		return 0, nil, "", err
	case f.cut != nil && f.cut.huge > 0:
		f.link.drop()
		return lost, f.cut, f.cut.text, nil
	case f.cut != nil || lostConnection(err):
		suspect, text = f.afterLoss(err)
		return lost, suspect, text, f.lose(ctx, err)
	case asksPatience(err) && f.link.helping:
		f.dismissed = true
		return refused, nil, "the server refuses it: " + words(err), nil
	case asksPatience(err):
		// It may mean this one message and say the same for ever, so the pauses begin short.
		pause := doubled(f.link.retry.Backoff, f.tire(), f.link.retry.Wait)
		f.link.log.Warn("the server asks for patience", "mailbox", f.mailbox, "reason", words(err), "again in", pause)
		return refused, nil, "the server refuses it: " + words(err), f.link.retry.Sleep(ctx, pause)
	}
	return refused, nil, "the server refuses it: " + words(err), nil
}

// isOwn reports whether an error is for the caller: it ends the run or the mailbox.
func (f *fetcher) isOwn(err error) bool {
	var (
		stop    *stopError
		mailbox *mailboxError
	)
	return errors.As(err, &stop) || errors.As(err, &mailbox) || errors.As(err, new(*crowdedError)) || errors.Is(err, errRenumbered)
}

// lose drops the connection. That a helper loses its own does not count against the mailbox, nor do losses between which
// anybody got something.
func (f *fetcher) lose(ctx context.Context, err error) error {
	if f.link.helping {
		f.link.drop()
		return nil
	}
	if moved := f.progress(); moved != f.seen {
		f.seen = moved
		f.link.alive()
	}
	return f.link.lose(ctx, err, !f.sched.final)
}

// afterLoss finds the message that may have ended the connection.
func (f *fetcher) afterLoss(err error) (suspect *want, text string) {
	switch held := f.held; {
	case f.cut != nil:
		suspect, text = f.cut, "the connection ended in the middle of it each time: "+words(err)
	case held != nil:
		// Too few octets behind the announcement are filled up from what follows, which then makes no sense.
		suspect, text = held.want, "the connection ended right behind it each time, so its octets are in doubt: "+words(err)
	default:
		text = "the server closed the connection each time: " + words(err)
	}
	f.letGo()
	return suspect, text
}

// letGo drops the held message.
func (f *fetcher) letGo() {
	if f.held != nil {
		f.giveBack(f.held.octets)
		f.held = nil
	}
}

// request sends FETCH for a portion and hands over what comes.
func (f *fetcher) request(ctx context.Context, portion []*want) error {
	sel, err := f.link.enter(ctx, f.mailbox)
	if err != nil {
		return err
	}
	if sel.UIDValidity != f.validity {
		return errRenumbered
	}
	if err := f.recognise(ctx); err != nil {
		return err
	}
	f.asked = make(map[uint32]*want, len(portion))
	uids, sizes := make([]uint32, 0, len(portion)), make([]int64, 0, len(portion))
	for _, w := range portion {
		f.asked[w.UID] = w
		uids, sizes = append(uids, w.UID), append(sizes, max(w.Size, 0))
	}
	f.cut, f.untold = nil, 0
	err = f.link.src.FetchBodies(ctx, uids, sizes, func(uid uint32, size int64, r io.Reader) error {
		return f.receive(ctx, uid, size, r)
	})
	answered := err == nil || ctx.Err() == nil && !lostConnection(err) && f.isAnswer(err)
	if f.failed == nil && answered {
		f.handOver()
	}
	return err
}

// isAnswer reports whether an error is the server's answer to the request.
func (f *fetcher) isAnswer(err error) bool {
	var remote *session.Error
	return errors.As(err, &remote)
}

// receive takes one body. That it comes shows that the one before it was whole.
func (f *fetcher) receive(ctx context.Context, uid uint32, size int64, r io.Reader) error {
	f.handOver()
	w := f.asked[uid]
	if w == nil || w.done {
		return nil // not asked for; the session passes over the octets
	}
	if size > archive.MaxMessageSize {
		w.huge, w.text = size, fmt.Sprintf("the server announces %d octets, an archive takes %d at most",
			size, int64(archive.MaxMessageSize))
		f.cut = w
		return errors.New(w.text)
	}
	var octets *spool.Spool
	select {
	case octets = <-f.free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	octets.Expect(size)
	if _, err := octets.ReadFrom(r); err != nil {
		f.failed = octets.Err()
		f.cut = w
		f.giveBack(octets)
		return err
	}
	if octets.Size() == 0 && w.Size > 0 && !w.Estimate {
		w.empties++
		w.text = fmt.Sprintf("the server sends no octets for a message of %d", w.Size)
		f.giveBack(octets)
		return nil
	}
	if octets.Size() < w.Size && !w.Estimate && !f.believeShort(w, octets) {
		f.giveBack(octets)
		if f.untold++; f.untold >= enoughShort {
			return errShort
		}
		return nil
	}
	f.held = &body{pass: f.pass, want: w, octets: octets}
	return nil
}

// errShort ends a request in which many messages came short. It is of no use to go on with it before
// it is known whether the server tells wrong sizes or sends too little.
var errShort = errors.New("many messages came short")

// believeShort reports whether fewer octets than told are the whole message: if the same come a second
// time, or if that was so for many of the mailbox, since some servers only estimate sizes.
func (f *fetcher) believeShort(w *want, octets *spool.Spool) bool {
	sum := archive.Sum(octets.Sum())
	switch {
	case f.trust(w.shorts > 0 && w.short == sum):
		return true
	}
	w.shorts++
	w.short = sum
	w.text = fmt.Sprintf("the server sends %d octets for a message of %d, and other ones each time", octets.Size(), w.Size)
	return false
}

// handOver gives the held message to the archive.
func (f *fetcher) handOver() {
	if f.held == nil {
		return
	}
	f.delivered(f.held.want)
	f.link.alive()
	f.jobs <- job{body: *f.held}
	f.held = nil
}

// giveBack returns a spool that nobody is to read. It goes the way of the others, so that the free
// ones have one sender.
func (f *fetcher) giveBack(octets *spool.Spool) {
	f.jobs <- job{body: body{octets: octets}}
}
