package session

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"

	"mailark/internal/session/wire"
	"mailark/maildirx"
)

// maxLeveled is the longest name in octets whose levels are looked at one by one where it cannot be decoded as a whole.
const maxLeveled = 8 << 10

// Names gives every mailbox of an account a name to be shown, by which it can be opened, whatever the octets are that
// the server knows it by: raw UTF-8 or Shift_JIS (quirk LIST-11), broken modified UTF-7 (LIST-12), one that hides a
// delimiter, "..", or NUL (LIST-13). A name once given stays. Connections to the same account share one; its methods
// may be called from any goroutine. Make one with NewNames.
type Names struct {
	mu    sync.Mutex
	given map[string]givenName // by the raw name
	raws  map[string]string    // by the given name
}

type givenName struct {
	name  string
	alike bool // another raw name decodes to the same
}

// NewNames knows no mailboxes.
func NewNames() *Names {
	return &Names{given: make(map[string]givenName), raws: make(map[string]string)}
}

// rawName gives the octets of a name that go-imap would write otherwise.
func (n *Names) rawName(name string) (raw string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	raw, ok = n.raws[name]
	return raw, ok && (!wire.Sayable(raw) || n.given[raw].alike)
}

// assign gives names to what LIST has answered. Those in good order come first, so that they are called what every
// other program calls them.
func (n *Names) assign(list []listed) map[string]givenName {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, sayable := range []bool{true, false} {
		for _, data := range list {
			if wire.Sayable(data.raw) == sayable {
				n.give(data.raw, delimString(data.Delim))
			}
		}
	}
	names := make(map[string]givenName, len(list))
	for _, data := range list {
		names[data.raw] = n.given[data.raw]
	}
	return names
}

// give names one mailbox. A level below a mailbox with a name of its own is below that.
func (n *Names) give(raw, delim string) givenName {
	if g, ok := n.given[raw]; ok {
		return g
	}
	above, level := "", raw
	natural := raw
	switch at := strings.LastIndex(raw, delim); {
	case wire.Sayable(raw):
		if name, err := maildirx.DecodeUTF7(raw); err == nil {
			natural = name
		}
	case delim == "" || at < 0 || len(raw) > maxLeveled:
		natural = display(raw, delim)
	default:
		above, level = n.give(raw[:at], delim).name+delim, raw[at+len(delim):]
		natural = above + display(level, delim)
	}
	g := givenName{name: natural}
	for i := 1; n.taken(g.name, raw); i++ {
		g = givenName{name: fmt.Sprintf("%s (written %s)", natural, written(level, delim)), alike: true}
		if i > 1 {
			g.name = fmt.Sprintf("%s (%d)", g.name, i)
		}
	}
	n.given[raw], n.raws[g.name] = g, raw
	return g
}

func (n *Names) taken(name, raw string) bool {
	other, ok := n.raws[name]
	return ok && other != raw
}

// written shows the octets of a level in ASCII, without the delimiter.
func written(level, delim string) string {
	if len(level) > 200 {
		level = level[:200]
	}
	text := fmt.Sprintf("%+q", level)
	if delim == "" {
		return text
	}
	return strings.ReplaceAll(text, delim, "_")
}

// display is a name as people should see it: shifts of modified UTF-7 are decoded where they hold what they may, raw
// UTF-8 is taken as it is, anything else for Japanese of old, or else shown by its octets. Neither a
// delimiter nor a control character comes out of it that was not there before.
func display(raw, delim string) string {
	if !utf8.ValidString(raw) {
		return harmless(foreignText(raw), delim, raw)
	}
	var b strings.Builder
	for rest := raw; rest != ""; {
		plain, shifted, found := strings.Cut(rest, "&")
		b.WriteString(plain)
		if !found {
			break
		}
		code, after, closed := strings.Cut(shifted, "-")
		text, err := maildirx.DecodeUTF7("&" + code + "-")
		if !closed || err != nil || strings.ContainsFunc(text, isControl) {
			b.WriteByte('&')
			rest = shifted
			continue
		}
		b.WriteString(text)
		rest = after
	}
	return harmless(b.String(), delim, raw)
}

// harmless shows control characters by their octets. raw is what text was made of: a text with more delimiters than
// that is not used.
func harmless(text, delim, raw string) string {
	if delim != "" && strings.Count(text, delim) != strings.Count(raw, delim) {
		text = octets(raw)
	}
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isControl(r) {
			fmt.Fprintf(&b, "=%02X", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// foreignText decodes EUC-JP and Shift_JIS, which Japanese servers before modified UTF-7 had in names.
func foreignText(raw string) string {
	for _, charset := range []encoding.Encoding{japanese.EUCJP, japanese.ShiftJIS} {
		text, err := charset.NewDecoder().String(raw)
		if err == nil && !strings.ContainsFunc(text, isControl) {
			return text
		}
	}
	return octets(raw)
}

// octets shows what is no ASCII by its octets.
func octets(raw string) string {
	var b strings.Builder
	for _, c := range []byte(raw) {
		if c < ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "=%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isControl recognises control characters of ASCII and C1, and what stands for octets that are no text.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }
