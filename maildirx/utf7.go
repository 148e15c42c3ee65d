package maildirx

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrUTF7 is wrapped by DecodeUTF7's errors.
var ErrUTF7 = errors.New("not modified UTF-7")

// utf7Encoding is the base64 of RFC 3501, section 5.1.3: a comma for the slash, no padding.
func utf7Encoding() *base64.Encoding {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"
	return base64.NewEncoding(alphabet).WithPadding(base64.NoPadding)
}

// direct reports whether modified UTF-7 writes r as itself ("&" is written "&-").
func direct(r rune) bool { return r >= ' ' && r <= '~' }

// EncodeUTF7 writes UTF-8 text in modified UTF-7 (RFC 3501, section 5.1.3). Octets that are no UTF-8
// become U+FFFD.
func EncodeUTF7(s string) string {
	var b strings.Builder
	for s != "" {
		plain := strings.IndexFunc(s, func(r rune) bool { return !direct(r) || r == '&' })
		if plain < 0 {
			plain = len(s)
		}
		b.WriteString(s[:plain])
		s = s[plain:]
		if strings.HasPrefix(s, "&") {
			b.WriteString("&-")
			s = s[1:]
			continue
		}
		end := strings.IndexFunc(s, direct)
		if end < 0 {
			end = len(s)
		}
		if end > 0 {
			b.WriteString("&" + shift(s[:end]) + "-")
		}
		s = s[end:]
	}
	return b.String()
}

func shift(s string) string {
	units := utf16.Encode([]rune(s))
	octets := make([]byte, 0, 2*len(units))
	for _, u := range units {
		octets = append(octets, byte(u>>8), byte(u&0xff))
	}
	return utf7Encoding().EncodeToString(octets)
}

// DecodeUTF7 reads modified UTF-7. It is strict: it accepts exactly what EncodeUTF7 writes, and so
// refuses 8-bit and control octets, shifts that are not closed, follow each other or hold printable
// ASCII, padding bits that are not zero, and half surrogate pairs. Errors wrap ErrUTF7.
func DecodeUTF7(s string) (string, error) {
	var b strings.Builder
	for rest := s; rest != ""; {
		plain, after, shifted := strings.Cut(rest, "&")
		b.WriteString(plain)
		if !shifted {
			break
		}
		code, next, closed := strings.Cut(after, "-")
		if !closed {
			return "", fmt.Errorf("%w: %.80q has an open shift", ErrUTF7, s)
		}
		text, err := unshift(code)
		if err != nil {
			return "", fmt.Errorf("%w: %.80q: %w", ErrUTF7, s, err)
		}
		b.WriteString(text)
		rest = next
	}
	text := b.String()
	if !utf8.ValidString(text) || EncodeUTF7(text) != s {
		return "", fmt.Errorf("%w: %.80q is not in the one form allowed", ErrUTF7, s)
	}
	return text, nil
}

func unshift(code string) (string, error) {
	if code == "" {
		return "&", nil
	}
	octets, err := utf7Encoding().DecodeString(code)
	if err != nil {
		return "", err
	}
	if len(octets)%2 != 0 {
		return "", errors.New("odd number of octets in a shift")
	}
	units := make([]uint16, 0, len(octets)/2)
	for i := 0; i < len(octets); i += 2 {
		units = append(units, uint16(octets[i])<<8|uint16(octets[i+1]))
	}
	return string(utf16.Decode(units)), nil
}
