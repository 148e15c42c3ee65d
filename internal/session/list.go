package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailark/maildirx"
)

// maxMailboxes is the most mailboxes a server may list.
const maxMailboxes = 100_000

var errMailboxes = errors.New("the server lists more than 100000 mailboxes")

// Mailbox is one LIST answer.
type Mailbox struct {
	Name       string // decoded, as the session's other methods take it
	Raw        string // on the wire, in modified UTF-7
	Delim      string // "" for NIL
	Attrs      []string
	Subscribed bool
}

// Mailboxes lists the personal namespace, each mailbox once by its raw name, in the order of the
// server. INBOX is always among them.
func (c *conn) Mailboxes(ctx context.Context) ([]Mailbox, error) {
	var all []Mailbox
	err := c.run(ctx, `LIST "" "*"`, ScopeSession, func() error {
		list, told, err := c.list()
		if err != nil {
			return err
		}
		subscribed := map[string]bool{}
		if !told {
			if subscribed, err = c.subscriptions(); err != nil {
				return err
			}
		}
		all = c.personal(list, subscribed)
		return nil
	})
	return all, err
}

// list asks for everything, with subscriptions and roles (RFC 5258, RFC 6154) where the server can
// tell them in one answer: told. Servers that offer this and refuse it, or then list nothing, are
// asked again in the plain way.
func (c *conn) list() (list []*imap.ListData, told bool, err error) {
	if c.caps.Has(imap.CapListExtended) {
		list, err = c.collect(c.cl.List("", "*", &imap.ListOptions{
			ReturnSubscribed: true, ReturnSpecialUse: c.caps.Has(imap.CapSpecialUse),
		}))
		var refused *imap.Error
		if err == nil && len(list) > 0 {
			return list, true, nil
		}
		if err != nil && !errors.As(err, &refused) {
			return nil, false, err
		}
		c.opts.Log.Info("extended LIST is of no use here, asking plainly", "reason", err)
	}
	list, err = c.collect(c.cl.List("", "*", nil))
	return list, false, err
}

// collect reads one LIST. More than maxMailboxes end the connection: no account has so many.
func (c *conn) collect(cmd *imapclient.ListCommand) (list []*imap.ListData, err error) {
	for data := cmd.Next(); data != nil; data = cmd.Next() {
		if len(list) == maxMailboxes {
			_ = c.w.Fail(errMailboxes)
			break
		}
		list = append(list, data)
	}
	return list, cmd.Close()
}

// subscriptions asks by LSUB (RFC 3501, section 6.3.9). A refusal means: none known.
func (c *conn) subscriptions() (map[string]bool, error) {
	c.w.UseLSUB(true)
	defer c.w.UseLSUB(false)
	list, err := c.collect(c.cl.List("", "*", &imap.ListOptions{SelectSubscribed: true}))
	if err := c.survive("LSUB", err); err != nil {
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

// personal makes Mailboxes of the LIST answers and leaves out other people's and shared ones.
func (c *conn) personal(list []*imap.ListData, subscribed map[string]bool) []Mailbox {
	all := make([]Mailbox, 0, len(list)+1)
	seen := make(map[string]bool, len(list))
	for _, data := range list {
		m := Mailbox{Name: data.Mailbox, Raw: maildirx.EncodeUTF7(data.Mailbox), Delim: delimString(data.Delim)}
		if seen[m.Raw] {
			continue
		}
		seen[m.Raw] = true
		if !c.isPersonal(m.Name) {
			c.opts.Log.Info("mailbox outside the personal namespace left out", "mailbox", m.Name)
			continue
		}
		m.Subscribed = subscribed[m.Name] || hasAttr(data.Attrs, imap.MailboxAttrSubscribed)
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
	if c.caps.Has(imap.CapNamespace) {
		data, err := c.cl.Namespace().Wait()
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
