package imaptest

import "errors"

// ErrNoDovecot says why there can be no real Dovecot here. Tests skip with it.
var ErrNoDovecot = errors.New("no Dovecot to test with")

// DovecotOptions are the knobs of StartDovecot.
type DovecotOptions struct {
	Users     map[string]string // name → password; nil: old/pw and new/pw
	Maildir   map[string]string // name → Maildir++ tree to fill the account with
	Separator string            // hierarchy delimiter; "": "/"
	Prefix    string            // of the personal namespace: "INBOX."
	Extra     string            // lines added at the end of the configuration
}
