package session

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// TestSilentServer connects to a port that takes connections and never says a word: that is a failure to connect, not
// an interruption by the user.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, mode := range []TLSMode{TLSImplicit, TLSStartTLS} {
		o := Options{
			Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: mode, User: "u", Timeout: 50 * time.Millisecond, //nolint:errcheck // a TCP listener
			Password: func(context.Context) (string, error) { return "pw", nil },
		}
		_, err := DialSource(t.Context(), o)
		if !errors.Is(err, ErrConnect) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want ErrConnect", mode, err)
		}
	}
}
