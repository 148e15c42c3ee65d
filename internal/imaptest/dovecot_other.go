//go:build !unix

package imaptest

import (
	"context"
	"fmt"
)

// Dovecot does not run on this system.
type Dovecot struct {
	Addr, TLSAddr, Dir string
	CAPEM              []byte
}

// StartDovecot always returns ErrNoDovecot here.
func StartDovecot(context.Context, string, DovecotOptions) (*Dovecot, error) {
	return nil, fmt.Errorf("%w: it does not run on this system", ErrNoDovecot)
}

// Stop does nothing.
func (d *Dovecot) Stop() error { return nil }

// Restart does nothing.
func (d *Dovecot) Restart(context.Context) error { return ErrNoDovecot }

// Fill does nothing.
func (d *Dovecot) Fill(_, _ string) error { return ErrNoDovecot }

// Maildir is nowhere.
func (d *Dovecot) Maildir(string) string { return "" }

// Log is empty.
func (d *Dovecot) Log() string { return "" }
