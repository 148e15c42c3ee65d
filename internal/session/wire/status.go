package wire

import (
	"bytes"
	"strings"
	"unicode"
)

// maxText is the length in octets at which a server's words are cut.
const maxText = 600

// Status is a status response (RFC 9051, section 7.1) or a continuation request (section 7.6).
type Status struct {
	Tag  string // "*" for untagged, "+" for a continuation request
	Kind string // OK, NO, BAD, BYE, PREAUTH; "" for a continuation request
	Code string // response code, upper case: APPENDUID, TRYCREATE …
	Args string // what follows the code inside the brackets
	Text string // for people; control characters removed, cut at 600 octets
}

// String gives the server's words: the text, or else the code.
func (s Status) String() string {
	switch {
	case s.Text == "" && s.Code != "":
		return "[" + s.Code + "]"
	case s.Code == "ALERT":
		return "[ALERT] " + s.Text
	case s.Code == "WEBALERT": // Gmail: the address is the message
		return clean("[WEBALERT " + s.Args + "] " + s.Text)
	}
	return s.Text
}

// alert gives the words of an alert without its code.
func (s Status) alert() string {
	if s.Code == "ALERT" && s.Text != "" {
		return s.Text
	}
	return s.String()
}

// isAlert reports whether the text must be shown to the user (RFC 9051, section 7.1).
func (s Status) isAlert() bool { return s.Code == "ALERT" || s.Code == "WEBALERT" }

// isStatus reports whether a line is text for people, which holds no literal whatever it ends with.
func isStatus(l []byte) bool {
	tag, rest, _ := bytes.Cut(l, []byte(" "))
	if len(tag) > 0 && tag[0] == '+' {
		return true
	}
	kind, _, _ := bytes.Cut(bytes.TrimRight(rest, "\r\n"), []byte(" "))
	return statusKind(kind) != ""
}

func statusKind(word []byte) string {
	if len(word) > len("PREAUTH") {
		return ""
	}
	switch kind := strings.ToUpper(string(word)); kind {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return kind
	}
	return ""
}

// ParseStatus reads a status response or a continuation request.
func ParseStatus(l []byte) (Status, bool) {
	if !isStatus(l) {
		return Status{}, false
	}
	line := strings.TrimRight(string(l), "\r\n")
	if strings.HasPrefix(line, "+") {
		return Status{Tag: "+", Text: clean(strings.TrimPrefix(line[1:], " "))}, true
	}
	tag, rest, _ := strings.Cut(line, " ")
	kind, text, _ := strings.Cut(rest, " ")
	st := Status{Tag: tag, Kind: statusKind([]byte(kind))}
	if inner, after, ok := cutCode(text); ok {
		code, args, _ := strings.Cut(inner, " ")
		st.Code, st.Args = strings.ToUpper(code), args
		text = strings.TrimPrefix(after, " ")
	}
	st.Text = clean(text)
	return st, true
}

// cutCode splits "[CODE args] text". Brackets that do not open with an atom belong to the text
// (Office 365: [Error="…" Proxy=…]).
func cutCode(text string) (inner, after string, ok bool) {
	if !strings.HasPrefix(text, "[") {
		return "", "", false
	}
	inner, after, ok = strings.Cut(text[1:], "]")
	if !ok {
		return "", "", false
	}
	code, _, _ := strings.Cut(inner, " ")
	isAtom := code != "" && strings.IndexFunc(code, func(r rune) bool {
		return r > '~' || r < '!' || strings.ContainsRune("=\"(){}%*\\", r)
	}) < 0
	return inner, after, isAtom
}

// clean makes a server's words safe to print.
func clean(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text))
}
