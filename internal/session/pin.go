package session

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A Pin is the SHA-256 of a server's certificate (its DER octets). It is trusted alone, whoever signed
// the certificate, whatever name it is made out for, and however old it is.
type Pin [sha256.Size]byte

const pinPrefix = "sha256:"

// ParsePin reads "sha256:" and 64 hexadecimal digits, with or without colons between the octets. What
// openssl prints ("sha256 Fingerprint=…") is understood too.
func ParsePin(s string) (Pin, error) {
	var pin Pin
	kind, digits, ok := strings.Cut(strings.TrimSpace(s), ":")
	if before, after, found := strings.Cut(s, "="); found {
		kind, digits, ok = strings.TrimSuffix(strings.ToLower(before), " fingerprint"), after, true
	}
	if !ok || !strings.EqualFold(strings.TrimSpace(kind), "sha256") {
		return pin, fmt.Errorf("pin %q: want sha256: and 64 hexadecimal digits", s)
	}
	octets, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), ":", ""))
	if err != nil || len(octets) != len(pin) {
		return pin, fmt.Errorf("pin %q: want sha256: and 64 hexadecimal digits", s)
	}
	copy(pin[:], octets)
	return pin, nil
}

// String is the pin in the form that ParsePin reads.
func (p Pin) String() string { return pinPrefix + hex.EncodeToString(p[:]) }

func pinOf(cert *x509.Certificate) Pin { return sha256.Sum256(cert.Raw) }

// pinError is a certificate that is none of those pinned.
type pinError struct{ shown Pin }

func (e *pinError) Error() string { return "not the pinned certificate" }

// checkPins is a tls.Config.VerifyConnection. The handshake has proven by now that the server holds the
// certificate's key.
func (o Options) checkPins(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{}}
	}
	if shown := pinOf(state.PeerCertificates[0]); !slices.Contains(o.Pins, shown) {
		return &pinError{shown}
	}
	return nil
}
