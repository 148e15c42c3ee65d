package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"mailark/internal/session/wire"
)

// tlsConfig demands TLS 1.2 and a certificate that the system, or o.RootCAs, trusts, or one of o.Pins.
func (o Options) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName:         o.Host,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.Insecure, //nolint:gosec // G402: only when the user asks for it by name
	}
	if o.LegacyTLS {
		// Old servers stumble over the large hello of TLS 1.3 too.
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS12
		cfg.CipherSuites = allSuites()
	}
	if len(o.Pins) > 0 {
		cfg.InsecureSkipVerify, cfg.VerifyConnection = true, o.checkPins
		return cfg, nil
	}
	if o.RootCAs == "" {
		return cfg, nil
	}
	fail := func(err error) error {
		return &Error{
			Op: "read certificates", Scope: ScopeSession, Class: ClassFinal, Err: fmt.Errorf("%w: %w", ErrTLS, err),
		}
	}
	pem, err := os.ReadFile(o.RootCAs)
	if err != nil {
		return nil, fail(err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without a store: the file alone counts
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fail(fmt.Errorf("%s holds no PEM certificate", o.RootCAs))
	}
	cfg.RootCAs = pool
	return cfg, nil
}

// allSuites are the cipher suites up to TLS 1.2 that crypto/tls can speak; it chooses the order by
// itself. Those with RSA key exchange, 3DES, RC4 or CBC with SHA-256 are off unless they are named.
func allSuites() (ids []uint16) {
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, suite.ID)
	}
	return ids
}

// noteTLS logs what was agreed on, and warns of what is broken today.
func (o Options) noteTLS(state tls.ConnectionState, tape *wire.Tape) {
	version, suite := tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	tape.Note("%s, %s", version, suite)
	weak := state.Version < tls.VersionTLS12 || slices.ContainsFunc(tls.InsecureCipherSuites(),
		func(s *tls.CipherSuite) bool { return s.ID == state.CipherSuite })
	if weak && o.Shared.isNews(version+suite) {
		o.Log.Warn("the connection is only weakly protected", "version", version, "suite", suite)
		return
	}
	o.Log.Debug("the connection is protected", "version", version, "suite", suite)
}

// tlsError says what is wrong with the handshake and which flag helps.
func (o Options) tlsError(ctx context.Context, err error) error {
	op := "TLS with " + o.address()
	if parent := context.Cause(ctx); parent != nil && !errors.Is(parent, context.DeadlineExceeded) {
		return &Error{Op: op, Scope: ScopeSession, Class: ClassFinal, Err: parent}
	}
	final := func(format string, args ...any) error {
		return &Error{
			Op: op, Scope: ScopeSession, Class: ClassFinal,
			Err: fmt.Errorf("%w: "+format+": %w", append(append([]any{ErrTLS}, args...), err)...),
		}
	}
	var (
		verify *tls.CertificateVerificationError
		pin    *pinError
		plain  tls.RecordHeaderError
		alert  *net.OpError // crypto/tls reports alerts so: Op "remote error" or "local error"
	)
	switch {
	case errors.As(err, &verify):
		return o.refuseCertificate(op, untrusted(verify))
	case errors.As(err, &pin):
		return o.refuseCertificate(op, &CertificateError{
			Shown: pin.shown, NotPinned: true,
			reason: "THE SERVER'S CERTIFICATE IS NOT THE ONE PINNED: it has a new one, or somebody is in the line",
		})
	case errors.As(err, &plain):
		return final("the server does not speak TLS on port %d (try --tls starttls, or another --port)", o.Port)
	case errors.As(err, &alert) && strings.HasSuffix(alert.Op, " error"), strings.HasPrefix(err.Error(), "tls: "):
		return final("the handshake failed%s", o.legacyAdvice())
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		err = fmt.Errorf("the server hung up in the handshake%s: %w", o.legacyAdvice(), err)
	}
	return connectError(ctx, op, err)
}

// legacyAdvice goes with a handshake that the server may be too old for.
func (o Options) legacyAdvice() string {
	if o.LegacyTLS {
		return " in spite of --tls-legacy (a tunnel on this machine may manage, stunnel say: --host localhost --tls none)"
	}
	return " (an old server that speaks only TLS 1.0 or 1.1, or old ciphers? --tls-legacy allows them)"
}
