package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/session/wire"
	"mailark/maildirx"
)

// maxMailboxes is the most mailboxes a server may list.
const maxMailboxes = 100_000

var errMailboxes = errors.New("the server lists more than 100000 mailboxes")

// Mailbox is one LIST answer.
type Mailbox struct {
	Name       string // to be shown, and as the session's other methods take it; no two are the same
	Raw        string // the octets on the wire
	Delim      string // "" for NIL
	Attrs      []string
	Subscribed bool
	Foreign    bool // outside the personal namespace: other people's, or shared
	Alike      bool // another mailbox decodes to the same name; Name tells them apart

	// Status is what STATUS said with the LIST (RFC 5819); nil: it is not known. UIDValidity, UIDNext and
	// HighestModSeq are 0 where the server left them out (quirk LIST-28); the rest is not told.
	Status *Selected
}

// Listing is what the server told of all mailboxes.
type Listing struct {
	Mailboxes          []Mailbox // each once by its raw name, in the order of the server; INBOX always
	Answered           bool      // the server listed something, be it INBOX alone
	SubscriptionsKnown bool      // else Mailbox.Subscribed says nothing
	RolesKnown         bool      // else the attributes lack SPECIAL-USE (RFC 6154), though the server has it
	StatusAsked        bool      // STATUS came with the list (RFC 5819), though perhaps not for each mailbox
}

// Mailboxes lists the personal namespace, each mailbox once by its raw name, in the order of the
// server. INBOX is always among them.
func (c *conn) Mailboxes(ctx context.Context) ([]Mailbox, error) {
	listing, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(listing.Mailboxes, func(m Mailbox) bool { return m.Foreign }), nil
}

// List lists all namespaces.
func (c *conn) List(ctx context.Context) (*Listing, error) {
	listing := &Listing{RolesKnown: true}
	err := c.run(ctx, `LIST "" "*"`, ScopeSession, func() error {
		list, err := c.list(listing)
		if err := c.settle(); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		subscribed := map[string]bool{}
		if !listing.SubscriptionsKnown {
			if subscribed, err = c.subscriptions(); err != nil {
				return err
			}
			listing.SubscriptionsKnown = subscribed != nil
		}
		listing.Answered = len(list) > 0
		listing.Mailboxes = c.mailboxes(list, subscribed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return listing, nil
}

// listed is one LIST answer and its name on the wire.
type listed struct {
	*imap.ListData
	raw string
}

// list asks for everything, with subscriptions, roles and figures (RFC 5258, RFC 6154, RFC 5819) where the
// server can tell them in one answer, and notes what it did not tell. Servers that offer this and refuse it,
// or then list nothing (quirk LIST-29), are asked again for less and less.
func (c *conn) list(listing *Listing) ([]listed, error) {
	for _, o := range c.listOptions() {
		list, err := c.collect(o)
		var refused *imap.Error
		if err == nil && len(list) > 0 {
			listing.SubscriptionsKnown, listing.StatusAsked = true, o.ReturnStatus != nil
			return list, nil
		}
		if err != nil && !errors.As(err, &refused) {
			if o.ReturnStatus != nil {
				c.opts.Shared.noFigures()
			}
			return nil, err
		}
		listing.RolesKnown = !c.caps.Has(imap.CapSpecialUse)
		c.opts.Log.Info("extended LIST is of no use here, asking for less", "reason", err)
	}
	return c.collect(nil)
}

// listOptions are the ways to ask for more than names, the fullest first.
func (c *conn) listOptions() []*imap.ListOptions {
	if !c.caps.Has(imap.CapListExtended) {
		return nil
	}
	roles := imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: c.caps.Has(imap.CapSpecialUse)}
	if !c.caps.Has(imap.CapListStatus) || !c.opts.Shared.wantsFigures() {
		return []*imap.ListOptions{&roles}
	}
	figures := roles
	figures.ReturnStatus = c.statusOptions()
	return []*imap.ListOptions{&figures, &roles}
}

// collect carries out one LIST. More than maxMailboxes end the connection: no account has so many.
func (c *conn) collect(o *imap.ListOptions) (list []listed, err error) {
	c.w.GatherNames()
	cmd := c.cl.List("", "*", o)
	for data := cmd.Next(); data != nil; data = cmd.Next() {
		if len(list) == maxMailboxes {
			_ = c.w.Fail(errMailboxes)
			break
		}
		raw := wire.Unalias(data.Mailbox)
		if raw == data.Mailbox {
			raw = c.canonical(raw)
		}
		list = append(list, listed{data, raw})
	}
	err = cmd.Close()
	raws := c.w.Names()
	if err != nil {
		return nil, err
	}
	if len(raws) != len(list) { // a name in a shape that only go-imap can read
		return list, nil
	}
	for i, raw := range raws {
		if strings.EqualFold(raw, "INBOX") {
			raw = "INBOX"
		}
		if raw != "" {
			list[i].raw = raw
		}
	}
	return list, nil
}

// canonical writes a mailbox name as go-imap does when it opens the mailbox.
func (c *conn) canonical(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	if _, rev2 := c.caps[imap.CapIMAP4rev2]; rev2 {
		return strings.ReplaceAll(name, "&", "&-")
	}
	return maildirx.EncodeUTF7(name)
}

// subscriptions asks by LSUB (RFC 3501, section 6.3.9). nil means: refused.
func (c *conn) subscriptions() (map[string]bool, error) {
	c.w.UseLSUB(true)
	defer c.w.UseLSUB(false)
	list, refused := c.collect(&imap.ListOptions{SelectSubscribed: true})
	if err := c.survive("LSUB", refused); err != nil || refused != nil {
		return nil, err
	}
	names := make(map[string]bool, len(list))
	for _, data := range list {
		// With \Noselect LSUB names the parent of a subscribed mailbox.
		if !hasAttr(data.Attrs, imap.MailboxAttrNoSelect) {
			names[data.Mailbox] = true
		}
	}
	return names, nil
}

func hasAttr(attrs []imap.MailboxAttr, want imap.MailboxAttr) bool {
	return slices.ContainsFunc(attrs, func(a imap.MailboxAttr) bool {
		return strings.EqualFold(string(a), string(want))
	})
}

// mailboxes makes Mailboxes of the LIST answers.
func (c *conn) mailboxes(list []listed, subscribed map[string]bool) []Mailbox {
	names := c.opts.Names.assign(list)
	all := make([]Mailbox, 0, len(list)+1)
	seen := make(map[string]bool, len(list))
	for _, data := range list {
		if seen[data.raw] {
			continue
		}
		seen[data.raw] = true
		given := names[data.raw]
		m := Mailbox{
			Name: given.name, Raw: data.raw, Delim: delimString(data.Delim), Foreign: !c.isPersonal(given.name),
			Subscribed: subscribed[data.Mailbox] || hasAttr(data.Attrs, imap.MailboxAttrSubscribed),
			Alike:      given.alike,
		}
		if data.Status != nil {
			m.Status = told(data.Status)
		}
		for _, a := range data.Attrs {
			m.Attrs = append(m.Attrs, string(a))
		}
		all = append(all, m)
	}
	if !seen["INBOX"] {
		inbox := Mailbox{Name: "INBOX", Raw: "INBOX", Delim: c.delim, Subscribed: subscribed["INBOX"]}
		all = append([]Mailbox{inbox}, all...)
	}
	return all
}

// isPersonal finds the namespace with the longest prefix that fits the name.
func (c *conn) isPersonal(name string) bool {
	if name == "INBOX" {
		return true
	}
	personal, best := true, -1
	fit := func(spaces []imap.NamespaceDescriptor, mine bool) {
		for _, ns := range spaces {
			whole := ns.Prefix != "" && name == strings.TrimSuffix(ns.Prefix, delimString(ns.Delim))
			if (whole || strings.HasPrefix(name, ns.Prefix)) && len(ns.Prefix) > best {
				personal, best = mine, len(ns.Prefix)
			}
		}
	}
	fit(c.spaces.Personal, true)
	fit(c.spaces.Other, false)
	fit(c.spaces.Shared, false)
	return personal
}

func delimString(d rune) string {
	if d == 0 {
		return ""
	}
	return string(d)
}

// askNamespace learns prefix and delimiter by NAMESPACE (RFC 2342), else by LIST "" "".
func (c *conn) askNamespace() error {
	if c.sentNamespace != nil {
		data, err := c.sentNamespace.Wait()
		if err == nil && len(data.Personal) > 0 {
			c.spaces = *data
			c.prefix, c.delim = data.Personal[0].Prefix, delimString(data.Personal[0].Delim)
			return nil
		}
		if err := c.survive("NAMESPACE", err); err != nil {
			return err
		}
	}
	list, err := c.cl.List("", "", nil).Collect()
	if len(list) > 0 {
		c.delim = delimString(list[0].Delim)
	}
	return c.survive(`LIST "" ""`, err)
}

// Selectable reports whether the mailbox can hold mail as far as LIST tells: neither \Noselect nor
// \NonExistent (RFC 5258, section 3.4, which implies the former).
func (m Mailbox) Selectable() bool {
	return !slices.ContainsFunc(m.Attrs, func(a string) bool {
		return strings.EqualFold(a, `\Noselect`) || strings.EqualFold(a, `\NonExistent`)
	})
}
