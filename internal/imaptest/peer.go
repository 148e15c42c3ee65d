package imaptest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mailark/internal/session/wire"
)

// peer is the server's end of one connection. It stands between imapserver and the network, sees
// both streams above TLS, keeps the record of commands, and does what imapserver cannot: STARTTLS in
// view of the record, ID, and the faults that show in octets.
type peer struct {
	net.Conn // TLS or TCP
	raw      net.Conn
	server   *Server
	number   int
	isTLS    bool

	in     wire.Scanner
	queue  []token
	sasl   bool // the next lines belong to AUTHENTICATE
	mute   bool // nothing is answered any more
	hollow bool // Faults.Hollow
	skip   bool // the command being read was answered already

	entered atomic.Bool // it counts among the open ones

	appendFault AppendFault
	cond        condStore

	outMu sync.Mutex
	out   wire.Scanner
	left  int64 // octets until the connection ends; < 0: no end
}

// token is a line or a piece of a literal from the client.
type token struct {
	octets []byte
	line   bool
	start  bool
	size   int64 // of the literal the line announces, -1 for none
}

func newPeer(s *Server, raw net.Conn, number int) *peer {
	return &peer{Conn: raw, raw: raw, server: s, number: number, left: -1}
}

// secure starts TLS; the handshake comes with the first octet.
func (p *peer) secure() {
	p.Conn = tls.Server(p.Conn, p.server.tlsConfig())
	p.isTLS = true
}

// Read gives imapserver the client's stream, one line or one piece of a literal at a time.
func (p *peer) Read(b []byte) (int, error) {
	for {
		for len(p.queue) == 0 {
			if err := p.fill(); err != nil {
				return 0, err
			}
		}
		t := &p.queue[0]
		if t.line && !p.pass(t) {
			p.queue = p.queue[1:]
			continue
		}
		if !t.line && p.skip {
			p.queue = p.queue[1:]
			continue
		}
		t.line = false // looked at
		n := copy(b, t.octets)
		if t.octets = t.octets[n:]; len(t.octets) == 0 {
			p.queue = p.queue[1:]
		}
		return n, nil
	}
}

func (p *peer) fill() error {
	buf := make([]byte, 32<<10)
	n, err := p.Conn.Read(buf)
	if n == 0 && err != nil {
		return err
	}
	return p.in.Feed(buf[:n], func(l []byte, start bool) {
		t := token{octets: l, line: true, start: start, size: -1}
		if !p.in.AtStart() {
			t.size = p.in.Literal()
		}
		p.queue = append(p.queue, t)
	}, func(octets []byte) {
		p.queue = append(p.queue, token{octets: octets})
	})
}

// pass looks at a line of the client. It returns false if imapserver shall not see it.
func (p *peer) pass(t *token) bool {
	if !t.start || p.sasl && bytes.IndexByte(bytes.TrimSpace(t.octets), ' ') < 0 {
		hide := p.skip
		if t.size < 0 {
			p.skip = false // the command is complete
		}
		return !hide
	}
	p.skip, p.sasl = false, false
	tag, rest, _ := strings.Cut(strings.TrimRight(string(t.octets), "\r\n"), " ")
	name := commandName(rest)
	p.record(name, rest)
	p.sasl = name == "AUTHENTICATE"
	if p.sasl || name == "LOGIN" {
		p.hollow = p.server.isHollow()
	}
	t.octets = p.takeCondStore(name, t.octets)
	switch {
	case p.mute || p.server.takeCommand(func(f *Faults) map[string]int { return f.Silent }, name):
		p.mute = true
		return p.answered(t, "")
	case p.server.takeCommand(func(f *Faults) map[string]int { return f.Refuse }, name):
		return p.answered(t, tag+" NO "+name+" refused on purpose\r\n")
	case p.hollow && !p.sasl && name != "LOGIN":
		return p.answered(t, tag+" BAD User is authenticated but not connected.\r\n")
	case name == "STARTTLS" && !p.isTLS:
		p.reply(tag + " OK begin TLS\r\n")
		p.secure()
		return false
	case (name == "LOGIN" || name == "AUTHENTICATE") && p.server.opts.RequireTLS && !p.isTLS:
		return p.answered(t, tag+" NO [PRIVACYREQUIRED] not in the clear\r\n")
	case name == "COMPRESS" && p.server.opts.Compress:
		p.reply(tag + " OK both ways from here\r\n")
		p.compress()
		return false
	case name == "ID" && !p.server.opts.NoID:
		p.reply("* ID (\"name\" \"imaptest\" \"support-url\" NIL)\r\n" + tag + " OK ID\r\n")
		return false
	case name == "APPEND":
		return p.passAppend(t, tag, rest)
	}
	return true
}

// answered ends a command that imapserver does not see.
func (p *peer) answered(t *token, answer string) bool {
	if answer != "" {
		p.reply(answer)
	}
	switch {
	case t.size < 0:
	case isPushed(t.octets):
		p.skip = true // the literal comes all the same
	default:
		p.in.Cancel()
	}
	return false
}

// isPushed recognises a literal that the client sends unasked.
func isPushed(l []byte) bool { return bytes.HasSuffix(bytes.TrimRight(l, "\r\n"), []byte("+}")) }

func (p *peer) passAppend(t *token, tag, rest string) bool {
	p.appendFault = p.server.nextAppend(rest, t.size)
	if p.appendFault != AppendRefuseEarly {
		return true
	}
	e := p.server.current().appendAnswer()
	code := ""
	if e.Code != "" {
		code = "[" + string(e.Code) + "] "
	}
	return p.answered(t, fmt.Sprintf("%s %s %s%s\r\n", tag, e.Type, code, e.Text))
}

func commandName(rest string) string {
	words := strings.Fields(rest)
	if len(words) == 0 {
		return ""
	}
	name := strings.ToUpper(words[0])
	if name == "UID" && len(words) > 1 {
		name += " " + strings.ToUpper(words[1])
	}
	return name
}

func (p *peer) record(name, rest string) {
	switch name {
	case "LOGIN":
		rest = "LOGIN …"
	case "AUTHENTICATE":
		words := strings.Fields(rest)
		rest = strings.Join(words[:min(len(words), 2)], " ")
	}
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	p.server.commands = append(p.server.commands, Command{p.number, p.isTLS, name, rest})
}

// reply sends a line of the peer's own, between imapserver's.
func (p *peer) reply(line string) {
	_, _ = p.send([]byte(line)) // imapserver's next Read tells of a lost connection
}

// Write takes imapserver's stream to the client.
func (p *peer) Write(b []byte) (int, error) {
	if p.mute {
		return len(b), nil
	}
	var out []byte
	err := p.out.Feed(b, func(l []byte, start bool) {
		if start {
			l = p.rewrite(l)
		}
		out = append(out, l...)
	}, func(octets []byte) { out = append(out, octets...) })
	if err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	if _, err := p.send(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// rewrite corrects what imapserver says of its capabilities, adds CONDSTORE, and spoils APPENDUID when asked to.
func (p *peer) rewrite(l []byte) []byte {
	l = p.giveCondStore(l)
	line := string(l)
	if strings.HasPrefix(line, "* CAPABILITY ") || strings.Contains(line, "[CAPABILITY ") {
		more := "IMAP4rev1"
		if !p.server.opts.NoID {
			more += " ID"
		}
		if !p.server.opts.NoCondStore {
			more += " CONDSTORE"
		}
		for _, mechanism := range p.server.opts.Mechanisms {
			more += " AUTH=" + mechanism
		}
		if p.server.opts.Compress {
			more += " COMPRESS=DEFLATE"
		}
		if !p.isTLS {
			more += " STARTTLS"
			if p.server.opts.RequireTLS {
				more += " LOGINDISABLED"
				line = strings.Replace(line, " AUTH=PLAIN", "", 1)
			}
		}
		return []byte(strings.Replace(line, "IMAP4rev1", more, 1))
	}
	if before, after, ok := strings.Cut(line, " OK [APPENDUID "); ok {
		_, text, _ := strings.Cut(after, "] ")
		switch {
		case p.appendFault == AppendBadUID:
			return []byte(before + " OK [APPENDUID 0 ] " + text)
		case p.appendFault == AppendNoUID || p.server.opts.NoUIDPlus:
			return []byte(before + " OK " + text)
		}
	}
	return l
}

// cutAfter lets n more octets through and then ends the connection.
func (p *peer) cutAfter(n int64) {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	p.left = n
}

func (p *peer) send(b []byte) (int, error) {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	if p.left >= 0 && int64(len(b)) >= p.left {
		n, err := p.Conn.Write(b[:p.left])
		p.left = 0
		_ = p.Close() // the fault itself
		if err == nil {
			err = net.ErrClosed
		}
		return n, err
	}
	if p.left >= 0 {
		p.left -= int64(len(b))
	}
	return p.Conn.Write(b)
}

// Close implements net.Conn, also for other goroutines: STARTTLS never changes raw.
func (p *peer) Close() error {
	if p.entered.CompareAndSwap(true, false) {
		p.server.leave() // not when imapserver is through with it: it may hang behind a fault
	}
	return p.raw.Close()
}

// SetDeadline implements net.Conn. imapserver's deadlines are not wanted where silence is a fault.
func (p *peer) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (p *peer) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (p *peer) SetWriteDeadline(time.Time) error { return nil }
