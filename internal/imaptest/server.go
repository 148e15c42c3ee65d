package imaptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// ServerOptions are the knobs of NewServer. The zero value is a server that offers all it can.
type ServerOptions struct {
	Users  map[string]string // name → password; nil: user/pw
	Delim  string            // hierarchy delimiter; "": "/"
	NIL    bool              // no hierarchy at all
	Prefix string            // of the personal namespace, "INBOX."; CREATE outside is refused

	NoUIDPlus          bool
	NoLiteralPlus      bool // LITERAL- stays: imapserver cannot do without
	NoListExtended     bool
	NoListStatus       bool
	NoESearch          bool
	NoCondStore        bool
	NoSpecialUse       bool
	NoCreateSpecialUse bool
	NoNamespace        bool
	NoID               bool
	StatusSize         bool     // STATUS=SIZE (RFC 8438)
	RequireTLS         bool     // LOGINDISABLED until TLS
	Compress           bool     // COMPRESS=DEFLATE
	Mechanisms         []string // offered beside PLAIN, and always refused
	AppendLimit        uint32   // largest message, advertised; 0: 100 MiB, not advertised

	CertHost string            // name in the certificate; "": localhost and the loopback addresses
	MaxTLS   uint16            // newest version of TLS, tls.VersionTLS11 say; 0: the newest there is
	NotAfter time.Time         // end of the certificate; zero: in a year
	TuneTLS  func(*tls.Config) // whatever else is odd about it; nil: nothing
}

// Server is an in-memory IMAP server on two loopback ports. It keeps octets, flags, keywords and dates
// exactly as they came.
type Server struct {
	Addr    string // 127.0.0.1:port, plain and STARTTLS
	TLSAddr string // 127.0.0.1:port, implicit TLS
	CAPEM   []byte // the certificate, for RootCAs

	opts     ServerOptions
	cert     *Certificate
	imap     *imapserver.Server
	accounts map[string]*Account
	done     chan struct{}
	serving  sync.WaitGroup

	mu       sync.Mutex
	faults   Faults
	commands []Command
	conns    int
	open     int // connections at this moment, and at most
	peak     int
	appends  int
}

// Command is one command line as the server saw it, without literals and secrets.
type Command struct {
	Conn int    // 1, 2, … in the order of the connections
	TLS  bool   // it came encrypted
	Name string // upper case; "UID FETCH" is one name
	Line string
}

// NewServer starts a server. The caller must call Close.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Users == nil {
		o.Users = map[string]string{"user": "pw"}
	}
	s := &Server{opts: o, accounts: map[string]*Account{}, done: make(chan struct{})}
	var err error
	if s.cert, err = NewCertificate(o.CertHost, o.NotAfter); err != nil {
		return nil, err
	}
	s.CAPEM = s.cert.CertPEM
	for user := range o.Users {
		s.accounts[user] = newAccount(s, user)
	}
	s.imap = imapserver.New(&imapserver.Options{
		NewSession: s.newSession, Caps: s.caps(), Logger: silent{}, InsecureAuth: true,
	})
	if s.Addr, err = s.listen(false); err != nil {
		return nil, err
	}
	if s.TLSAddr, err = s.listen(true); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// silent drops imapserver's log: a connection cut on purpose is no news.
type silent struct{}

func (silent) Printf(string, ...any) {}

func (s *Server) listen(secure bool) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return "", fmt.Errorf("start server: %w", err)
	}
	s.serving.Go(func() {
		_ = s.imap.Serve(&listener{ln, s, secure}) // ends when Close closes ln
	})
	return ln.Addr().String(), nil
}

// Close ends the server and all its connections.
func (s *Server) Close() error {
	close(s.done)
	if err := s.imap.Close(); err != nil {
		return fmt.Errorf("close server: %w", err)
	}
	s.serving.Wait()
	return nil
}

// Account returns the mail of a user; nil if there is no such user.
func (s *Server) Account(user string) *Account { return s.accounts[user] }

// SetFaults replaces all faults. Connections that are open feel it with their next command.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f.clone()
}

// Commands returns the commands seen so far.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// ForgetCommands empties the record of commands.
func (s *Server) ForgetCommands() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = nil
}

// Connections is the number of connections made so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Peak is the largest number of connections there were at a time.
func (s *Server) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

func (s *Server) caps() imap.CapSet {
	caps := imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapChildren: {}}
	for _, c := range []struct {
		off  bool
		name imap.Cap
	}{
		{s.opts.NoUIDPlus, imap.CapUIDPlus},
		{s.opts.NoLiteralPlus, imap.CapLiteralPlus},
		{s.opts.NoListExtended, imap.CapListExtended},
		{s.opts.NoListStatus, imap.CapListStatus},
		{s.opts.NoESearch, imap.CapESearch},
		{s.opts.NoSpecialUse, imap.CapSpecialUse},
		{s.opts.NoCreateSpecialUse, imap.CapCreateSpecialUse},
		{s.opts.NoNamespace, imap.CapNamespace},
		{!s.opts.StatusSize, imap.CapStatusSize},
	} {
		if !c.off {
			caps[c.name] = struct{}{}
		}
	}
	return caps
}

func (s *Server) delim() string {
	switch {
	case s.opts.NIL:
		return ""
	case s.opts.Delim == "":
		return "/"
	}
	return s.opts.Delim
}

func (s *Server) delimRune() rune {
	for _, r := range s.delim() {
		return r
	}
	return 0
}

// newSession is called by imapserver for each connection.
func (s *Server) newSession(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	p, ok := c.NetConn().(*peer)
	if !ok {
		return nil, nil, fmt.Errorf("strange connection %T", c.NetConn())
	}
	if words, ok := s.enter(); !ok {
		return nil, nil, &imap.Error{Type: imap.StatusResponseTypeBye, Text: words}
	}
	p.entered.Store(true)
	base := &session{server: s, peer: p}
	if s.opts.AppendLimit > 0 {
		return &limitedSession{base}, nil, nil
	}
	return base, nil, nil
}

// listener hands out connections as peers.
type listener struct {
	net.Listener
	server *Server
	secure bool
}

func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.server.mu.Lock()
	l.server.conns++
	p := newPeer(l.server, raw, l.server.conns)
	l.server.mu.Unlock()
	if l.secure {
		p.secure()
	}
	return p, nil
}

func (s *Server) tlsConfig() *tls.Config {
	cfg := &tls.Config{ //nolint:gosec // G402: it plays old servers, which clients must refuse
		Certificates: []tls.Certificate{s.cert.TLS},
		MinVersion:   tls.VersionTLS10, MaxVersion: s.opts.MaxTLS,
	}
	if s.opts.TuneTLS != nil {
		s.opts.TuneTLS(cfg)
	}
	return cfg
}
