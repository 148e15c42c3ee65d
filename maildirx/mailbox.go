package maildirx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Root is the directory of INBOX, and of the whole tree.
const Root = "Maildir"

// ErrMailboxDir is wrapped by ParseDir's errors.
var ErrMailboxDir = errors.New("not a Maildir++ mailbox directory")

const (
	inbox = "INBOX"

	// maxDirName is the longest directory name in octets, its leading dot included. File systems take
	// 255; the rest is room for whoever copies the tree to one that encodes names at greater length.
	maxDirName = 200
	hashMark   = "~"
	hashDigits = 16
)

// What a level cannot say in UTF-8 is said with private-use characters: octet n is U+EF00+n, an empty
// level U+EF01. (MirBSD's OPTU-8 uses the same characters for raw octets. A backslash escape would be
// shorter, but Dovecot 2.3 aborts on a listing in which an escape makes invalid UTF-8.)
const (
	octetBase  rune = 0xEF00
	octetLast  rune = 0xEFFF
	emptyLevel rune = 0xEF01
)

// Dir is the directory of a mailbox in the tree, with "/" between parts: ["INBOX"] is "Maildir",
// ["Work", "2016"] is "Maildir/.Work.2016". INBOX is compared without case where it is the only level,
// and only there. An empty path is no mailbox; it is taken for [""].
//
// Each level is written in modified UTF-7 and then escaped as Dovecot's listescape plugin does: a
// backslash and two lower-case hexadecimal digits for ".", "/", "\", and for "~" that begins a level.
// Different paths give different directories, whatever octets their levels hold:
//   - NUL, and each octet that is not part of valid UTF-8, is written as U+EF00 + octet; so is, octet
//     by octet, each character from U+EF00 to U+EFFF itself; an empty level is U+EF01 alone;
//   - a name longer than 200 octets is cut at a character and ends in "~" and 16 hexadecimal digits,
//     the beginning of the SHA-256 of the whole name. So does a name that by itself ends like that, cut
//     or not. These names cannot be turned back, and differ as surely as the hash does.
//
// The result holds no "..", no NUL and no "/" but the one after Root.
func Dir(path []string) string {
	if len(path) == 0 {
		path = []string{""}
	}
	if len(path) == 1 && strings.EqualFold(path[0], inbox) {
		return Root
	}
	name := dirName(path)
	if len(name) > maxDirName || hashed(name) {
		name = shorten(path, name)
	}
	return Root + "/" + name
}

func dirName(path []string) string {
	var b strings.Builder
	for _, level := range path {
		b.WriteByte('.')
		b.WriteString(encodeLevel(level))
	}
	return b.String()
}

// hashed reports whether a directory name ends as shorten ends it.
func hashed(name string) bool {
	at := len(name) - len(hashMark) - hashDigits
	return at >= 0 && strings.HasPrefix(name[at:], hashMark) &&
		strings.Trim(name[at+len(hashMark):], "0123456789abcdef") == ""
}

func shorten(path []string, name string) string {
	const room = maxDirName - len(hashMark) - hashDigits
	cut := firstOctets(path)
	for len(dirName(cut)) > room {
		last := len(cut) - 1
		_, size := utf8.DecodeLastRuneInString(cut[last])
		cut[last] = cut[last][:len(cut[last])-size]
		if cut[last] == "" {
			cut = cut[:last]
		}
	}
	sum := sha256.Sum256([]byte(name))
	return dirName(cut) + hashMark + hex.EncodeToString(sum[:])[:hashDigits]
}

// firstOctets copies as much of a path as could fit a directory name: no octet of a level takes less
// than 0.88 octets there.
func firstOctets(path []string) []string {
	const enough = maxDirName * 3 / 2
	var cut []string
	left := enough
	for _, level := range path {
		if len(level) > left {
			level = level[:left]
		}
		left -= len(level) + 1
		cut = append(cut, level)
		if left <= 0 {
			break
		}
	}
	return cut
}

func encodeLevel(level string) string {
	return escape(EncodeUTF7(wrapOctets(level)))
}

// ForeignLevel is what one level of a directory's name says, whoever wrote it: decoded if it is in the form of
// Dir, else as it stands.
func ForeignLevel(s string) string {
	level, err := decodeLevel(s)
	if err != nil {
		return s
	}
	return level
}

// decodeLevel undoes encodeLevel and accepts nothing else.
func decodeLevel(s string) (string, error) {
	plain, err := unescape(s)
	if err != nil {
		return "", err
	}
	text, err := DecodeUTF7(plain)
	if err != nil {
		return "", err
	}
	level := unwrapOctets(text)
	if encodeLevel(level) != s {
		return "", fmt.Errorf("level %.80q is not in the one form allowed", s)
	}
	return level, nil
}

func wrapOctets(level string) string {
	if level == "" {
		return string(emptyLevel)
	}
	var b strings.Builder
	for level != "" {
		r, size := utf8.DecodeRuneInString(level)
		bad := r == utf8.RuneError && size == 1
		if bad || r == 0 || r >= octetBase && r <= octetLast {
			for _, octet := range []byte(level[:size]) {
				b.WriteRune(octetBase + rune(octet))
			}
		} else {
			b.WriteRune(r)
		}
		level = level[size:]
	}
	return b.String()
}

func unwrapOctets(text string) string {
	if text == string(emptyLevel) {
		return ""
	}
	var b strings.Builder
	for _, r := range text {
		if r >= octetBase && r <= octetLast {
			b.WriteByte(byte(r & 0xff))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func escape(level string) string {
	var b strings.Builder
	for i, c := range []byte(level) {
		switch {
		case c == '.', c == '/', c == '\\', c == '~' && i == 0:
			fmt.Fprintf(&b, `\%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, escaped := strings.Cut(s, `\`)
		b.WriteString(plain)
		if !escaped {
			return b.String(), nil
		}
		if len(rest) < 2 {
			return "", errors.New("escape is cut short")
		}
		octet, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", fmt.Errorf("escape %q: %w", rest[:2], err)
		}
		b.Write(octet)
		s = rest[2:]
	}
}

// ParseDir turns a directory of the tree into the mailbox's path. It is strict: it accepts exactly what
// Dir writes, and its errors wrap ErrMailboxDir. exact is false for a name that Dir has shortened; path
// is then what is left of it, with the mark and the hash at the end of the last level.
func ParseDir(dir string) (path []string, exact bool, err error) {
	if dir == Root {
		return []string{inbox}, true, nil
	}
	name, ok := strings.CutPrefix(dir, Root+"/.")
	if !ok || len(name) >= maxDirName {
		return nil, false, fmt.Errorf("%w: %.300q", ErrMailboxDir, dir)
	}
	tail := ""
	if hashed(name) {
		at := strings.LastIndex(name, hashMark)
		name, tail = name[:at], name[at:]
	}
	for _, s := range strings.Split(name, ".") {
		level, err := decodeLevel(s)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %.300q: %w", ErrMailboxDir, dir, err)
		}
		path = append(path, level)
	}
	if tail == "" && Dir(path) != dir {
		return nil, false, fmt.Errorf("%w: %.300q is written otherwise", ErrMailboxDir, dir)
	}
	path[len(path)-1] += tail
	return path, tail == "", nil
}
