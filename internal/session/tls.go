package session

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// tlsConfig demands TLS 1.2 and a certificate that the system, or o.RootCAs, trusts.
func (o Options) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName:         o.Host,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.Insecure, //nolint:gosec // G402: only when the user asks for it by name
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
		plain  tls.RecordHeaderError
		alert  *net.OpError // crypto/tls reports alerts so: Op "remote error" or "local error"
	)
	switch {
	case errors.As(err, &verify):
		return final("%s", certificateAdvice(verify))
	case errors.As(err, &plain):
		return final("the server does not speak TLS on port %d (try --tls starttls, or another --port)", o.Port)
	case errors.As(err, &alert) && strings.HasSuffix(alert.Op, " error"), strings.HasPrefix(err.Error(), "tls: "):
		return final("the handshake failed (TLS 1.2 or later is needed)")
	}
	return connectError(ctx, op, err)
}

func certificateAdvice(v *tls.CertificateVerificationError) string {
	if len(v.UnverifiedCertificates) == 0 {
		return "the server showed no certificate"
	}
	leaf := v.UnverifiedCertificates[0]
	what := fmt.Sprintf("certificate %q, SHA-256 fingerprint %s", leaf.Subject.String(), fingerprint(leaf))
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(v.Err, &host):
		return what + ", is made out for another name (check --host)"
	case errors.As(v.Err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("%s, is valid from %s to %s only (ask the server's keeper; check this clock)", what,
			leaf.NotBefore.Format("2006-01-02"), leaf.NotAfter.Format("2006-01-02"))
	case errors.As(v.Err, &unknown):
		return what + ", is signed by nobody this system trusts (if it is the right one, give the " +
			"authority's certificate by --ca-cert FILE)"
	}
	return what + ", is not trusted (--ca-cert FILE adds an authority)"
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")
}
