package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Quirk is one odd way in which a real server answers.
type Quirk struct {
	ID   string // in quirks.md and goimap-quirks.md; a suffix names a variant
	Does string // what the server does, for people

	Lost    []Key    // messages that nobody can get from such a server
	Gone    []Key    // messages that are expunged meanwhile
	Closed  []string // mailboxes, as QuirkMailbox.Name, that nobody can open
	NoEntry bool     // nobody can get in

	account  func(boxes []*QuirkMailbox) []*QuirkMailbox // what is different in the account
	greeting string
	caps     string
	space    string                                         // answer to NAMESPACE
	list     func(m *QuirkMailbox) string                   // a LIST answer without "* LIST "; "": the usual one
	opened   func(c *quirkConn, m *QuirkMailbox) string     // what EXAMINE says before its OK
	command  func(c *quirkConn, name, args string) bool     // true: it has answered
	meta     func(c *quirkConn, seq int, m *Message) string // whole lines; "": the usual one
	body     func(c *quirkConn, seq int, m *Message) string // whole lines; "": the usual one
	order    func(list []int)                               // of the messages in an answer
	lower    bool                                           // answers are in lower case
	code     func(kind, code, text string) string           // a status response behind the tag
}

// QuirkMailbox is one of the mailboxes of a quirky account.
type QuirkMailbox struct {
	Name     string // as people read it, levels joined by "/"
	Raw      string // the octets on the wire
	Attrs    string
	Validity uint32
	Messages []Message // an InternalDate of zero: none that makes sense

	mu sync.Mutex
}

// list is the messages there are now.
func (m *QuirkMailbox) list() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Messages
}

// expunge takes a message out, and says at which number it was; 0: it is not there.
func (m *QuirkMailbox) expunge(uid uint32) (seq int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	isIt := func(msg Message) bool { return msg.UID == uid }
	seq = slices.IndexFunc(m.Messages, isIt) + 1
	m.Messages = slices.DeleteFunc(slices.Clone(m.Messages), isIt)
	return seq
}

// QuirkServer plays one quirk with a small account of 60 messages in 6 mailboxes.
type QuirkServer struct {
	Addr  string
	Boxes []*QuirkMailbox

	quirk Quirk
	ln    net.Listener
	wait  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool
	count map[string]int
}

// StartQuirk starts a server. The caller must call Close.
func StartQuirk(q Quirk) (*QuirkServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, fmt.Errorf("start quirky server: %w", err)
	}
	s := &QuirkServer{Addr: ln.Addr().String(), Boxes: quirkAccount(), quirk: q, ln: ln, conns: map[net.Conn]bool{}, count: map[string]int{}}
	if q.account != nil {
		s.Boxes = q.account(s.Boxes)
	}
	s.wait.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			s.wait.Go(func() {
				defer s.forget(conn)
				(&quirkConn{s: s, q: &s.quirk, conn: conn, r: bufio.NewReader(conn)}).serve()
			})
		}
	})
	return s, nil
}

// Close ends all connections.
func (s *QuirkServer) Close() error {
	err := s.ln.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
	return err
}

// forget closes a connection that is over.
func (s *QuirkServer) forget(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// open is the number of connections.
func (s *QuirkServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// times counts over all connections how often it was called with a key, this time included.
func (s *QuirkServer) times(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[key]++
	return s.count[key]
}

// quirkAccount makes the account. The mailbox in Japanese is in modified UTF-7.
func quirkAccount() []*QuirkMailbox {
	boxes := []*QuirkMailbox{
		{Name: "INBOX", Raw: "INBOX"}, {Name: "Sent", Raw: "Sent"}, {Name: "Archive/2021", Raw: "Archive/2021"}, {Name: "Drafts", Raw: "Drafts"},
		{Name: "お知らせ", Raw: "&MEp35TCJMFs-"}, {Name: "Empty", Raw: "Empty"},
	}
	for i, n := range []int{24, 12, 10, 8, 6, 0} {
		boxes[i].Validity = uint32(1_500_000_001 + i)
		for k := range n {
			boxes[i].Messages = append(boxes[i].Messages, quirkMessage(i, k))
		}
	}
	return boxes
}

func quirkMessage(box, k int) Message {
	text := fmt.Sprintf("Message-ID: <%d.%d@example.org>\r\nSubject: %d in %d\r\nX-Odd: a7 OK FETCH completed\r\n\r\n", box, k, k, box)
	for line := range 3 + 7*k {
		text += fmt.Sprintf("line %d of message %d in mailbox %d) * 1 FETCH (UID {3}\r\n", line, k, box)
	}
	m := Message{
		UID: uint32(10 + 3*k), Octets: []byte(text), //nolint:gosec // G115: a few dozen
		InternalDate: time.Date(2001+box, time.Month(1+k%12), 1+k, 4, 5, 6, 0, time.FixedZone("", 9*3600)),
	}
	if k%2 == 0 {
		m.Flags = append(m.Flags, `\Seen`)
	}
	if k%3 == 0 {
		m.Flags = append(m.Flags, "$Forwarded")
	}
	return m
}

// quirkConn is one connection.
type quirkConn struct {
	s      *QuirkServer
	q      *Quirk
	conn   net.Conn
	r      *bufio.Reader
	tag    string
	box    *QuirkMailbox
	isIn   bool
	hasID  bool
	closed bool
	bodies int
}

func (c *quirkConn) serve() {
	greeting, end := c.greet()
	c.say(greeting)
	if end {
		c.hangUp()
	}
	for !c.closed {
		line, err := c.readCommand()
		if err != nil {
			return
		}
		var rest string
		c.tag, rest, _ = strings.Cut(line, " ")
		name, args, _ := strings.Cut(rest, " ")
		if name = strings.ToUpper(name); name == "UID" {
			var sub string
			sub, args, _ = strings.Cut(args, " ")
			name += " " + strings.ToUpper(sub)
		}
		if c.q.command == nil || !c.q.command(c, name, args) {
			c.answer(name, args)
		}
	}
}

// readCommand reads a line, with literals in place.
func (c *quirkConn) readCommand() (string, error) {
	var command strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		at := strings.LastIndexByte(line, '{')
		if at < 0 || !strings.HasSuffix(line, "}") {
			command.WriteString(line)
			return command.String(), nil
		}
		size, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(line[at+1:], "}"), "+"))
		if err != nil || size > 1<<20 {
			return "", io.ErrUnexpectedEOF
		}
		if !strings.HasSuffix(line, "+}") {
			c.say("+ go on\r\n")
		}
		octets := make([]byte, size)
		if _, err := io.ReadFull(c.r, octets); err != nil {
			return "", err
		}
		command.WriteString(line[:at] + string(octets))
	}
}

func (c *quirkConn) say(text string) {
	if c.closed {
		return
	}
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.closed = true
	}
}

// hangUp ends the connection.
func (c *quirkConn) hangUp() {
	_ = c.conn.Close()
	c.closed = true
}

// status answers the command. code may be "".
func (c *quirkConn) status(kind, code, text string) {
	line := kind + " " + text
	if code != "" {
		line = kind + " [" + code + "] " + text
	}
	if c.q.code != nil {
		line = c.q.code(kind, code, text)
	}
	if c.q.lower {
		line = strings.ToLower(line)
	}
	c.say(c.tag + " " + line + "\r\n")
}

func (c *quirkConn) ok(text string) { c.status("OK", "", text) }

func (c *quirkConn) capabilities() string {
	if c.q.caps != "" {
		return c.q.caps
	}
	return "IMAP4rev1 AUTH=PLAIN ID NAMESPACE"
}

func (c *quirkConn) answer(name, args string) {
	untagged := ""
	switch name {
	case "CAPABILITY":
		untagged = "* CAPABILITY " + c.capabilities()
	case "AUTHENTICATE":
		c.say("+ \r\n")
		if _, err := c.r.ReadString('\n'); err != nil {
			c.closed = true
			return
		}
		c.isIn = true
	case "LOGIN":
		c.isIn = true
	case "ID":
		c.hasID, untagged = true, `* ID ("name" "quirky" "vendor" NIL)`
	case "NAMESPACE":
		if untagged = c.q.space; untagged == "" {
			untagged = `* NAMESPACE (("" "/")) NIL NIL`
		}
	case "LIST":
		c.list(args)
		return
	case "LSUB", "NOOP":
	case "STATUS":
		c.statusOf(args)
		return
	case "EXAMINE":
		c.examine(args)
		return
	case "UID FETCH":
		c.fetch(args)
		return
	case "LOGOUT":
		c.say("* BYE see you\r\n")
		c.ok("LOGOUT")
		c.hangUp()
		return
	default:
		c.status("BAD", "", "unknown command")
		return
	}
	if untagged != "" {
		c.untagged(untagged)
	}
	c.ok(name + " completed")
}

// untagged sends a line; the names and codes in it are lower case if that is the quirk.
func (c *quirkConn) untagged(line string) {
	if c.q.lower && !strings.HasPrefix(line, "* LIST") {
		line = strings.ToLower(line)
	} else if c.q.lower {
		line = "* list" + strings.TrimPrefix(line, "* LIST")
	}
	c.say(line + "\r\n")
}

func (c *quirkConn) list(args string) {
	if strings.HasPrefix(args, `"" ""`) {
		c.untagged(`* LIST (\Noselect) "/" ""`)
		c.ok("LIST completed")
		return
	}
	for _, m := range c.s.Boxes {
		line := ""
		if c.q.list != nil {
			line = c.q.list(m)
		}
		if line == "" {
			line = fmt.Sprintf(`(%s) "/" "%s"`, m.Attrs, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(m.Raw))
		}
		c.untagged("* LIST " + line)
	}
	c.ok("LIST completed")
}

// find takes a mailbox name as it is on the wire. INBOX is compared without case.
func (c *quirkConn) find(args string) *QuirkMailbox {
	var name string
	if rest, quoted := strings.CutPrefix(args, `"`); quoted {
		name, _, _ = strings.Cut(strings.ReplaceAll(strings.ReplaceAll(rest, `\\`, "\x01"), `\"`, "\x02"), `"`)
		name = strings.NewReplacer("\x01", `\`, "\x02", `"`).Replace(name)
	} else if i := slices.IndexFunc(c.s.Boxes, func(m *QuirkMailbox) bool { return m.Raw == args }); i >= 0 {
		return c.s.Boxes[i]
	} else {
		name, _, _ = strings.Cut(args, " ")
	}
	for _, m := range c.s.Boxes {
		if m.Raw == name || strings.EqualFold(m.Raw, "INBOX") && strings.EqualFold(name, "INBOX") {
			return m
		}
	}
	return nil
}

func (c *quirkConn) statusOf(args string) {
	m := c.find(args)
	if m == nil {
		c.status("NO", "NONEXISTENT", "no such mailbox")
		return
	}
	c.untagged(fmt.Sprintf(`* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)`, m.Raw, len(m.list()), m.next(), m.Validity))
	c.ok("STATUS completed")
}

func (m *QuirkMailbox) next() uint32 {
	list := m.list()
	if len(list) == 0 {
		return 1
	}
	return list[len(list)-1].UID + 1
}

func (c *quirkConn) examine(args string) {
	m := c.find(args)
	if m == nil || slices.Contains(c.q.Closed, m.Name) {
		c.box = nil
		c.status("NO", "", "Mailbox does not exist, or must be subscribed to.")
		return
	}
	c.box = m
	text := ""
	if c.q.opened != nil {
		text = c.q.opened(c, m)
	}
	if text == "" {
		text = openedText(m, m.Validity, m.next())
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		c.untagged(line)
	}
	c.status("OK", "READ-ONLY", "EXAMINE completed")
}

func openedText(m *QuirkMailbox, validity, next uint32) string {
	return fmt.Sprintf("* FLAGS (\\Seen \\Flagged $Forwarded)\r\n* OK [PERMANENTFLAGS ()] none\r\n* %d EXISTS\r\n* 0 RECENT\r\n"+
		"* OK [UIDVALIDITY %d] valid\r\n* OK [UIDNEXT %d] next\r\n", len(m.list()), validity, next)
}
