package exporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"mailark/archive"
	"mailark/internal/glob"
	"mailark/internal/humane"
	"mailark/internal/session"
)

// audit compares an archive with the account it was made from. It reads both and writes neither.
type audit struct {
	opts   Options
	sample Sample
	link   *link
	reader *archive.Reader
	known  map[string]*archive.Mailbox // of the archive, by raw name
	result *AuditResult
	rng    *rand.Rand
	at     Progress

	subscriptionsKnown, rolesKnown bool // the server tells them
	refusals                       map[archive.Key]string
	looked                         []*looked // mailboxes whose messages may be sampled
	got                            []got     // bodies that are yet to be compared with what the archive reads back
	lostInRow                      int       // mailboxes in a row that were left because the connection was lost
}

// looked is a mailbox that was compared, and may be sampled.
type looked struct {
	name      string // as the server takes it
	key       archive.Key
	validity  uint32
	uids      []uint32 // listed and archived, ascending
	differing []uint32 // of those, ascending
	result    *AuditedMailbox
}

// Audit compares the archive with the server UID by UID, and the octets of a sample, and changes neither. The
// archive may be read-only, and a run may be at work on it. The result is never nil; its Err is the error.
func Audit(ctx context.Context, options Options, sample Sample) (*AuditResult, error) {
	opts := options.withDefaults()
	ctx, end := watched(ctx, &opts)
	defer end()
	if sample.Seed == 0 {
		sample.Seed = uint64(rand.Uint32()) + 1 // short, since people type it
	}
	a := &audit{
		opts: opts, sample: sample,
		link: &link{retry: opts.Retry, log: opts.Log, crew: newCrew(&opts), first: true},
		rng:  rand.New(rand.NewPCG(sample.Seed, 0)),
		result: &AuditResult{
			Version: 1, Program: opts.Session.Program, Time: opts.Now().UTC(), Dir: opts.Dir, SampleAll: sample.All,
			Source: opts.shown(),
			// For programs an empty list is easier than none.
			Mailboxes: []*AuditedMailbox{}, Unlisted: []string{}, Differences: []Difference{},
			Refused: []Refused{}, NotGiven: []Refused{},
		},
	}
	if !sample.All && sample.N > 0 {
		a.result.Seed = sample.Seed
	}
	a.result.Err = a.run(ctx)
	a.link.drop()
	if a.reader != nil {
		_ = a.reader.Close() // was only read
	}
	a.result.Seconds = opts.Now().Sub(a.result.Time).Seconds()
	a.result.complete()
	return a.result, a.result.Err
}

func (a *audit) run(ctx context.Context) error {
	if err := a.open(); err != nil {
		return err
	}
	listed, err := a.list(ctx)
	if err != nil {
		return err
	}
	chosen, err := a.choose(listed)
	if err != nil {
		return err
	}
	a.at.MailboxesOf, a.result.Unseen = len(chosen), len(chosen)
	for _, from := range chosen {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.at.Mailbox = from.info.Name()
		a.opts.Progress(a.at)
		if err := a.mailbox(ctx, from); err != nil {
			return err
		}
		a.at.Mailboxes++
	}
	if err := a.sampleSome(ctx); err != nil {
		return err
	}
	a.at.Mailbox = ""
	a.opts.Progress(a.at)
	return a.readBack(ctx)
}

func (a *audit) open() error {
	if a.opts.Dir == "" {
		return &UsageError{"no archive given"}
	}
	opts := a.opts.Archive
	var err error
	if a.reader, err = archive.Open(a.opts.Dir, &opts); err != nil {
		return fmt.Errorf("open archive %s: %w", a.opts.Dir, err)
	}
	info := a.reader.Info()
	a.result.ID = info.ID
	x := &export{opts: a.opts, source: a.opts.source()}
	if !a.opts.OtherSource && !x.isSource(info.Source) {
		return &SourceError{Archive: info.Source, Asked: x.source}
	}
	if err := a.reader.Damage(); err != nil {
		a.result.Differs = append(a.result.Differs, fmt.Sprintf("the archive is damaged: %v; mailark verify tells more", err))
	}
	a.link.dial = a.opts.dialer(&a.reader.Catalog, true)
	a.known = make(map[string]*archive.Mailbox)
	for _, m := range a.reader.Mailboxes() {
		a.known[m.Raw] = m
	}
	a.refusals = make(map[archive.Key]string)
	for _, r := range a.reader.Refusals() {
		a.refusals[r.Key] = r.Text
	}
	return nil
}

// list asks for the mailboxes; twice if the answer lacks any the archive knows, for a server in trouble
// lists fewer than there are. If the answers disagree, what either has counts.
func (a *audit) list(ctx context.Context) ([]session.Mailbox, error) {
	first, err := a.listOnce(ctx)
	if err != nil {
		return nil, err
	}
	list := first.Mailboxes
	if !first.Answered || len(list) < 2 || len(leftServer(&a.reader.Catalog, list)) > 0 {
		second, err := a.listOnce(ctx)
		if err != nil {
			return nil, err
		}
		has := func(list []session.Mailbox, raw string) bool {
			return slices.ContainsFunc(list, func(m session.Mailbox) bool { return m.Raw == raw })
		}
		differ := slices.ContainsFunc(list, func(m session.Mailbox) bool { return !has(second.Mailboxes, m.Raw) })
		for _, m := range second.Mailboxes {
			if !has(first.Mailboxes, m.Raw) {
				list, differ = append(list, m), true
			}
		}
		if differ {
			a.result.Doubts = append(a.result.Doubts, "the server was asked for its mailboxes twice, and gave two answers")
		}
		if !first.Answered && !second.Answered {
			a.result.Doubts = append(a.result.Doubts, "the server lists no mailbox at all")
		}
		first.SubscriptionsKnown = first.SubscriptionsKnown && second.SubscriptionsKnown
		first.RolesKnown = first.RolesKnown && second.RolesKnown
	}
	a.subscriptionsKnown, a.rolesKnown = first.SubscriptionsKnown, first.RolesKnown
	a.noteUntold()
	return list, nil
}

// noteUntold notes what the server does not tell. That is a doubt if it has told it once.
func (a *audit) noteUntold() {
	for _, kind := range []struct {
		told bool
		what string
		had  func(m *archive.Mailbox) bool
	}{
		{a.subscriptionsKnown, "which mailboxes are subscribed", func(m *archive.Mailbox) bool { return m.Subscribed }},
		{a.rolesKnown, "the roles of the mailboxes", func(m *archive.Mailbox) bool { return m.Role() != "" }},
	} {
		switch {
		case kind.told:
		case slices.ContainsFunc(a.reader.Mailboxes(), kind.had):
			a.result.Doubts = append(a.result.Doubts, "the server does not tell "+kind.what+", as it once did")
		default:
			a.result.Untold = append(a.result.Untold, kind.what)
		}
	}
}

func (a *audit) listOnce(ctx context.Context) (listing *session.Listing, err error) {
	err = a.link.do(ctx, func(src server) (err error) {
		listing, err = src.List(ctx)
		return err
	})
	return listing, err
}

// choose applies the patterns, to mailboxes that have left the server too. INBOX comes first.
func (a *audit) choose(listed []session.Mailbox) ([]source, error) {
	set := glob.NewSet(a.opts.Include, a.opts.Exclude)
	var chosen []source
	for _, m := range listed {
		info := mailboxInfo(&m)
		switch {
		case m.Foreign:
			a.result.Foreign++
		case set.Has(info.Name()):
			from := source{Mailbox: m, info: info, fault: fault(&m)}
			if known := a.known[m.Raw]; known != nil {
				from.id = known.ID
			}
			chosen = append(chosen, from)
		default:
			a.result.Skipped++
		}
	}
	for _, m := range leftServer(&a.reader.Catalog, listed) {
		if set.Has(m.Name()) {
			a.result.Unlisted = append(a.result.Unlisted, m.Name())
		}
	}
	if err := set.Unused(); err != nil {
		return nil, &UsageError{fmt.Sprintf("%v; %s", err, knownNames(listed))}
	}
	if len(chosen) == 0 && len(a.result.Unlisted) == 0 {
		return nil, &UsageError{"the patterns leave no mailbox to compare"}
	}
	slices.SortStableFunc(chosen, func(a, b source) int {
		return b2i(b.info.Name() == "INBOX") - b2i(a.info.Name() == "INBOX")
	})
	return chosen, nil
}

// mailbox compares one mailbox, and fetches its bodies if all are asked for. What is wrong with the mailbox itself is
// noted in its result; an error ends the audit.
func (a *audit) mailbox(ctx context.Context, from source) error {
	m := &AuditedMailbox{Name: cutName(from.info.Name())}
	a.result.Mailboxes = append(a.result.Mailboxes, m)
	a.result.Unseen--
	if m.Failed = from.fault; m.Failed != "" {
		return nil
	}
	a.compareMailbox(m, &from)
	var err error
	if m.NoMail, err = a.holdsNone(ctx, &from); m.NoMail || err != nil {
		return err
	}
	err = a.compareMessages(ctx, m, from)
	if err == nil && a.sample.All {
		box := a.looked[len(a.looked)-1]
		err = a.fetchBodies(ctx, box, box.uids)
	}
	return a.judge(m, err)
}

// holdsNone: what has mail is opened whatever LIST says. What could be opened once is tried, as export does.
func (a *audit) holdsNone(ctx context.Context, from *source) (bool, error) {
	switch {
	case from.Selectable(), from.id != 0 && len(a.reader.Current(from.id)) > 0:
		return false, nil
	case a.epoch(from) == nil:
		return true, nil
	}
	opens, err := a.link.opens(ctx, from.Name)
	return !opens, err
}

// judge notes in the result what is wrong with the mailbox itself. What it returns ends the audit.
func (a *audit) judge(m *AuditedMailbox, err error) error {
	var own *mailboxError
	switch {
	case errors.Is(err, errRenumbered):
		m.Doubts = append(m.Doubts, "its UIDVALIDITY changed while it was compared")
		m.Looked = false
	case errors.As(err, &own):
		m.Failed, m.lost = own.text, own.lost
		if a.lostInRow++; own.lost && a.lostInRow >= maxLostMailboxes {
			return &stopError{fmt.Errorf("left %d mailboxes in a row: %w", a.lostInRow, err)}
		}
	case err != nil:
		return err
	}
	if own == nil || !own.lost {
		a.lostInRow = 0
	}
	return nil
}

// compareMailbox compares what LIST says of a mailbox with what the archive has.
func (a *audit) compareMailbox(m *AuditedMailbox, from *source) {
	known := a.known[from.Raw]
	if known == nil {
		m.Differs = append(m.Differs, "the archive does not have this mailbox")
		return
	}
	if !known.Listed {
		m.Differs = append(m.Differs, "the archive takes it to have left the server")
	}
	if a.subscriptionsKnown && known.Subscribed != from.Subscribed {
		m.Differs = append(m.Differs, fmt.Sprintf("subscribed: %s on the server, %s in the archive",
			yesNo(from.Subscribed), yesNo(known.Subscribed)))
	}
	if on, in := roles(&from.info), roles(&known.MailboxInfo); a.rolesKnown && on != in {
		m.Differs = append(m.Differs, fmt.Sprintf("role: %s on the server, %s in the archive", on, in))
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// roles are the mailbox's SPECIAL-USE attributes (RFC 6154) for people.
func roles(info *archive.MailboxInfo) string {
	var list []string
	for _, role := range specialUses() {
		if info.HasAttr(role) {
			list = append(list, strings.TrimPrefix(role, `\`))
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// compareMessages lists the mailbox and compares UID by UID.
func (a *audit) compareMessages(ctx context.Context, m *AuditedMailbox, from source) error {
	var c *comparison
	err := errRenumbered
	for try := 0; try < renumberings && errors.Is(err, errRenumbered); try++ {
		c, err = a.look(ctx, &from)
	}
	if err != nil {
		return err
	}
	m.UIDValidity, m.AuditFigures, m.Looked = c.listing.selected.UIDValidity, c.figures, true
	if epoch := a.epoch(&from); epoch != nil {
		m.KnownValidity = epoch.UIDValidity
	} else if from.id != 0 {
		m.Differs = append(m.Differs, "no export has opened it yet")
	}
	if c.renumbered {
		m.Differs = append(m.Differs, fmt.Sprintf("UIDVALIDITY is %d on the server, %d in the archive: no UID means what it did",
			m.UIDValidity, m.KnownValidity))
	}
	m.MissingUIDs, m.VanishedUIDs = uidSet(c.missing), uidSet(c.vanished)
	for _, d := range c.differences {
		d.Mailbox = m.Name
		a.result.differ(d)
	}
	for _, r := range c.refused {
		r.Mailbox = m.Name
		a.result.Refused = append(a.result.Refused, r)
	}
	m.Doubts = append(m.Doubts, c.doubts(a.sample.All)...)
	a.looked = append(a.looked, &looked{
		name: from.Name, key: c.key, validity: m.UIDValidity, uids: c.archived, differing: c.differing, result: m,
	})
	a.opts.Log.Info("audited", "mailbox", m.Name, "exists", m.Exists, "listed", m.Listed, "archived", m.Archived,
		"missing", m.Missing, "vanished", m.Vanished, "refused", m.Refused, "differing", m.Differing)
	return nil
}

func (a *audit) epoch(from *source) *archive.Epoch {
	if from.id == 0 {
		return nil
	}
	return a.reader.Epoch(from.id)
}

// look lists the mailbox and compares; twice if most of it has vanished, for a server in trouble shows fewer
// messages than there are.
func (a *audit) look(ctx context.Context, from *source) (*comparison, error) {
	a.link.begin()
	first, err := a.lookOnce(ctx, from)
	if err != nil || first.figures.Vanished <= manyGone || first.figures.Vanished <= len(first.archived) {
		return first, err
	}
	second, err := a.lookOnce(ctx, from)
	if err != nil {
		return nil, err
	}
	if second.listing.selected.UIDValidity != first.listing.selected.UIDValidity {
		return nil, errRenumbered
	}
	if len(second.listing.messages) != len(first.listing.messages) {
		second.contradiction = fmt.Sprintf("the server was asked twice, and listed %s messages, then %s",
			humane.Count(len(first.listing.messages)), humane.Count(len(second.listing.messages)))
	}
	return second, nil
}

func (a *audit) lookOnce(ctx context.Context, from *source) (*comparison, error) {
	a.link.leave() // the figures of EXAMINE are to be fresh
	found, err := a.link.list(ctx, from.Name)
	if err != nil {
		return nil, err
	}
	c := &comparison{listing: found, key: archive.Key{Mailbox: from.id}}
	if epoch := a.epoch(from); epoch != nil {
		if c.renumbered = epoch.UIDValidity != found.selected.UIDValidity; !c.renumbered {
			c.key.Epoch = epoch.N
		}
	}
	c.compare(&a.reader.Catalog, a.refusals)
	return c, nil
}
