package session

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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
	Host     string
	Port     int // 0: 993 for implicit, else 143
	TLS      TLSMode
	RootCAs  string // PEM file of additional certificate authorities
	Insecure bool   // skip certificate verification
	User     string
	Password func(ctx context.Context) (string, error) // asked once a dial, after the connection is secure
	Auth     string                                    // auto, plain, login; "": auto
	Timeout  time.Duration                             // longest silence while an answer is owed; 0: 5 minutes
	Log      *slog.Logger                              // nil: none
	Program  string                                    // "mailark 0.1.0", sent by ID
	Pace     *wire.Pace                                // shared by all connections of a run; nil: as fast as it goes
}

const (
	defaultTimeout  = 5 * time.Minute
	connectTimeout  = 30 * time.Second
	greetingTimeout = time.Minute
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
		o.Auth = "auto"
	}
	if o.Auth != "auto" && o.Auth != "plain" && o.Auth != "login" {
		return o, fmt.Errorf("unknown sign-in method %q: %w", o.Auth, ErrSignIn)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
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
