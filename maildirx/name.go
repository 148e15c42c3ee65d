package maildirx

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrName is wrapped by the errors of ParseName and ParseUnique.
var ErrName = errors.New("not a message file name")

const (
	infoFlags  = ":2," // begins the flags (Maildir's "info" of version 2)
	sizeField  = "S="  // octets of the file, a Maildir++ field
	vsizeField = "W="  // octets with CRLF line ends, a Dovecot field
	archiveTag = 8     // digits of the archive's id in a unique name
	maxName    = 255   // octets of a file name anywhere
)

// Unique is a message's name for ever, "<seconds>.m<mailbox>e<epoch>u<uid>.<archive>": the seconds since
// 1970 of its INTERNALDATE (0 for none or an earlier one), the numbers the archive knows it by, and the
// first 8 letters and digits of the archive's id. It is the same in every run and no other message of
// the archive has it.
func Unique(date time.Time, mailbox, epoch, uid uint32, archiveID string) string {
	seconds := int64(0)
	if !date.IsZero() {
		seconds = max(date.Unix(), 0)
	}
	return fmt.Sprintf("%d.m%de%du%d.%s", seconds, mailbox, epoch, uid, tag(archiveID))
}

// tag keeps only what can do no harm in a file name: the id is read from a file.
func tag(archiveID string) string {
	var b strings.Builder
	for _, c := range []byte(archiveID) {
		if isLetter(c) || isDigit(c) {
			b.WriteByte(c)
		}
		if b.Len() == archiveTag {
			break
		}
	}
	return b.String()
}

// ParseUnique reads the numbers in a name that Unique wrote. Its errors wrap ErrName.
func ParseUnique(s string) (mailbox, epoch, uid uint32, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || !canonical(parts[0], 64) || tag(parts[2]) != parts[2] {
		return 0, 0, 0, fmt.Errorf("%w: %.300q was not made by this program", ErrName, s)
	}
	rest := parts[1]
	for _, number := range []struct {
		letter string
		to     *uint32
	}{{"m", &mailbox}, {"e", &epoch}, {"u", &uid}} {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, number.letter); !ok {
			return 0, 0, 0, fmt.Errorf("%w: %.300q has no number %s", ErrName, s, number.letter)
		}
		end := 0
		for end < len(rest) && isDigit(rest[end]) {
			end++
		}
		if !canonical(rest[:end], 32) {
			return 0, 0, 0, fmt.Errorf("%w: %.300q has a bad number %s", ErrName, s, number.letter)
		}
		n, _ := strconv.ParseUint(rest[:end], 10, 32)
		*number.to, rest = uint32(n), rest[end:]
	}
	if rest != "" {
		return 0, 0, 0, fmt.Errorf("%w: %.300q goes on after the UID", ErrName, s)
	}
	return mailbox, epoch, uid, nil
}

// canonical reports whether s is a non-negative decimal number of so many bits, as strconv writes it.
func canonical(s string, bits int) bool {
	n, err := strconv.ParseUint(s, 10, bits)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// Name is the file name of a message in cur: "<unique>,S=<size>,W=<vsize>:2,<flags>".
type Name struct {
	Unique string
	Size   int64  // octets of the file; -1 if unknown, then not written
	VSize  int64  // octets with CRLF line ends; -1 if unknown, then not written
	Flags  string // letters, sorted
}

// Base is the part of the name that does not change with the flags; dovecot-uidlist has it.
func (n Name) Base() string {
	s := n.Unique
	if n.Size >= 0 {
		s += "," + sizeField + strconv.FormatInt(n.Size, 10)
	}
	if n.VSize >= 0 {
		s += "," + vsizeField + strconv.FormatInt(n.VSize, 10)
	}
	return s
}

// String is the whole file name.
func (n Name) String() string { return n.Base() + infoFlags + n.Flags }

// ParseName reads the name of a message file, whoever wrote it: sizes and flags may be missing, ";" or
// "!" may stand for ":", flags may come in any order and more than once. Fields it does not know stay in
// Unique. It refuses only what no message file can be called: a name that is empty or has no unique part,
// is longer than 255 octets, begins with a dot, or holds a slash or NUL. Its errors wrap ErrName.
func ParseName(s string) (Name, error) {
	if len(s) > maxName || strings.HasPrefix(s, ".") || strings.ContainsAny(s, "/\x00") {
		return Name{}, fmt.Errorf("%w: %.300q", ErrName, s)
	}
	base, letters := splitInfo(s)
	n := Name{Size: -1, VSize: -1, Flags: sortedLetters([]byte(letters))}
	fields := strings.Split(base, ",")
	kept := fields[:1]
	for _, field := range fields[1:] {
		size, isSize := parseSize(field, sizeField)
		vsize, isVSize := parseSize(field, vsizeField)
		switch {
		case isSize && n.Size < 0:
			n.Size = size
		case isVSize && n.VSize < 0:
			n.VSize = vsize
		case !isSize && !isVSize:
			kept = append(kept, field)
		}
	}
	n.Unique = strings.Join(kept, ",")
	if n.Unique == "" || strings.HasPrefix(n.Unique, ",") {
		return Name{}, fmt.Errorf("%w: %.300q has no unique part", ErrName, s)
	}
	return n, nil
}

// splitInfo finds the flags. A colon always ends the unique part; the separators of systems where a
// colon cannot be in a file name count only right before "2,".
func splitInfo(s string) (base, letters string) {
	if base, info, ok := strings.Cut(s, ":"); ok {
		letters, _ = strings.CutPrefix(info, "2,")
		if letters == info {
			letters = ""
		}
		letters, _, _ = strings.Cut(letters, ",")
		return base, letters
	}
	if at := max(strings.LastIndex(s, ";2,"), strings.LastIndex(s, "!2,")); at >= 0 {
		letters, _, _ = strings.Cut(s[at+len(infoFlags):], ",")
		return s[:at], letters
	}
	return s, ""
}

func parseSize(field, key string) (int64, bool) {
	digits, ok := strings.CutPrefix(field, key)
	if !ok || digits == "" || !isDigit(digits[0]) {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isLetter(c byte) bool { return isLower(c) || c >= 'A' && c <= 'Z' }
