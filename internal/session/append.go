package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailark/internal/session/wire"
	"mailark/maildirx"
)

const (
	appendBuffer = 64 << 10
	// nonSyncMinus is the largest literal LITERAL- sends unasked (RFC 7888, section 5); nonSyncPlus is
	// ours for LITERAL+: a bigger message is announced first, so that a refusal costs no upload.
	nonSyncMinus = 4096
	nonSyncPlus  = 1 << 20
	// internalDate is date-time of RFC 9051, section 9, with a blank before a day of one digit.
	internalDate = "_2-Jan-2006 15:04:05 -0700"
)

var (
	errFlag   = errors.New("cannot be sent as a flag")
	errUnsent = errors.New("the server answered before it had the message")
)

// AppendResult is what the server said of a stored message. Zero without UIDPLUS.
type AppendResult struct{ UIDValidity, UID uint32 }

// Pending is an APPEND whose answer is not yet read.
type Pending struct {
	c    *conn
	op   string
	call *wire.Call
	sent bool
}

// Append sends APPEND and the literal and returns when the last octet is with the kernel; the answer
// is read by Pending.Wait. Several may be pending; Waits may be called in any order. date zero: no
// date is sent. \Recent is not sent.
//
// An error means: certainly not stored, for the server never had all octets. If it is of scope
// message, nothing was sent and the connection is good. Where an error leaves that open, Append
// returns a Pending, and its Wait tells.
//
// APPEND goes past go-imap, which would wait a round trip for each message over 4096 octets, and
// would close the connection when the server refuses a message before it was sent.
func (t *Target) Append(
	ctx context.Context, name string, flags []string, date time.Time, size int64, r io.Reader,
) (*Pending, error) {
	op := fmt.Sprintf("APPEND %q", name)
	if ctx.Err() != nil {
		return nil, &Error{Op: op, Scope: ScopeSession, Class: ClassFinal, Err: context.Cause(ctx)}
	}
	args, err := t.appendArgs(op, name, flags, date)
	if err != nil {
		return nil, err
	}
	defer t.w.Guard(ctx)()
	call, err := t.w.Start(ctx)
	if err != nil {
		return nil, t.lost(op, err)
	}
	defer call.End()
	p := &Pending{c: &t.conn, op: op, call: call}
	line := call.Tag() + " APPEND " + args + "{" + strconv.FormatInt(size, 10)
	if t.mayPush(size) {
		err = p.push(line+"+}\r\n", size, r)
	} else {
		var goOn bool
		goOn, err = call.Ask([]byte(line + "}\r\n"))
		if err == nil && goOn {
			err = p.push("", size, r)
		}
	}
	if err != nil && !p.sent && !call.Answered() {
		return nil, t.appendError(op, err)
	}
	return p, nil // the end of the connection, if it came to that, is told by Wait
}

// mayPush reports whether a literal of this size can go out unasked (RFC 7888).
func (t *Target) mayPush(size int64) bool {
	_, plus := t.caps[imap.CapLiteralPlus]
	return plus && size <= nonSyncPlus || t.caps.Has(imap.CapLiteralMinus) && size <= nonSyncMinus
}

// push sends the rest of the command: the line so far, the literal, and the line end.
func (p *Pending) push(line string, size int64, r io.Reader) error {
	out := &tally{w: p.call, left: int64(len(line)) + size}
	bw := bufio.NewWriterSize(out, appendBuffer)
	_, err := bw.WriteString(line)
	if err == nil {
		var n int64
		n, err = io.CopyN(bw, r, size)
		if err != nil && out.err == nil {
			// The server waits for octets that do not exist: only the end of the connection stops that.
			err = fmt.Errorf("read the message, %d of %d octets: %w", n, size, err)
			return p.c.w.Fail(err)
		}
	}
	if err == nil {
		_, err = bw.WriteString("\r\n")
	}
	if err == nil {
		err = bw.Flush()
	}
	p.sent = out.left <= 0
	return err
}

// tally counts down the octets that are about to leave. An octet counts before it is written: what a
// failing write has sent nobody knows.
type tally struct {
	w    io.Writer
	left int64
	err  error
}

func (t *tally) Write(p []byte) (int, error) {
	t.left -= int64(len(p))
	n, err := t.w.Write(p)
	t.err = err
	return n, err
}

// appendError is the error of a message that was not sent in full.
func (t *Target) appendError(op string, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return t.lost(op, err)
}

// appendArgs writes mailbox, flags and date of an APPEND (RFC 9051, section 6.3.12).
func (t *Target) appendArgs(op, name string, flags []string, date time.Time) (string, error) {
	var b strings.Builder
	b.WriteString(t.quoteMailbox(name))
	b.WriteByte(' ')
	var words []string
	for _, f := range flags {
		if strings.EqualFold(f, `\Recent`) {
			continue
		}
		if !isFlag(f) {
			return "", &Error{
				Op: op, Scope: ScopeMessage, Class: ClassFinal, Err: fmt.Errorf("%q %w", f, errFlag),
			}
		}
		words = append(words, f)
	}
	if len(words) > 0 {
		b.WriteString("(" + strings.Join(words, " ") + ") ")
	}
	if !date.IsZero() {
		b.WriteString(`"` + date.Format(internalDate) + `" `)
	}
	return b.String(), nil
}

// quoteMailbox writes a mailbox name as go-imap does for the other commands.
func (t *Target) quoteMailbox(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	_, rev2 := t.caps[imap.CapIMAP4rev2]
	if raw, ok := t.opts.Names.rawName(name); ok {
		name = raw
	} else if rev2 {
		name = strings.ReplaceAll(name, "&", "&-")
	} else {
		name = maildirx.EncodeUTF7(name)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// isFlag recognises flag-keyword and flag-extension (RFC 9051, section 9).
func isFlag(s string) bool {
	s = strings.TrimPrefix(s, `\`)
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	}) < 0
}

// Sent reports whether the last octet of the message may have left this machine. If not, the server
// cannot have stored the message, whatever Wait says.
func (p *Pending) Sent() bool { return p.sent }

// Wait returns nil only if the server said OK. An *Error of scope message means: NO or BAD to this
// very command, not stored. Any other error: in doubt, the message may be stored or not, unless Sent is
// false. The end of ctx ends the wait but not the connection.
func (p *Pending) Wait(ctx context.Context) (AppendResult, error) {
	st, err := p.call.Wait(ctx)
	if err != nil {
		return AppendResult{}, p.c.lost(p.op, err)
	}
	if st.Kind != "OK" {
		return AppendResult{}, refusal(p.op, ScopeMessage, st)
	}
	if !p.sent {
		return AppendResult{}, &Error{Op: p.op, Scope: ScopeMessage, Class: ClassFinal, Server: st.String(), Err: errUnsent}
	}
	return appendUID(st), nil
}

// appendUID reads APPENDUID (RFC 4315). One that is malformed says nothing; the OK before it stands
// (an application that doubts it would store the message twice).
func appendUID(st wire.Status) AppendResult {
	words := strings.Fields(st.Args)
	if st.Code != "APPENDUID" || len(words) != 2 {
		return AppendResult{}
	}
	validity, err1 := strconv.ParseUint(words[0], 10, 32)
	uid, err2 := strconv.ParseUint(words[1], 10, 32)
	if err1 != nil || err2 != nil || validity == 0 || uid == 0 {
		return AppendResult{}
	}
	return AppendResult{UIDValidity: uint32(validity), UID: uint32(uid)}
}
