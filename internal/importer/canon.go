package importer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"hash"
	"io"
	"slices"

	"mailark/archive"
)

// digest is what is compared of a message: its octets, and its canonical form, which is the same for
// all that servers are known to do to octets on the way in: bare LF becomes CRLF or the other way round,
// a bare CR or the newlines at the end go, a NUL becomes 0x80 (RFC 9051, section 4.3 knows no NUL).
//
// The canonical form is the message without CRs, with 0x80 for NUL, and without newlines at its end.
type digest struct {
	sum   archive.Sum
	size  int64
	canon archive.Sum

	canonSize int64
	crs, lfs  int64  // in the message as it is
	altered   bool   // a server may alter it: the message is not lines that end with CRLF, and no NUL
	id        string // Message-ID, "" if there is none near the top
}

// couldBe is the sizes a message with the same canonical form can have.
func (d *digest) couldBe() span {
	// A server makes at most a CRLF of every LF or CR, and adds one at the end.
	return span{d.canonSize, d.canonSize + 2*(d.lfs+d.crs) + 2}
}

// looselyAlike is couldBe for a message of which only the size is known.
func looselyAlike(size int64) span { return span{(size - 2) / 2, 2*size + 2} }

// span is a range of sizes, both ends included.
type span struct{ low, high int64 }

func (s span) has(size int64) bool { return size >= s.low && size <= s.high }

// spans is a set of sizes; merged makes it fit for has.
type spans []span

// merged sorts and joins what overlaps.
func (s spans) merged() spans {
	slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	var out spans
	for _, next := range s {
		if n := len(out); n > 0 && next.low <= out[n-1].high {
			out[n-1].high = max(out[n-1].high, next.high)
			continue
		}
		out = append(out, next)
	}
	return out
}

func (s spans) has(size int64) bool {
	i, found := slices.BinarySearchFunc(s, size, func(a span, size int64) int { return cmp.Compare(a.low, size) })
	return found || i > 0 && s[i-1].has(size)
}

// digester computes a digest from octets as they pass. The zero value is not ready; use newDigester.
type digester struct {
	raw, canon hash.Hash
	d          digest
	newlines   int64 // LFs seen that may turn out to be at the end
	last       byte
	bare       bool // a CR without LF, LF without CR, or NUL has been seen
	top        []byte
}

// topOctets is how much of a message is searched for its Message-ID.
const topOctets = 32 << 10

func newDigester() *digester {
	return &digester{raw: sha256.New(), canon: sha256.New()}
}

// Write never fails.
func (g *digester) Write(p []byte) (int, error) {
	g.raw.Write(p)
	g.top = append(g.top, p[:min(len(p), topOctets-len(g.top))]...)
	g.d.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		i := bytes.IndexAny(rest, "\r\n\x00")
		if i < 0 {
			i = len(rest)
		}
		g.text(rest[:i])
		if i == len(rest) {
			break
		}
		g.special(rest[i])
		rest = rest[i+1:]
	}
	return len(p), nil
}

// text takes octets that are the same in the canonical form.
func (g *digester) text(p []byte) {
	if len(p) == 0 {
		return
	}
	g.bare = g.bare || g.last == '\r'
	g.flush()
	g.canon.Write(p)
	g.d.canonSize += int64(len(p))
	g.last = p[len(p)-1]
}

func (g *digester) special(c byte) {
	switch c {
	case '\r':
		g.bare = g.bare || g.last == '\r'
		g.d.crs++
	case '\n':
		g.bare = g.bare || g.last != '\r'
		g.d.lfs++
		g.newlines++
	case 0:
		g.bare = true
		g.text([]byte{0x80})
	}
	g.last = c
}

// flush writes newlines that are followed by something.
func (g *digester) flush() {
	for g.newlines > 0 {
		n := min(g.newlines, 4096)
		g.canon.Write(bytes.Repeat([]byte{'\n'}, int(n)))
		g.d.canonSize += n
		g.newlines -= n
	}
}

// digest ends the message.
func (g *digester) digest() *digest {
	d := g.d
	g.raw.Sum(d.sum[:0])
	g.canon.Sum(d.canon[:0])
	d.id = messageID(g.top)
	d.altered = g.bare || g.newlines != 1 || g.last != '\n'
	return &d
}

// messageID is the value of the first Message-ID field of a header (RFC 5322, section 3.6.4), or "".
func messageID(top []byte) string {
	const name = "message-id:"
	for line := range bytes.Lines(top) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return ""
		}
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return string(bytes.TrimSpace(line[len(name):]))
		}
	}
	return ""
}

// digestOf reads a message to its end.
func digestOf(r io.Reader) (*digest, error) {
	g := newDigester()
	if _, err := io.CopyBuffer(writerOnly{g}, r, make([]byte, 64<<10)); err != nil {
		return nil, err
	}
	return g.digest(), nil
}

// writerOnly hides every method but Write, so that io.CopyBuffer uses its buffer.
type writerOnly struct{ io.Writer }
