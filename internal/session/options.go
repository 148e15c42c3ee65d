package session

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailark/internal/session/wire"
)

// TLSMode says how the connection is protected.
type TLSMode string

// The ways to protect a connection. The empty mode is TLSImplicit.
const (
	TLSImplicit TLSMode = "implicit" // port 993
	TLSStartTLS TLSMode = "starttls" // port 143
	TLSNone     TLSMode = "none"     // port 143; only to a loopback address
)

// Options say how to reach and enter one account. Zero fields mean the default.
type Options struct {
	Host      string
	Port      int // 0: 993 for implicit, else 143
	TLS       TLSMode
	RootCAs   string // PEM file of additional certificate authorities
	Pins      []Pin  // the certificates that are trusted, and no others; RootCAs and Insecure are void then
	LegacyTLS bool   // TLS 1.0 and 1.1, RSA key exchange and old ciphers will do
	Insecure  bool   // skip certificate verification
	User      string
	Password  func(ctx context.Context) (string, error) // asked once a dial, after the connection is secure
	Auth      string                                    // auto, plain, login, cram-md5; "": auto
	AuthUser  string                                    // whose password it is (an administrator's); "": User's
	Compress  Compress
	Timeout   time.Duration // longest silence while an answer is owed; 0: 5 minutes
	Shared    *Shared       // what the connections of a run share; nil: nothing
	Trace     *Trace        // nil: none
	Log       *slog.Logger  // nil: none
	Program   string        // "mailark 0.1.0", sent by ID
	Pace      *wire.Pace    // shared by all connections of a run; nil: as fast as it goes
	Names     *Names        // shared by connections to the same account; nil: the connection has its own
}

// Compress says when COMPRESS=DEFLATE (RFC 4978) is used where the server offers it.
type Compress string

// When to compress. The empty value is CompressAuto.
const (
	CompressAuto Compress = "auto" // unless the server is on this machine or near
	CompressOn   Compress = "on"
	CompressOff  Compress = "off"
)

// Trace takes down what goes over connections; see wire.Trace.
type Trace = wire.Trace

// NewTrace returns a trace that writes whole lines to w. Its end by an error is told to failed.
func NewTrace(w io.Writer, failed func(error)) *Trace { return wire.NewTrace(w, failed) }

const (
	defaultTimeout  = 5 * time.Minute
	connectTimeout  = 30 * time.Second
	greetingTimeout = time.Minute
	// farAway is the round trip from which on a line counts as slower than a server can compress: Dovecot
	// deflates some 15 MB/s on a core, a local network carries 100 and more.
	farAway = 3 * time.Millisecond
)

// filled returns o with the defaults in place, or what is wrong with it.
func (o Options) filled() (Options, error) {
	if o.Host == "" {
		return o, fmt.Errorf("no host given: %w", ErrConnect)
	}
	if o.TLS == "" {
		o.TLS = TLSImplicit
	}
	switch o.TLS {
	case TLSImplicit, TLSStartTLS:
	case TLSNone:
		if !isLoopback(o.Host) {
			return o, fmt.Errorf("%q is no loopback address: mail and password would cross the network "+
				"in the clear; use implicit TLS or STARTTLS: %w", o.Host, ErrTLS)
		}
	default:
		return o, fmt.Errorf("unknown TLS mode %q: %w", o.TLS, ErrTLS)
	}
	if o.Port == 0 {
		o.Port = 143
		if o.TLS == TLSImplicit {
			o.Port = 993
		}
	}
	if o.Auth == "" {
		o.Auth = authAuto
	}
	if !slices.Contains([]string{authAuto, authPlain, authLogin, authCRAM}, o.Auth) {
		return o, fmt.Errorf("unknown sign-in method %q: %w", o.Auth, ErrSignIn)
	}
	if o.AuthUser != "" && o.Auth != authAuto && o.Auth != authPlain {
		return o, fmt.Errorf("only PLAIN can sign in with the password of another, not %s: %w", o.Auth, ErrSignIn)
	}
	switch o.Compress {
	case "":
		o.Compress = CompressAuto
	case CompressAuto, CompressOn, CompressOff:
	default:
		return o, fmt.Errorf("when to compress: %q is none of auto, on, off: %w", o.Compress, ErrConnect)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Names == nil {
		o.Names = NewNames()
	}
	return o, nil
}

// passwordOwner is whose password is asked for.
func (o Options) passwordOwner() string {
	if o.AuthUser != "" {
		return o.AuthUser
	}
	return o.User
}

func (o Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }

// isLoopback takes an address or "localhost". Other names are not looked up: what they mean may
// change between the question and the connection.
func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
