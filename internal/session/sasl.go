package session

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"

	"github.com/emersion/go-sasl"
)

// maxSteps is how often a server may ask within one exchange.
const maxSteps = 8

var errSteps = errors.New("the server asks without end")

// exchange is a SASL mechanism (RFC 4422, section 3). Challenge n is answered by answers[n], whatever
// it says, and any after the last by nothing: the server has the last word, not a prompt it worded oddly.
type exchange struct {
	name    string
	initial []byte // sent with the command where the server takes it (SASL-IR); nil: none
	answers []func(challenge []byte) []byte
	step    int
}

var _ sasl.Client = (*exchange)(nil)

// Start implements sasl.Client.
func (e *exchange) Start() (mech string, ir []byte, err error) { return e.name, e.initial, nil }

// Next implements sasl.Client.
func (e *exchange) Next(challenge []byte) ([]byte, error) {
	e.step++
	switch {
	case e.step > maxSteps:
		return nil, errSteps
	case e.step > len(e.answers):
		return []byte{}, nil
	}
	return e.answers[e.step-1](challenge), nil
}

func always(answer string) func([]byte) []byte {
	return func([]byte) []byte { return []byte(answer) }
}

// newPlain is PLAIN (RFC 4616). A server may ask for what it was sent with the command already.
func newPlain(cred credentials) *exchange {
	return &exchange{
		name: "PLAIN", initial: []byte(cred.plain()), answers: []func([]byte) []byte{always(cred.plain())},
	}
}

// newLogin is LOGIN, which no RFC specifies (draft-murchison-sasl-login): user name, then password.
func newLogin(cred credentials) *exchange {
	return &exchange{name: "LOGIN", answers: []func([]byte) []byte{always(cred.user), always(cred.password)}}
}

// newCRAMMD5 is CRAM-MD5 (RFC 2195). conceal is told the answer before it is sent.
func newCRAMMD5(cred credentials, conceal func(...string)) *exchange {
	return &exchange{name: "CRAM-MD5", answers: []func([]byte) []byte{func(challenge []byte) []byte {
		digest := cramMD5(cred.password, challenge)
		answer := cred.user + " " + digest
		conceal(encode64(answer), digest)
		return []byte(answer)
	}}}
}

// cramMD5 is the keyed digest of RFC 2195, section 2, in lower-case hexadecimal.
func cramMD5(password string, challenge []byte) string {
	mac := hmac.New(md5.New, []byte(password))
	mac.Write(challenge)
	return hex.EncodeToString(mac.Sum(nil))
}
