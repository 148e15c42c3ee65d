package maildirx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Names of the files Dovecot keeps: the first two in a mailbox's directory, the last in Root.
const (
	UIDListFile       = "dovecot-uidlist"
	KeywordsFile      = "dovecot-keywords"
	SubscriptionsFile = "subscriptions"
)

// ErrFormat is wrapped by the errors of ParseUIDList, ParseKeywords and ParseSubscriptions, and by
// those of their writers for what the file cannot say.
var ErrFormat = errors.New("bad format")

// maxLine is the longest line, in octets, accepted in Dovecot's files.
const maxLine = 8 << 10

// UIDList is a dovecot-uidlist: which UID each message file of a mailbox has.
type UIDList struct {
	UIDValidity uint32 // 0 if the server gave none
	UIDNext     uint32 // 0 if unknown
	GUID        string // of the mailbox: 32 hexadecimal digits, or "": Dovecot makes one up
	Entries     []UIDEntry
}

// UIDEntry is one line of a dovecot-uidlist.
type UIDEntry struct {
	UID   uint32
	File  string // the file's name up to its flags (Name.Base)
	Size  int64  // octets, if the name has no S=; 0: not written
	VSize int64  // octets with CRLF line ends, if the name has no W=; 0: not written
}

// WriteTo writes the list as Dovecot reads it:
//
//	3 V<UIDVALIDITY> N<UIDNEXT> G<GUID>
//	<UID> [S<size>] [W<vsize>] :<file>
//
// UIDVALIDITY 0 is written as 1 and UIDNEXT is raised above the last UID, since Dovecot throws the whole
// list away over a 0. Nothing is written if an entry is out of order or has no usable name.
func (l *UIDList) WriteTo(w io.Writer) (int64, error) {
	if err := l.check(); err != nil {
		return 0, fmt.Errorf("write %s: %w", UIDListFile, err)
	}
	out := &counter{w: w}
	buf := bufio.NewWriter(out)
	_, err := buf.WriteString(l.header())
	for i := 0; i < len(l.Entries) && err == nil; i++ {
		_, err = buf.WriteString(l.Entries[i].line())
	}
	if err == nil {
		err = buf.Flush()
	}
	return out.n, err
}

func (l *UIDList) header() string {
	s := fmt.Sprintf("3 V%d N%d", max(l.UIDValidity, 1), l.next())
	if l.GUID != "" {
		s += " G" + l.GUID
	}
	return s + "\n"
}

func (e *UIDEntry) line() string {
	s := strconv.FormatUint(uint64(e.UID), 10) + " "
	if e.Size > 0 {
		s += "S" + strconv.FormatInt(e.Size, 10) + " "
	}
	if e.VSize > 0 {
		s += "W" + strconv.FormatInt(e.VSize, 10) + " "
	}
	return s + ":" + e.File + "\n"
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// next is a UIDNEXT that no entry contradicts, as far as 32 bits go.
func (l *UIDList) next() uint32 {
	next := max(l.UIDNext, 1)
	if n := len(l.Entries); n > 0 {
		if last := l.Entries[n-1].UID; last >= next {
			next = max(last, last+1)
		}
	}
	return next
}

func (l *UIDList) check() error {
	if l.GUID != "" && !validGUID(l.GUID) {
		return fmt.Errorf("%w: GUID %.80q", ErrFormat, l.GUID)
	}
	var last uint32
	for _, e := range l.Entries {
		if e.UID <= last {
			return fmt.Errorf("%w: UID %d after %d", ErrFormat, e.UID, last)
		}
		if !validFile(e.File) {
			return fmt.Errorf("%w: UID %d has the file name %.300q", ErrFormat, e.UID, e.File)
		}
		last = e.UID
	}
	return nil
}

func validGUID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func validFile(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '.' && !strings.ContainsAny(s, "/\n\r\x00")
}

// ParseUIDList reads a dovecot-uidlist of version 3. UIDs must ascend and file names must be plain;
// fields it does not know are skipped, and a UIDNEXT that Dovecot has left behind its last entry is
// raised. Lines are at most 8 KiB long. Its errors wrap ErrFormat, but for those of r.
func ParseUIDList(r io.Reader) (*UIDList, error) { return parseUIDList(r, false) }

// ParseForeignUIDList reads what ParseUIDList does, and lists of version 1, the form of Courier's
// courierimapuiddb:
//
//	1 <UIDVALIDITY> <UIDNEXT>
//	<UID> <file>
func ParseForeignUIDList(r io.Reader) (*UIDList, error) { return parseUIDList(r, true) }

func parseUIDList(r io.Reader, foreign bool) (*UIDList, error) {
	l := &UIDList{}
	parseEntry := l.parseEntry
	err := eachLine(r, func(n int, line string) error {
		switch {
		case n == 1 && foreign && strings.HasPrefix(line, "1 "):
			parseEntry = l.parseOldEntry
			return l.parseOldHeader(line)
		case n == 1:
			return l.parseHeader(line)
		}
		return parseEntry(line)
	})
	if err == nil && l.UIDValidity == 0 {
		err = fmt.Errorf("%w: no header", ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", UIDListFile, err)
	}
	l.UIDNext = l.next()
	return l, nil
}

func (l *UIDList) parseHeader(line string) error {
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != "3" {
		return fmt.Errorf("%w: version of %.80q is not 3", ErrFormat, line)
	}
	for _, field := range fields[1:] {
		var err error
		switch field[0] {
		case 'V':
			l.UIDValidity, err = parseUint32(field[1:])
		case 'N':
			l.UIDNext, err = parseUint32(field[1:])
		case 'G':
			if !validGUID(field[1:]) {
				return fmt.Errorf("%w: GUID %.80q", ErrFormat, field[1:])
			}
			l.GUID = field[1:]
		}
		if err != nil {
			return err
		}
	}
	if l.UIDValidity == 0 || l.UIDNext == 0 {
		return fmt.Errorf("%w: header %.80q lacks V or N", ErrFormat, line)
	}
	return nil
}

func (l *UIDList) parseOldHeader(line string) (err error) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return fmt.Errorf("%w: header %.80q", ErrFormat, line)
	}
	if l.UIDValidity, err = parseUint32(fields[1]); err != nil {
		return err
	}
	if l.UIDNext, err = parseUint32(fields[2]); err != nil {
		return err
	}
	if l.UIDValidity == 0 {
		return fmt.Errorf("%w: header %.80q", ErrFormat, line)
	}
	return nil
}

func (l *UIDList) parseOldEntry(line string) error {
	number, file, _ := strings.Cut(line, " ")
	uid, err := parseUint32(number)
	if err != nil {
		return err
	}
	if !validFile(file) {
		return fmt.Errorf("%w: %.80q", ErrFormat, line)
	}
	return l.add(UIDEntry{UID: uid, File: file})
}

// add appends an entry, whose UID must be the highest.
func (l *UIDList) add(e UIDEntry) error {
	if n := len(l.Entries); e.UID == 0 || n > 0 && e.UID <= l.Entries[n-1].UID {
		return fmt.Errorf("%w: UID %d does not ascend", ErrFormat, e.UID)
	}
	l.Entries = append(l.Entries, e)
	return nil
}

func (l *UIDList) parseEntry(line string) error {
	fields, file, ok := strings.Cut(line, ":")
	words := strings.Fields(fields)
	if !ok || len(words) == 0 || !validFile(file) {
		return fmt.Errorf("%w: %.80q", ErrFormat, line)
	}
	uid, err := parseUint32(words[0])
	if err != nil {
		return err
	}
	e := UIDEntry{UID: uid, File: file}
	for _, word := range words[1:] {
		switch word[0] {
		case 'S':
			e.Size, err = parseOctets(word[1:])
		case 'W':
			e.VSize, err = parseOctets(word[1:])
		}
		if err != nil {
			return err
		}
	}
	return l.add(e)
}

func parseUint32(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: number %.80q", ErrFormat, s)
	}
	return uint32(n), nil
}

func parseOctets(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: size %.80q", ErrFormat, s)
	}
	return n, nil
}

// eachLine calls fn with each line and its number from 1. The last line needs no newline.
func eachLine(r io.Reader, fn func(n int, line string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := fn(n, lines.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return fmt.Errorf("line %d: %w: longer than %d octets", n+1, ErrFormat, maxLine)
		}
		return err
	}
	return nil
}
