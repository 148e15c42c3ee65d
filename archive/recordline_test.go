package archive

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const lineSum = "5892e122748ba3b5a89214375541f8461fc413671b3dec86dca01432d23e870f"

// lineSeeds are lines of the kinds that lineReader reads, and whether it is to know them itself. It may leave any line to
// encoding/json, but what our writer writes it must read, or opening is slow.
func lineSeeds() map[string]bool {
	message := func(middle, end string) string {
		return `{"t":"message","mailbox":1,"epoch":1,"uid":17` + middle + `,"sha256":"` + lineSum + `","at":[1,0,512]` + end
	}
	return map[string]bool{
		message("", "}"): true,
		message(`,"date":"2001-10-10T15:49:17+02:00","flags":["\\Seen","$Forwarded"],"letters":"Sc","size":23`, "}"):    true,
		message(`,"date":"2024-02-29T23:59:59Z","flags":["\\Seen","日本","a]b\"c\\"],"size":2147483647`, `,"link":true}`): true,
		message(`,"date":"0000-01-01T00:00:00-23:59"`, `,"link":true,"file":[1,4294967295]}`):                           true,
		message(`,"flags":["\u0000"]`, `,"file":[0,0]}`):                                                                true,
		message(`,"date":"2001-10-10T15:49:17.5+02:00"`, "}"):                                                           false,
		message(`,"date":"2001-10-10T15:49:17+24:00"`, "}"):                                                             false,
		message(`,"date":"2023-02-29T15:49:17Z"`, "}"):                                                                  false,
		message(`,"date":"2023-00-01T15:49:17Z"`, "}"):                                                                  false,
		message(`,"date":"2023-01-01T24:00:00Z"`, "}"):                                                                  false,
		message(`,"date":"2023-01-01T23:00:60Z"`, "}"):                                                                  false,
		message(`,"date":"2023-01-01T23:00:00"`, "}"):                                                                   false,
		message(`,"date":""`, "}"):                                                                                      false,
		message(`,"flags":null`, "}"):                                                                                   false,
		message(`,"flags":[1]`, "}"):                                                                                    false,
		message(`,"flags":["a",]`, "}"):                                                                                 false,
		message(`,"flags":["a]`, "}"):                                                                                   false,
		message(`,"letters":"`+strings.Repeat("S", maxLetters)+`"`, "}"):                                                true,
		message(`,"letters":"`+strings.Repeat("S", maxLetters+1)+`"`, "}"):                                              false,
		message(`,"letters":"\u0053"`, "}"):                                                                             false,
		message(`,"letters":"é"`, "}"):                                                                                  false,
		message(`,"size":2147483648`, "}"):                                                                              false,
		message(`,"size":-1`, "}"):                                                                                      false,
		message(`,"size":01`, "}"):                                                                                      false,
		message(`,"size":1e3`, "}"):                                                                                     false,
		message(`,"size":1,"size":2`, "}"):                                                                              false,
		message(`,"subject":"later versions may say more"`, "}"):                                                        false,
		message("", ` }`):                      false,
		message("", `,"link":false}`):          false,
		message("", `,"file":[1]}`):            false,
		message("", `,"file":[1,4294967296]}`): false,
		message("", `}}`):                      false,
		message("", ``):                        false,
		strings.Replace(message("", "}"), `"at":[1,0,512]`, `"at":[1,999999999999999999,999999999999999999]`, 1): true,
		strings.Replace(message("", "}"), `"at":[1,0,512]`, `"at":[1,1000000000000000000,0]`, 1):                 false,
		strings.Replace(message("", "}"), `"at":[1,0,512]`, `"at":[0,0,512]`, 1):                                 false,
		strings.Replace(message("", "}"), `"at":[1,0,512]`, `"at":[1000000,0,512]`, 1):                           false,
		strings.Replace(message("", "}"), `"at":[1,0,512]`, `"at":[1,0]`, 1):                                     false,
		strings.Replace(message("", "}"), `"at":[1,0,512]`, `"at":[1,-1,512]`, 1):                                false,
		strings.Replace(message("", "}"), lineSum, strings.ToUpper(lineSum), 1):                                  true,
		strings.Replace(message("", "}"), lineSum, "g"+lineSum[1:], 1):                                           false,
		strings.Replace(message("", "}"), `"uid":17`, `"UID":17`, 1):                                             false,
		strings.Replace(message("", "}"), `"uid":17`, `"uid":"17"`, 1):                                           false,
		strings.Replace(message("", "}"), `"mailbox":1,"epoch":1`, `"epoch":1,"mailbox":1`, 1):                   false,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"flags":["\\Seen","\\Flagged"]}`:                            true,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17}`:                                                           true,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"flags":[]}`:                                                true,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"flags":["\ud800"]}`:                                        true,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"flags":["a"],"flags":["b"]}`:                               false,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"flags":[["a"]]}`:                                           false,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"text":"x"}`:                                                false,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":17,"flags":["` + "\x01" + `"]}`:                                false,
		`{"t":"message"}`: false,
		`{"t":"flags"`:    false,
		``:                false,
	}
}

// checkLine compares what lineReader makes of a line with what encoding/json does.
func checkLine(t *testing.T, l *lineReader, line []byte) (known bool) {
	t.Helper()
	own := bytes.Clone(line)
	var fast messageLine
	key, flags, isFlags := l.flagsRecord(own)
	isMessage := l.message(own, &fast)
	for i := range own {
		own[i] = '#' // nothing may refer to the line
	}
	if !isFlags && !isMessage {
		return false
	}
	r, err := parseRecord(line)
	if err != nil {
		t.Fatalf("%q: known, yet %v", line, err)
	}
	if isFlags {
		if r.T != recFlags || key != (Key{r.Mailbox, r.Epoch, r.UID}) || !slices.Equal(flags, r.Flags) {
			t.Errorf("%q: key %v, flags %q", line, key, flags)
		}
		return true
	}
	slow, err := r.messageLine()
	if err != nil || r.T != recMessage {
		t.Fatalf("%q: known, yet %v", line, err)
	}
	if !fast.date.Equal(slow.date) || formatDate(fast.date) != formatDate(slow.date) || fast.date.IsZero() != slow.date.IsZero() ||
		fast.date.Location().String() != slow.date.Location().String() || !slices.Equal(fast.flags, slow.flags) {
		t.Errorf("%q: date %v or flags %q", line, fast.date, fast.flags)
	}
	fast.date, slow.date, fast.flags, slow.flags = time.Time{}, time.Time{}, nil, nil
	if !reflect.DeepEqual(fast, slow) {
		t.Errorf("%q:\n%+v\n%+v", line, fast, slow)
	}
	return true
}

func TestLineReaderKnowsWhatIsWritten(t *testing.T) {
	c := newCatalog(fuzzInfo())
	l := newLineReader(&c)
	for range 2 { // the second time flags and letters are known
		for line, want := range lineSeeds() {
			if known := checkLine(t, l, []byte(line)); known != want {
				t.Errorf("%s: known %v", line, known)
			}
		}
	}
	for _, r := range []*record{
		{T: recMessage, Mailbox: 3, Epoch: 2, UID: 1, SHA256: lineSum, At: []int64{1, 0, 0}},
		{
			T: recMessage, Mailbox: 3, Epoch: 2, UID: 1<<32 - 1, Date: formatDate(time.Date(1969, 12, 31, 23, 59, 59, 0, zoneOf(-34200))),
			Flags: []string{`\Seen`, "<&>", "\u2028", `a"b\`, ""}, Letters: "FSaz", Size: MaxMessageSize, SHA256: lineSum,
			At: []int64{maxSegment, 1 << 40, maxFramePlain}, Link: true, File: []uint32{1, 1},
		},
		{T: recFlags, Mailbox: 3, Epoch: 2, UID: 1},
		{T: recFlags, Mailbox: 3, Epoch: 2, UID: 1, Flags: []string{`\Seen`, "é"}},
	} {
		line, err := appendRecord(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if !checkLine(t, l, bytes.TrimSuffix(line, []byte("\n"))) {
			t.Errorf("the writer's own line is not known: %s", line)
		}
	}
}

func zoneOf(offset int) *time.Location { return time.FixedZone("", offset) }

// TestCommitOfBothForms applies records in the writer's form and in another one: the catalog must be the same.
func TestCommitOfBothForms(t *testing.T) {
	head := []string{
		`{"t":"commit","n":1,"archive":"` + fuzzInfo().ID + `","segment":1,"offset":90}`,
		`{"t":"frame","segment":1,"length":90,"plain":9000,"sha256":"` + lineSum + `"}`,
		`{"t":"mailbox","id":1,"path":["INBOX"],"raw":"INBOX","dir":"Maildir"}`,
		`{"t":"epoch","n":1,"mailbox":1,"uidvalidity":7}`,
		`{"t":"epoch","n":2,"mailbox":1,"uidvalidity":8}`,
		`{"t":"refused","mailbox":1,"epoch":2,"uid":1,"text":"no"}`,
	}
	messages := []string{
		`{"t":"message","mailbox":1,"epoch":1,"uid":3,"date":"2001-10-10T15:49:17+05:30","flags":["\\Seen"],"letters":"S","size":3,"sha256":"` + lineSum + `","at":[1,0,512]}`,
		`{"t":"message","mailbox":1,"epoch":1,"uid":2,"flags":["\\Seen","x"],"sha256":"` + lineSum + `","at":[1,0,512],"link":true}`,
		`{"t":"message","mailbox":1,"epoch":2,"uid":1,"flags":["$Label1"],"sha256":"` + lineSum + `","at":[1,0,512],"file":[1,3]}`,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":3,"flags":["x","\\Seen"]}`,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":2}`,
	}
	catalog := func(other bool) string {
		c := newCatalog(fuzzInfo())
		plain := strings.Join(head, "\n") + "\n"
		for _, line := range messages {
			if other {
				line = strings.Replace(line, `{"t":`, `{"unknown":[],"t":`, 1)
			}
			plain += line + "\n"
		}
		if err := c.applyCommit([]byte(plain), 50); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintln(c.Len())
		for msg := range c.Messages(1) {
			text += fmt.Sprintf("%v %s %v %q %d %v %v %s\n", msg.Key, msg.Sum, msg.InternalDate, msg.Flags, msg.Size, msg.Place, msg.Link, c.File(msg))
		}
		return text + fmt.Sprint(c.Refusals(), c.BySum(c.Message(Key{1, 1, 3}).Sum).Key)
	}
	own, others := catalog(false), catalog(true)
	if own != others {
		t.Errorf("one form gives\n%s\nthe other\n%s", own, others)
	}
	for _, want := range []string{"3 1\n", "{1 1 3}", "+0530", `["x" "\\Seen"]`, `["$Label1"]`, "\n[] {"} {
		if !strings.Contains(own, want) {
			t.Errorf("no %q in\n%s", want, own)
		}
	}
}

// TestContradictionsAreRefused: a record in the writer's form is judged as strictly as any other.
func TestContradictionsAreRefused(t *testing.T) {
	head := `{"t":"commit","n":1,"archive":"` + fuzzInfo().ID + `","segment":1,"offset":90}
{"t":"frame","segment":1,"length":90,"plain":9000,"sha256":"` + lineSum + `"}
{"t":"mailbox","id":1,"path":["INBOX"],"raw":"INBOX","dir":"Maildir"}
{"t":"epoch","n":1,"mailbox":1,"uidvalidity":7}
{"t":"message","mailbox":1,"epoch":1,"uid":3,"sha256":"` + lineSum + `","at":[1,0,512]}
{"t":"message","mailbox":1,"epoch":1,"uid":1,"sha256":"` + lineSum + `","at":[1,0,512]}
`
	message := func(key, end string) string {
		return `{"t":"message",` + key + `,"sha256":"` + lineSum + `","at":[1,0,512]` + end + `}`
	}
	for line, good := range map[string]bool{
		message(`"mailbox":1,"epoch":1,"uid":4`, ""):                                     true,
		message(`"mailbox":1,"epoch":1,"uid":2`, ""):                                     true,
		message(`"mailbox":1,"epoch":1,"uid":3`, ""):                                     false,
		message(`"mailbox":1,"epoch":1,"uid":1`, ""):                                     false,
		message(`"mailbox":1,"epoch":1,"uid":0`, ""):                                     false,
		message(`"mailbox":1,"epoch":0,"uid":4`, ""):                                     false,
		message(`"mailbox":1,"epoch":2,"uid":4`, ""):                                     false,
		message(`"mailbox":2,"epoch":1,"uid":4`, ""):                                     false,
		message(`"mailbox":0,"epoch":1,"uid":4`, ""):                                     false,
		message(`"mailbox":1,"epoch":1,"uid":4`, `,"file":[1,9]`):                        false,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":3,"flags":["a"]}`:                      true,
		`{"t":"flags","mailbox":1,"epoch":1,"uid":4,"flags":["a"]}`:                      false,
		strings.Replace(message(`"mailbox":1,"epoch":1,"uid":4`, ""), "[1,0", "[2,0", 1): false,
		`{"t":"message"`: false,
	} {
		c := newCatalog(fuzzInfo())
		if err := c.applyCommit([]byte(head+line+"\n"), 50); (err == nil) != good {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// FuzzLine: what lineReader knows, it reads as encoding/json does; the rest it leaves alone.
func FuzzLine(f *testing.F) {
	for line := range lineSeeds() {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		c := newCatalog(fuzzInfo())
		l := newLineReader(&c)
		once := checkLine(t, l, line)
		if twice := checkLine(t, l, line); once != twice {
			t.Errorf("%q: known %v, then %v", line, once, twice)
		}
	})
}
