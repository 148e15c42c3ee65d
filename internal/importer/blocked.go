package importer

import (
	"context"
	"fmt"
	"slices"
)

// lookCloser fetches what could be a missing message though its octets cannot be equal: servers add
// header fields or deliver a notice in place of a message, and keep the date. What then belongs to
// earlier entries is taken by them.
func (s *search) lookCloser(ctx context.Context) error {
	missing := s.missing()
	if len(missing) == 0 {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(s.pool), func(c *candidate) bool {
		return c.taken || c.digest != nil || c.unreadable || c.uid < s.from
	})
	if len(rest) > fewCandidates {
		rest = slices.DeleteFunc(rest, func(c *candidate) bool {
			return !slices.ContainsFunc(missing, func(cl *claim) bool { return cl.sameDay(c) })
		})
	}
	if err := s.fetch(ctx, rest); err != nil {
		return err
	}
	if err := s.assignExact(ctx); err != nil {
		return err
	}
	if err := s.assignAltered(ctx); err != nil {
		return err
	}
	return s.bid(ctx, func(c *candidate) bool {
		return c.digest != nil && slices.ContainsFunc(s.missing(), func(cl *claim) bool { return cl.sameDay(c) })
	})
}

// sameDay reports whether a candidate lies where the claim's message can be and has its INTERNALDATE.
func (cl *claim) sameDay(c *candidate) bool {
	return cl.within(c) && !cl.date.IsZero() && equalDate(c.date, cl.date)
}

// blocked says which message of the target may be the one in doubt though its octets do not say so: one
// the server does not give, or one that came with the same INTERNALDATE or Message-ID and is nobody's.
// "" means that the message is not there.
func (s *search) blocked(ctx context.Context, cl *claim) (string, error) {
	d, err := s.shape(ctx, s.items[cl].msg)
	if err != nil && !damaged(err) {
		return "", err
	}
	from := s.bound(s.items[cl].entry)
	for _, c := range s.pool {
		fits := c.size == cl.size || d != nil && d.couldBe().has(c.size)
		switch {
		case c.taken || c.uid < from:
		case c.unreadable && fits:
			return fmt.Sprintf("it may have been stored: the target does not give UID %d, which may be it", c.uid), nil
		case cl.sameDay(c) || d != nil && c.digest != nil && d.id != "" && d.id == c.digest.id:
			return fmt.Sprintf("it may have been stored and changed by the target: UID %d there has the same date or "+
				"Message-ID (remove that one to have this one sent again)", c.uid), nil
		}
	}
	return "", nil
}
