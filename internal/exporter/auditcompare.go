package exporter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/humane"
	"mailark/internal/session"
)

// comparison is the difference between a listing and what the archive has under the same UIDVALIDITY.
type comparison struct {
	listing       *listing
	key           archive.Key // of the epoch; Epoch 0 if the archive has none with this UIDVALIDITY; UID 0
	renumbered    bool        // the archive's newest epoch has another UIDVALIDITY
	contradiction string      // the server contradicts itself; "" if it does not

	figures     AuditFigures
	archived    []uint32 // listed and archived
	differing   []uint32 // of those
	missing     []uint32
	vanished    []uint32
	refused     []Refused    // without mailbox
	differences []Difference // without mailbox
}

// compare goes through all UIDs of both sides. refusals are the archive's.
func (c *comparison) compare(catalog *archive.Catalog, refusals map[archive.Key]string) {
	f := &c.figures
	f.Exists, f.Listed = int64(c.listing.selected.Exists), len(c.listing.messages)
	for i := range c.listing.messages {
		meta := &c.listing.messages[i]
		k := c.key
		k.UID = meta.UID
		msg := catalog.Message(k)
		text, isRefused := refusals[k]
		switch {
		case msg != nil:
			c.archived = append(c.archived, meta.UID)
			c.message(msg, meta)
		case isRefused:
			c.refused = append(c.refused, Refused{UID: meta.UID, Text: text})
		default:
			c.missing = append(c.missing, meta.UID)
			f.MissingOctets += max(meta.Size, 0)
		}
	}
	f.Archived, f.Missing, f.Refused = len(c.archived), len(c.missing), len(c.refused)
	if c.key.Mailbox == 0 {
		return
	}
	for msg := range catalog.Messages(c.key.Mailbox) {
		switch {
		case msg.Epoch != c.key.Epoch || c.listing.has(msg.UID):
		case msg.Gone:
			f.Gone++
		case c.listing.sound():
			c.vanished = append(c.vanished, msg.UID)
		}
	}
	slices.Sort(c.vanished)
	f.Vanished = len(c.vanished)
}

// message compares what is listed of a message with its record.
func (c *comparison) message(msg *archive.Message, meta *session.Meta) {
	f := &c.figures
	before := len(c.differences)
	differ := func(what, server, archive string) {
		c.differences = append(c.differences, Difference{UID: meta.UID, What: what, Server: server, Archive: archive})
	}
	if msg.Gone {
		f.Back++
		differ("gone", "is there", "has left the server")
	}
	switch {
	case meta.NoFlags:
		f.FlagsUntold++
	case !sameFlags(msg.Flags, meta.Flags):
		f.OtherFlags++
		differ("flags", flagText(meta.Flags), flagText(msg.Flags))
	}
	switch on, in := meta.InternalDate, msg.InternalDate; {
	case !on.Equal(in):
		f.OtherDate++
		f.LooksOther += b2i(looksOther(msg, meta))
		differ("date", dateText(on), dateText(in))
	case on.Format("-0700") != in.Format("-0700"):
		f.ZoneDiffers++
	}
	f.SizeDiffers += b2i(meta.Size != msg.Size && !meta.Estimate)
	if len(c.differences) > before {
		f.Differing++
		c.differing = append(c.differing, meta.UID)
	}
	c.differences = c.differences[:min(len(c.differences), maxDifferences)]
}

// doubts say why the listing does not suffice. all: the octets of every message are compared too.
func (c *comparison) doubts(all bool) []string {
	var list []string
	if c.contradiction != "" {
		list = append(list, c.contradiction)
	}
	if !c.listing.sound() {
		list = append(list, fmt.Sprintf("the server says %s messages but lists %s, so nothing is known of the others",
			humane.Count(c.listing.selected.Exists), humane.Count(c.figures.Listed)))
	}
	if n := c.figures.FlagsUntold; n > 0 {
		list = append(list, fmt.Sprintf("the server tells no flags for %s", humane.Plural(n, "message")))
	}
	if c.listing.selected.UIDValidity == 0 && c.figures.Archived > 0 && !all {
		list = append(list, "the server gives no UIDVALIDITY, so equal UIDs prove nothing; --sample all compares the octets")
	}
	return list
}

func flagText(flags []string) string {
	if set := flagSet(flags); len(set) > 0 {
		return strings.Join(set, " ")
	}
	return "none"
}

func dateText(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Format("2006-01-02 15:04:05 -0700")
}
