package session

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"mailark/internal/session/wire"
)

// DialSource connects, signs in, and returns a connection that can only read. ctx governs the dial,
// not the life of the connection.
func DialSource(ctx context.Context, o Options) (*Source, error) {
	c, err := dial(ctx, o, false)
	if err != nil {
		return nil, err
	}
	return &Source{*c}, nil
}

// DialTarget connects, signs in, and returns a connection that can also add mail. ctx governs the
// dial, not the life of the connection.
func DialTarget(ctx context.Context, o Options) (*Target, error) {
	c, err := dial(ctx, o, true)
	if err != nil {
		return nil, err
	}
	if err := c.run(ctx, "NAMESPACE", ScopeSession, c.settle); err != nil {
		_ = c.w.Close() // nothing was sent that could be lost
		return nil, err
	}
	return &Target{conn: *c}, nil
}

func dial(ctx context.Context, o Options, quickAck bool) (*conn, error) {
	o, err := o.filled()
	if err != nil {
		return nil, &Error{Op: "connect", Scope: ScopeSession, Class: ClassFinal, Err: err}
	}
	w, distance, err := o.connect(ctx, quickAck)
	if err != nil {
		return nil, err
	}
	c := newConn(o, w)
	c.near = distance < farAway
	if err := c.signIn(ctx); err != nil {
		_ = w.Close() // the error of the sign-in is the one that matters
		return nil, err
	}
	return c, nil
}

// connect makes the TCP connection and secures it. distance is the time of one round trip.
func (o Options) connect(ctx context.Context, quickAck bool) (w *wire.Conn, distance time.Duration, err error) {
	op := "connect to " + o.address()
	var begun atomic.Int64 // behind the look-up of the name
	d := net.Dialer{Control: func(string, string, syscall.RawConn) error {
		begun.Store(time.Now().UnixNano())
		return nil
	}}
	dctx, cancel := context.WithTimeout(ctx, min(connectTimeout, o.Timeout))
	defer cancel()
	raw, err := d.DialContext(dctx, "tcp", o.address())
	if err != nil {
		return nil, 0, connectError(ctx, op, err)
	}
	distance = time.Duration(time.Now().UnixNano() - begun.Load())
	tape := o.Trace.Open()
	tape.Note("connected to %s (%v)", o.address(), raw.RemoteAddr())
	raw = o.Pace.Conn(raw)
	inner, preface, err := o.secure(ctx, raw, tape)
	if err != nil {
		tape.Note("end: %v", err)
		_ = raw.Close() // nothing was sent that could be lost
		return nil, 0, err
	}
	return wire.New(inner, raw, wire.Options{
		Timeout: o.Timeout, Greeting: min(greetingTimeout, o.Timeout),
		Preface: preface, QuickAck: quickAck, Tape: tape, Log: o.Log, News: o.Shared.isNews, RawName: o.Names.rawName,
	}), distance, nil
}

func connectError(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return &Error{Op: op, Scope: ScopeSession, Class: ClassFinal, Err: context.Cause(ctx)}
	}
	e := &Error{Op: op, Scope: ScopeSession, Err: fmt.Errorf("%w: %w", ErrConnect, err)}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		e.Class = ClassFinal
		e.Err = fmt.Errorf("%w: no such host (check the spelling of --host): %w", ErrConnect, err)
	}
	return e
}

// secure protects the connection as o.TLS says. preface is the greeting where STARTTLS had to read it.
func (o Options) secure(
	ctx context.Context, raw net.Conn, tape *wire.Tape,
) (inner net.Conn, preface []byte, err error) {
	if o.TLS == TLSNone {
		return raw, nil, nil
	}
	patience := min(greetingTimeout, o.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: server silent for %v", ErrConnect, patience))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if o.TLS == TLSStartTLS {
		if preface, err = o.startTLS(ctx, raw, tape); err != nil {
			return nil, nil, err
		}
	}
	cfg, err := o.tlsConfig()
	if err != nil {
		return nil, nil, err
	}
	tc := tls.Client(raw, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, nil, o.tlsError(ctx, err)
	}
	o.noteTLS(tc.ConnectionState(), tape)
	return tc, preface, nil
}

// startTLS speaks the clear part of STARTTLS (RFC 9051, section 6.2.1) by itself, so that go-imap
// starts above TLS. The greeting it returns is its own: what was told in the clear is void.
func (o Options) startTLS(ctx context.Context, raw net.Conn, tape *wire.Tape) (preface []byte, err error) {
	op := "STARTTLS with " + o.address()
	br := bufio.NewReaderSize(raw, 8<<10)
	next := func() (wire.Status, error) {
		for range 100 {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return wire.Status{}, connectError(ctx, op, err)
			}
			tape.Heard(line)
			if st, ok := wire.ParseStatus(line); ok {
				return st, nil
			}
		}
		return wire.Status{}, connectError(ctx, op, errParse)
	}
	greeting, err := next()
	if err != nil {
		return nil, err
	}
	switch {
	case greeting.Kind == "BYE":
		e := refusal(op, ScopeSession, greeting)
		e.Class, e.Err = ClassWait, ErrConnect
		return nil, e
	case greeting.Kind != "OK":
		return nil, refuseTLS(op, greeting, "the server calls us signed in before the connection is secure")
	}
	tape.Sent([]byte(startTLSLine))
	if _, err := raw.Write([]byte(startTLSLine)); err != nil {
		return nil, connectError(ctx, op, err)
	}
	for {
		st, err := next()
		switch {
		case err != nil:
			return nil, err
		case st.Kind == "BYE":
			return nil, refuseTLS(op, st, "the server ended the connection")
		case st.Tag != "S1":
			continue
		case st.Kind != "OK":
			return nil, refuseTLS(op, st, "the server refuses STARTTLS; try implicit TLS on port 993")
		case br.Buffered() > 0:
			return nil, refuseTLS(op, wire.Status{}, "octets came ahead of TLS; somebody may be in the line")
		}
		return []byte("* OK ready\r\n"), nil
	}
}

const startTLSLine = "S1 STARTTLS\r\n"

func refuseTLS(op string, st wire.Status, reason string) *Error {
	return &Error{
		Op: op, Scope: ScopeSession, Class: ClassFinal, Code: st.Code, Server: st.String(),
		Err: fmt.Errorf("%w: %s", ErrTLS, reason),
	}
}
