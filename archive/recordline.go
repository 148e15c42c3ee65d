package archive

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// messageLine is what a message record says, in the forms that the catalog keeps.
type messageLine struct {
	key     Key
	sum     Sum
	date    time.Time
	flags   []string
	letters string
	size    int64
	place   Place
	link    bool
	shares  bool // the file is that of another message
	file    Key  // of that message
}

// messageLine reads what a message record says. Whether it fits the catalog is not looked at.
func (r *record) messageLine() (messageLine, error) {
	m := messageLine{
		key: Key{Mailbox: r.Mailbox, Epoch: r.Epoch, UID: r.UID}, flags: r.Flags, letters: r.Letters, size: r.Size,
		link: r.Link || r.File != nil, shares: r.File != nil,
	}
	var err error
	if m.sum, err = ParseSum(r.SHA256); err != nil {
		return m, err
	}
	if m.date, err = parseDate(r.Date); err != nil {
		return m, err
	}
	if len(r.At) != 3 || r.At[0] < 1 || r.At[0] > maxSegment || r.At[1] < 0 || r.At[2] < 0 ||
		r.Size < 0 || r.Size > MaxMessageSize {
		return m, fmt.Errorf("UID %d: place %v or size %d is out of range", r.UID, r.At, r.Size)
	}
	m.place = Place{Segment: uint32(r.At[0]), Frame: r.At[1], Pos: r.At[2]} //nolint:gosec // checked above
	if len(r.Letters) > maxLetters {
		return m, fmt.Errorf("UID %d: %d flag letters", r.UID, len(r.Letters))
	}
	if m.shares {
		if len(r.File) != 2 {
			return m, fmt.Errorf("UID %d: file %v is no epoch and UID", r.UID, r.File)
		}
		m.file = Key{Mailbox: r.Mailbox, Epoch: r.File[0], UID: r.File[1]}
	}
	return m, nil
}

// lineReader reads the records of which a catalog has very many, message and flags, in exactly the form in which
// appendRecord writes them: fifteen times as fast as encoding/json, and with nothing left for the garbage collector. Of
// any other line, valid or not, it says that it does not know it; then encoding/json reads it and is the judge. It lives
// as long as one commit is read, and what it returns does not refer to the line.
type lineReader struct {
	catalog *Catalog
	flags   map[string][]string // by their JSON text
	letters map[string]string
	zones   map[int]*time.Location // by offset in seconds

	lastDay  string // year, month and day of the last date; mail comes in by the day
	midnight int64  // its beginning in UTC, seconds since 1970
}

func newLineReader(c *Catalog) *lineReader {
	return &lineReader{
		catalog: c, flags: make(map[string][]string), letters: make(map[string]string), zones: make(map[int]*time.Location),
	}
}

// message reads a message record.
func (l *lineReader) message(line []byte, m *messageLine) (known bool) {
	s := lineScan{rest: line}
	*m = messageLine{}
	s.want(`{"t":"message"`)
	m.key = s.key()
	if s.has(`,"date":"`) {
		m.date = l.date(&s)
	}
	if s.has(`,"flags":`) {
		m.flags = l.flagList(&s)
	}
	if s.has(`,"letters":"`) {
		m.letters = l.letterText(&s)
	}
	if s.has(`,"size":`) {
		m.size = s.number(MaxMessageSize)
	}
	s.want(`,"sha256":"`)
	m.sum = s.sum()
	s.want(`","at":[`)
	m.place.Segment = uint32(s.number(maxSegment)) //nolint:gosec // bounded in the same line
	s.want(`,`)
	m.place.Frame = s.number(maxLineNumber)
	s.want(`,`)
	m.place.Pos = s.number(maxLineNumber)
	s.want(`]`)
	m.link = s.has(`,"link":true`)
	if s.has(`,"file":[`) {
		m.link, m.shares = true, true
		m.file = Key{Mailbox: m.key.Mailbox, Epoch: s.number32()}
		s.want(`,`)
		m.file.UID = s.number32()
		s.want(`]`)
	}
	s.want(`}`)
	return s.ended() && m.place.Segment > 0
}

// flagsRecord reads a flags record.
func (l *lineReader) flagsRecord(line []byte) (key Key, flags []string, known bool) {
	s := lineScan{rest: line}
	s.want(`{"t":"flags"`)
	key = s.key()
	if s.has(`,"flags":`) {
		flags = l.flagList(&s)
	}
	s.want(`}`)
	return key, flags, s.ended()
}

// flagList reads a list of flags. Equal texts are decoded once.
func (l *lineReader) flagList(s *lineScan) []string {
	text := s.array()
	if list, ok := l.flags[string(text)]; ok || s.failed {
		return list
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		s.failed = true
		return nil
	}
	list = l.catalog.internFlags(list)
	l.flags[string(text)] = list
	return list
}

func (l *lineReader) letterText(s *lineScan) string {
	text := s.text(maxLetters)
	if letters, ok := l.letters[string(text)]; ok {
		return letters
	}
	letters := string(text)
	l.letters[letters] = letters
	return letters
}

// date reads a date in the layout of dateLayout, without fractions of a second, and the quote behind it.
func (l *lineReader) date(s *lineScan) time.Time {
	midnight := l.day(s)
	s.want(`T`)
	hour := s.digits(2)
	s.want(`:`)
	minute := s.digits(2)
	s.want(`:`)
	second := s.digits(2)
	s.failed = s.failed || hour > 23 || minute > 59 || second > 59
	offset := 0
	if !s.has(`Z`) {
		sign := 1
		if s.has(`-`) {
			sign = -1
		} else {
			s.want(`+`)
		}
		h := s.digits(2)
		s.want(`:`)
		m := s.digits(2)
		offset = sign * (h*3600 + m*60)
		s.failed = s.failed || h > 23 || m > 59
	}
	s.want(`"`)
	zone := l.zones[offset]
	if zone == nil {
		zone = time.FixedZone("", offset)
		l.zones[offset] = zone
	}
	return time.Unix(midnight+int64(hour*3600+minute*60+second-offset), 0).In(zone)
}

// day reads year, month and day, and returns the seconds from 1970 to its beginning in UTC.
func (l *lineReader) day(s *lineScan) int64 {
	if l.lastDay != "" && s.has(l.lastDay) {
		return l.midnight
	}
	text := s.rest
	year := s.digits(4)
	s.want(`-`)
	month := s.digits(2)
	s.want(`-`)
	day := s.digits(2)
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	// time.Date takes any number of days and months; parseDate does not.
	s.failed = s.failed || month < 1 || month > 12 || t.Day() != day
	if !s.failed {
		l.lastDay, l.midnight = string(text[:len(text)-len(s.rest)]), t.Unix()
	}
	return t.Unix()
}

// apply brings the catalog up to date with a line, if it is of a kind and form that the reader knows.
func (l *lineReader) apply(line []byte) (known bool, err error) {
	if len(line) < len(`{"t":"m`) {
		return false, nil
	}
	kind := ""
	switch line[6] {
	case 'm':
		var m messageLine
		if !l.message(line, &m) {
			return false, nil
		}
		kind, err = recMessage, l.catalog.addMessage(&m)
	case 'f':
		key, flags, ok := l.flagsRecord(line)
		if !ok {
			return false, nil
		}
		kind, err = recFlags, l.catalog.setFlags(key, flags)
	default:
		return false, nil
	}
	return true, applyError(kind, err)
}

// maxLineNumber is what lineScan reads at most: 18 digits, so that nothing overflows.
const maxLineNumber = 1e18 - 1

// lineScan reads a line from the left. Once something is not as it should be, it has failed for good.
type lineScan struct {
	rest   []byte
	failed bool
}

// has passes over a text if it is next.
func (s *lineScan) has(text string) bool {
	if len(s.rest) < len(text) || string(s.rest[:len(text)]) != text {
		return false
	}
	s.rest = s.rest[len(text):]
	return true
}

// want passes over a text that must be next.
func (s *lineScan) want(text string) {
	if !s.has(text) {
		s.failed = true
	}
}

func (s *lineScan) ended() bool { return !s.failed && len(s.rest) == 0 }

// number reads a whole number without sign, as JSON has them: no zero in front.
func (s *lineScan) number(limit int64) int64 {
	var v int64
	i := 0
	for ; i < len(s.rest) && i < 18 && s.rest[i]-'0' <= 9; i++ {
		v = v*10 + int64(s.rest[i]-'0')
	}
	s.failed = s.failed || i == 0 || i > 1 && s.rest[0] == '0' || v > limit
	s.rest = s.rest[i:]
	return v
}

func (s *lineScan) number32() uint32 { return uint32(s.number(1<<32 - 1)) } //nolint:gosec // bounded in the same line

// digits reads exactly n of them.
func (s *lineScan) digits(n int) (v int) {
	if len(s.rest) < n {
		s.failed = true
		return 0
	}
	for _, c := range s.rest[:n] {
		s.failed = s.failed || c-'0' > 9
		v = v*10 + int(c-'0')
	}
	s.rest = s.rest[n:]
	return v
}

// key reads the members that a message is known by.
func (s *lineScan) key() (k Key) {
	s.want(`,"mailbox":`)
	k.Mailbox = s.number32()
	s.want(`,"epoch":`)
	k.Epoch = s.number32()
	s.want(`,"uid":`)
	k.UID = s.number32()
	return k
}

func (s *lineScan) sum() (sum Sum) {
	n := hex.EncodedLen(len(sum))
	if len(s.rest) < n {
		s.failed = true
		return sum
	}
	if _, err := hex.Decode(sum[:], s.rest[:n]); err != nil {
		s.failed = true
	}
	s.rest = s.rest[n:]
	return sum
}

// text reads a string of ASCII without escapes, and the quote behind it.
func (s *lineScan) text(limit int) []byte {
	for i, c := range s.rest {
		if c == '"' && i <= limit {
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text
		}
		if c < ' ' || c > '~' || c == '\\' || i >= limit {
			break
		}
	}
	s.failed = true
	return nil
}

// array passes over a list of strings, and returns all of it.
func (s *lineScan) array() []byte {
	quoted := false
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case i == 0 && c != '[':
			s.failed = true
			return nil
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			array := s.rest[:i+1]
			s.rest = s.rest[i+1:]
			return array
		}
	}
	s.failed = true
	return nil
}
