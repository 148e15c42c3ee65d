package session

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// CertificateError is a certificate that is not trusted. An *Error and ErrTLS are around it.
type CertificateError struct {
	Shown     Pin  // what the server showed; zero: nothing
	NotPinned bool // there are pins, and it is none of them
	reason    string
}

// Error says what is wrong with the certificate and how to trust it all the same.
func (e *CertificateError) Error() string {
	if e.Shown == (Pin{}) {
		return e.reason
	}
	return fmt.Sprintf("%s; if it is the right one: --tls-pin %v", e.reason, e.Shown)
}

func (o Options) refuseCertificate(op string, e *CertificateError) *Error {
	return &Error{Op: op, Scope: ScopeSession, Class: ClassFinal, Err: fmt.Errorf("%w: %w", ErrTLS, e)}
}

// untrusted words what crypto/tls found.
func untrusted(v *tls.CertificateVerificationError) *CertificateError {
	if len(v.UnverifiedCertificates) == 0 {
		return &CertificateError{reason: "the server showed no certificate"}
	}
	leaf := v.UnverifiedCertificates[0]
	e := &CertificateError{Shown: pinOf(leaf)}
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	what := fmt.Sprintf("certificate %q", leaf.Subject.String())
	switch {
	case errors.As(v.Err, &host):
		e.reason = fmt.Sprintf("%s is made out for another name (%v; check --host)", what, v.Err)
	case errors.As(v.Err, &invalid) && invalid.Reason == x509.Expired:
		state := "has expired"
		if time.Now().Before(leaf.NotBefore) {
			state = "is not valid yet"
		}
		e.reason = fmt.Sprintf("%s %s: it is valid from %s to %s only (check this machine's clock)", what, state,
			leaf.NotBefore.Format(time.DateOnly), leaf.NotAfter.Format(time.DateOnly))
	case errors.As(v.Err, &unknown) && bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		e.reason = what + " is signed by itself alone"
	case errors.As(v.Err, &unknown):
		e.reason = fmt.Sprintf("%s is signed by nobody this system trusts: %q (--ca-cert FILE adds an authority)",
			what, leaf.Issuer.String())
	default:
		e.reason = fmt.Sprintf("%s is not trusted (%v; --ca-cert FILE adds an authority)", what, v.Err)
	}
	return e
}
