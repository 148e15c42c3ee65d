package session_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// suggested takes the pin out of an error, as a user would paste it.
func suggested(t *testing.T, e *session.Error) session.Pin {
	t.Helper()
	found := regexp.MustCompile(`--tls-pin (sha256:[0-9a-f]{64})$`).FindStringSubmatch(e.Error())
	if found == nil {
		t.Fatalf("no pin to paste in %q", e)
	}
	pin, err := session.ParsePin(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

// TestPin: what the error suggests makes the next run work, whatever was wrong with the certificate,
// and nothing but that certificate.
func TestPin(t *testing.T) {
	for name, so := range map[string]imaptest.ServerOptions{
		"self-signed": {},
		"expired":     {NotAfter: time.Now().AddDate(0, 0, -3)},
		"other name":  {CertHost: "mail.example.org"},
	} {
		for _, mode := range []session.TLSMode{session.TLSImplicit, session.TLSStartTLS} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				s := start(t, so)
				addr := s.TLSAddr
				if mode == session.TLSStartTLS {
					addr = s.Addr
				}
				o := options(t, mode, addr, s.CAPEM)
				if name == "self-signed" {
					o.RootCAs = ""
				}
				pin := suggested(t, dialError(t, o))
				other := pin
				other[31] ^= 1
				o.Pins = []session.Pin{other}
				o.Insecure = true // a pin is the stricter word
				e := dialError(t, o)
				if !errors.Is(e, session.ErrTLS) || e.Class != session.ClassFinal || !strings.Contains(e.Error(), "NOT THE ONE PINNED") {
					t.Errorf("class %v: %v", e.Class, e)
				}
				if suggested(t, e) != pin {
					t.Errorf("the error shows another fingerprint: %v", e)
				}
				for _, cmd := range s.Commands() {
					if cmd.Name == "LOGIN" || cmd.Name == "AUTHENTICATE" {
						t.Fatalf("a password went to a stranger: %v", cmd)
					}
				}
				o.Insecure, o.Pins = false, []session.Pin{other, pin}
				source(t, o)
			})
		}
	}
}

// rsaCertificate is a certificate as old servers have it: without RSA there is no RSA key exchange.
func rsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old"}, NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature, DNSNames: []string{"old"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestLegacy: servers of another age are refused with the flag that helps, and reached with it, under a
// warning that is given once.
func TestLegacy(t *testing.T) {
	cert := rsaCertificate(t)
	old := func(version uint16, suites ...uint16) func(*tls.Config) {
		return func(cfg *tls.Config) {
			cfg.Certificates, cfg.MaxVersion, cfg.CipherSuites = []tls.Certificate{cert}, version, suites
		}
	}
	for name, tune := range map[string]func(*tls.Config){
		"TLS 1.0":       old(tls.VersionTLS10),
		"TLS 1.1":       old(tls.VersionTLS11),
		"RSA alone":     old(tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256),
		"RSA and CBC":   old(tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA256),
		"3DES":          old(tls.VersionTLS12, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA),
		"TLS 1.0, 3DES": old(tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA),
		"TLS 1.0, RC4":  old(tls.VersionTLS10, tls.TLS_RSA_WITH_RC4_128_SHA),
		"TLS 1.0, RSA":  old(tls.VersionTLS10, tls.TLS_RSA_WITH_AES_256_CBC_SHA),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, imaptest.ServerOptions{TuneTLS: tune})
			var log bytes.Buffer
			o := options(t, session.TLSImplicit, s.TLSAddr, nil)
			o.RootCAs, o.Log, o.Shared = "", slog.New(slog.NewTextHandler(&log, nil)), session.NewShared()
			e := dialError(t, o)
			if !errors.Is(e, session.ErrTLS) || e.Class != session.ClassFinal || !strings.Contains(e.Error(), "--tls-legacy") {
				t.Errorf("class %v: %v", e.Class, e)
			}
			o.LegacyTLS = true
			o.Pins = []session.Pin{suggested(t, dialError(t, o))}
			for range 2 {
				source(t, o)
			}
			if n := strings.Count(log.String(), "weakly protected"); n != 1 {
				t.Errorf("warned %d times: %s", n, log.String())
			}
		})
	}
	modern := start(t, imaptest.ServerOptions{MaxTLS: tls.VersionTLS12})
	var log bytes.Buffer
	o := options(t, session.TLSImplicit, modern.TLSAddr, modern.CAPEM)
	o.LegacyTLS, o.Log = true, slog.New(slog.NewTextHandler(&log, nil))
	source(t, o)
	if log.Len() > 0 {
		t.Errorf("a good connection is warned of: %s", log.String())
	}
}

// TestHandshakeCut: a server that hangs up in the handshake may be back, or be too old.
func TestHandshakeCut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 5))
			_ = conn.Close()
		}
	}()
	o := options(t, session.TLSImplicit, ln.Addr().String(), nil)
	o.RootCAs = ""
	e := dialError(t, o)
	if !errors.Is(e, session.ErrConnect) || e.Class != session.ClassRetry || !strings.Contains(e.Error(), "--tls-legacy") {
		t.Errorf("class %v: %v", e.Class, e)
	}
}
