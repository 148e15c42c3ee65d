package exporter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mailark/archive"
	"mailark/internal/glob"
	"mailark/internal/humane"
	"mailark/internal/session"
)

// listConfirmed asks for the mailboxes. A server in trouble lists fewer than there are, so an answer
// that lacks many of those known, or has INBOX alone, has to be confirmed by another one.
func (x *export) listConfirmed(ctx context.Context) ([]session.Mailbox, error) {
	listed, answered, err := x.listOnce(ctx)
	if err != nil {
		return nil, err
	}
	known := 0
	for _, m := range x.catalog.Mailboxes() {
		known += b2i(m.Listed)
	}
	if answered && len(listed) > 1 && len(leftServer(x.catalog, listed)) <= max(fewUnlisted, known/10) {
		return listed, nil
	}
	again, _, err := x.listOnce(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range again {
		if !slices.ContainsFunc(listed, func(l session.Mailbox) bool { return l.Raw == m.Raw }) {
			listed = append(listed, m)
		}
	}
	return listed, nil
}

// listOnce asks once. What the server would not tell this time is as the archive knows it.
func (x *export) listOnce(ctx context.Context) (list []session.Mailbox, answered bool, err error) {
	var listing *session.Listing
	err = x.store.during(ctx, func(ctx context.Context) error {
		return x.link.do(ctx, func(src server) (err error) {
			listing, err = src.List(ctx)
			return err
		})
	})
	if err != nil {
		return nil, false, err
	}
	x.statusAsked = listing.StatusAsked
	known := x.knownMailboxes()
	for i := range listing.Mailboxes {
		m := &listing.Mailboxes[i]
		old := known[m.Raw]
		if old != nil && !listing.SubscriptionsKnown {
			m.Subscribed = old.Subscribed
		}
		if old != nil && !listing.RolesKnown {
			m.Attrs = withRoles(m.Attrs, old)
		}
	}
	return listing.Mailboxes, listing.Answered, nil
}

// knownMailboxes are the mailboxes of the archive by their raw names.
func (x *export) knownMailboxes() map[string]*archive.Mailbox {
	known := make(map[string]*archive.Mailbox)
	for _, m := range x.catalog.Mailboxes() {
		known[m.Raw] = m
	}
	return known
}

// withRoles adds the roles (RFC 6154) that a mailbox is known to have.
func withRoles(attrs []string, known *archive.Mailbox) []string {
	for _, role := range specialUses() {
		has := func(attr string) bool { return strings.EqualFold(attr, role) }
		if known.HasAttr(role) && !slices.ContainsFunc(attrs, has) {
			attrs = append(attrs, role)
		}
	}
	return attrs
}

// specialUses are the attributes that give a mailbox a role (RFC 6154, RFC 8457).
func specialUses() []string {
	return []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`, `\Important`}
}

// leftServer are the mailboxes that the archive takes to be on the server and LIST has not.
func leftServer(c *archive.Catalog, listed []session.Mailbox) (gone []*archive.Mailbox) {
	there := make(map[string]bool, len(listed))
	for i := range listed {
		there[listed[i].Raw] = true
	}
	for _, m := range c.Mailboxes() {
		if m.Listed && !there[m.Raw] {
			gone = append(gone, m)
		}
	}
	return gone
}

// choose applies the patterns. INBOX comes first, the others in the server's order.
func (x *export) choose(listed []session.Mailbox) ([]source, error) {
	set := glob.NewSet(x.opts.Include, x.opts.Exclude)
	var chosen []source
	for _, m := range listed {
		info := mailboxInfo(&m)
		if m.Foreign {
			x.result.Foreign++
		} else if set.Has(info.Name()) {
			chosen = append(chosen, source{Mailbox: m, info: info, fault: fault(&m)})
		}
	}
	if err := set.Unused(); err != nil {
		return nil, &UsageError{fmt.Sprintf("%v; %s", err, knownNames(listed))}
	}
	if len(chosen) == 0 {
		return nil, &UsageError{"the patterns leave no mailbox to copy"}
	}
	x.result.Skipped = len(listed) - len(chosen) - x.result.Foreign
	slices.SortStableFunc(chosen, func(a, b source) int {
		return b2i(b.info.Name() == "INBOX") - b2i(a.info.Name() == "INBOX")
	})
	return chosen, nil
}

// fault says why a mailbox cannot be copied at all.
func fault(m *session.Mailbox) string {
	if len(m.Raw)+len(m.Name)+len(strings.Join(m.Attrs, "")) > maxName {
		return fmt.Sprintf("its name and attributes have more than %s octets", humane.Count(maxName))
	}
	return ""
}

// cutName shortens the name of a mailbox that has a fault.
func cutName(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// knownNames tells a user who mistyped a name what there is.
func knownNames(listed []session.Mailbox) string {
	const some = 20
	var names []string
	for i := range listed {
		info := mailboxInfo(&listed[i])
		names = append(names, fmt.Sprintf("%q", info.Name()))
	}
	slices.Sort(names)
	if len(names) > some {
		names = append(names[:some], "…")
	}
	return "there are " + strings.Join(names, ", ")
}

// mailboxInfo is a LIST answer as the archive takes it.
func mailboxInfo(m *session.Mailbox) archive.MailboxInfo {
	return archive.MailboxInfo{
		Path: levels(m.Name, m.Delim), Raw: m.Raw, Delim: m.Delim, Attrs: m.Attrs, Subscribed: m.Subscribed,
	}
}

// levels splits a name. A delimiter at the end makes no level of its own; INBOX, which is compared
// without case (RFC 9051, section 5.1), is always written in capitals.
func levels(name, delim string) []string {
	if strings.EqualFold(name, "INBOX") {
		return []string{"INBOX"}
	}
	if delim == "" {
		return []string{name}
	}
	path := strings.Split(name, delim)
	for len(path) > 1 && path[len(path)-1] == "" {
		path = path[:len(path)-1]
	}
	return path
}

// noteMailboxes records what LIST said and gives each chosen mailbox its number in the archive.
func (x *export) noteMailboxes(listed []session.Mailbox, chosen []source) error {
	known := x.knownMailboxes()
	if x.opts.DryRun {
		for i := range chosen {
			if m := known[chosen[i].Raw]; m != nil {
				chosen[i].id = m.ID
			}
		}
		return nil
	}
	for i := range chosen {
		if chosen[i].fault != "" {
			continue
		}
		m, err := x.store.w.SetMailbox(chosen[i].info)
		if err != nil {
			return fmt.Errorf("record mailbox %q: %w", chosen[i].info.Name(), err)
		}
		chosen[i].id = m.ID
	}
	for i := range listed {
		m := &listed[i]
		if known[m.Raw] == nil || fault(m) != "" {
			continue
		}
		if _, err := x.store.w.SetMailbox(mailboxInfo(m)); err != nil {
			return fmt.Errorf("record mailbox %q: %w", m.Name, err)
		}
	}
	return x.noteUnlisted(listed)
}

// noteUnlisted records which mailboxes have left the server. It looks at all that are listed, not
// only at those chosen.
func (x *export) noteUnlisted(listed []session.Mailbox) error {
	gone, others := leftServer(x.catalog, listed), 0
	for _, m := range listed {
		others += b2i(!strings.EqualFold(m.Raw, "INBOX"))
	}
	if len(gone) > 0 && others == 0 {
		x.result.Changed = append(x.result.Changed, fmt.Sprintf(
			"the server lists nothing but INBOX, where there were %s other mailboxes; they were not marked as gone", humane.Count(len(gone))))
		return nil
	}
	for _, m := range gone {
		if err := x.store.w.SetUnlisted(m.ID); err != nil {
			return fmt.Errorf("record that mailbox %q is gone: %w", m.Name(), err)
		}
		x.result.Unlisted = append(x.result.Unlisted, m.Name())
	}
	return nil
}

// selectable leaves out the mailboxes that cannot be opened.
func (x *export) selectable(chosen []source) []source {
	return slices.DeleteFunc(chosen, func(s source) bool {
		// What had mail once is opened whatever LIST says, so that its end is noticed.
		return (s.info.HasAttr(`\Noselect`) || s.info.HasAttr(`\NonExistent`)) && len(x.catalog.Current(s.id)) == 0
	})
}
