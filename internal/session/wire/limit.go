package wire

import (
	"bytes"
	"errors"
	"slices"
)

const (
	// maxFlag and maxFlags are the octets of one flag, and of all flags of a message, that are believed.
	maxFlag  = 1 << 10
	maxFlags = 64 << 10
)

// ErrTooMuch ends a connection whose server says more than it may; see Limit.
var ErrTooMuch = errors.New("the server lists far more than it had announced")

// allowance is how much a server may still say.
type allowance struct{ lines, octets int64 }

// Limit allows the server so many responses and octets of them, literals not counted; more than that
// ends the connection. The returned function takes the limit away.
func (c *Conn) Limit(lines, octets int64) (stop func()) {
	c.allowed.Store(&allowance{lines, octets})
	return func() { c.allowed.Store(nil) }
}

// spend counts a line of the server. Only the reader calls it.
func (c *Conn) spend(l []byte, start bool) {
	a := c.allowed.Load()
	if a == nil {
		return
	}
	a.octets -= int64(len(l))
	if start {
		a.lines--
	}
	if a.lines < 0 || a.octets < 0 {
		_ = c.Fail(ErrTooMuch)
	}
}

// dropAbsurdFlags takes out of a FETCH answer what no mail program ever set. The client above holds
// many answers at once, and a flag of two octets costs it thirty.
func dropAbsurdFlags(c *Conn, l []byte) []byte {
	const open = "FLAGS ("
	if len(l) <= maxFlag || !isFetch(l) {
		return l
	}
	first := bytes.Index(bytes.ToUpper(l), []byte(open)) + len(open)
	if first < len(open) || bytes.IndexByte(l[:first], '"') >= 0 {
		return l
	}
	size := bytes.IndexByte(l[first:], ')')
	if size < 0 {
		return l
	}
	var kept []byte
	dropped := 0
	for flag := range bytes.FieldsSeq(l[first : first+size]) {
		if len(flag) > maxFlag || len(kept)+len(flag) >= maxFlags {
			dropped++
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, ' ')
		}
		kept = append(kept, flag...)
	}
	if dropped == 0 {
		return l
	}
	c.log.Warn("flags of absurd size dropped", "flags", dropped)
	return slices.Concat(l[:first], kept, l[first+size:])
}
