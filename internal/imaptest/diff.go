package imaptest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Diff lists every difference between two accounts, nil if there is none. Mailboxes are matched level
// by level, whatever the delimiter and the prefix of each side. Compared are names, roles and
// subscriptions, and for each mailbox the multiset of (SHA-256, instant of INTERNALDATE, flags and
// keywords). A mailbox that cannot be selected equals one that does not exist or is empty.
func Diff(a, b Snapshot) []string {
	left, right := a.byPath(), b.byPath()
	var paths []string
	for p := range left {
		paths = append(paths, p)
	}
	for p := range right {
		if _, both := left[p]; !both {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var diffs []string
	for _, p := range paths {
		diffs = append(diffs, diffMailbox(strings.ReplaceAll(p, "\x00", " / "), left[p], right[p])...)
	}
	return diffs
}

// byPath keys the mailboxes by their levels, joined by NUL.
func (s Snapshot) byPath() map[string]*MailboxSnapshot {
	byPath := make(map[string]*MailboxSnapshot, len(s.Mailboxes))
	for i := range s.Mailboxes {
		m := &s.Mailboxes[i]
		name := m.Name
		if name != "INBOX" {
			name = strings.TrimPrefix(name, s.Prefix)
		}
		if s.Delim != "" {
			name = strings.ReplaceAll(name, s.Delim, "\x00")
		}
		byPath[name] = m
	}
	return byPath
}

func diffMailbox(name string, a, b *MailboxSnapshot) []string {
	empty := func(m *MailboxSnapshot) bool { return m == nil || m.NoSelect }
	switch {
	case empty(a) && empty(b):
		return nil
	case a == nil:
		return onlyOn("right", name, b, nil)
	case b == nil:
		return onlyOn("left", name, a, nil)
	case a.NoSelect:
		return onlyOn("right", name, b, a)
	case b.NoSelect:
		return onlyOn("left", name, a, b)
	}
	var diffs []string
	if a.Role != b.Role {
		diffs = append(diffs, fmt.Sprintf("%s: role %q, right %q", name, a.Role, b.Role))
	}
	if a.Subscribed != b.Subscribed {
		diffs = append(diffs, fmt.Sprintf("%s: subscribed %v, right %v", name, a.Subscribed, b.Subscribed))
	}
	return append(diffs, diffMessages(name, a.Messages, b.Messages)...)
}

// onlyOn reports a mailbox of one side. An empty one is no difference where the other side has at
// least the level.
func onlyOn(side, name string, m, level *MailboxSnapshot) []string {
	if level != nil && len(m.Messages) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: only on the %s, with %d messages", name, side, len(m.Messages))}
}

func diffMessages(name string, a, b []MessageSnapshot) []string {
	count := map[string]int{}
	sample := map[string]string{}
	for _, m := range a {
		count[m.key()]++
		sample[m.key()] = m.String()
	}
	for _, m := range b {
		count[m.key()]--
		sample[m.key()] = m.String()
	}
	var diffs []string
	for key, n := range count {
		switch {
		case n > 0:
			diffs = append(diffs, fmt.Sprintf("%s: %d more on the left: %s", name, n, sample[key]))
		case n < 0:
			diffs = append(diffs, fmt.Sprintf("%s: %d more on the right: %s", name, -n, sample[key]))
		}
	}
	slices.Sort(diffs)
	return diffs
}

func (m MessageSnapshot) key() string {
	return fmt.Sprint(m.SHA256, m.InternalDate.Unix(), m.Flags)
}

// String describes a message in a difference.
func (m MessageSnapshot) String() string {
	return fmt.Sprintf("UID %d, %d octets, SHA-256 %.12s…, %s, %v",
		m.UID, m.Size, m.SHA256, m.InternalDate.UTC().Format(time.DateTime), m.Flags)
}
