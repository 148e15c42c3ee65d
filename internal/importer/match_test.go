package importer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/session"
)

// TestSettleItems: letters are octets, digits days of INTERNALDATE.
func TestSettleItems(t *testing.T) {
	tests := []struct{ wanted, done, left string }{
		{"", "", ""},
		{"a1 b2 c3", "", "a1 b2 c3"},
		{"a1 b2 c3", "b2", "a1 c3"},
		{"a1 b2 c3", "a9 b9 c9", ""},
		{"a1 a2 a3", "a2", "a1 a3"},
		{"a1 a2 a3", "a2 a9", "a3"},
		{"a1 a1 a1", "a1 a1", "a1"},
		{"a1 a2", "a2 a2", ""},
		{"a1 a2 a3", "a2 a2", "a3"},
		{"a1", "a1 a1 a2 b1", ""},
		{"a0 b0", "a0", "b0"},
	}
	parse := func(s string) (items []*item, entries []*entry) {
		for _, w := range strings.Fields(s) {
			var date time.Time
			if w[1] > '0' {
				date = day(int(w[1]))
			}
			sum := archive.Sum{w[0]}
			items = append(items, &item{msg: &archive.Message{Sum: sum}, date: date, text: w})
			entries = append(entries, &entry{sum: sum, date: date.In(time.UTC)})
		}
		return items, entries
	}
	for _, tt := range tests {
		items, _ := parse(tt.wanted)
		_, entries := parse(tt.done)
		used := make(map[*entry]bool)
		settleItems(items, entries, func(it *item, e *entry) {
			if used[e] || e.sum != it.msg.Sum {
				t.Errorf("%q minus %q: wrong entry", tt.wanted, tt.done)
			}
			used[e], it.state = true, doneEarly
		})
		var left []string
		for _, it := range items {
			if it.state == todo {
				left = append(left, it.text)
			}
		}
		if got := strings.Join(left, " "); got != tt.left {
			t.Errorf("%q minus %q leaves %q, want %q", tt.wanted, tt.done, got, tt.left)
		}
	}
}

// TestMatch: a candidate is "UID octets day"; a claim is "octets day from-upTo".
func TestMatch(t *testing.T) {
	tests := []struct{ name, pool, earlier, needs, want string }{
		{"found", "5a1 6b1", "", "b1", "6"},
		{"no such octets", "5a1", "", "b1", "-"},
		{"same date first", "5a1 6a2", "", "a2", "6"},
		{"any date else", "5a1", "", "a2", "5"},
		{"each once", "5a1", "", "a1 a1", "5 -"},
		{"exact date before lower UID", "5a1 6a2", "", "a3 a2", "5 6"},
		{"earlier ones first", "5a1", "a1", "a1", "-"},
		{"earlier ones leave one", "5a1 6a1", "a1", "a1", "6"},
		{"earlier one by date", "5a1 6a2", "a2", "a2", "5"},
		{"not below the mark", "5a1", "", "a1:6-0", "-"},
		{"from the mark on", "6a1", "", "a1:6-0", "6"},
		{"earlier one below", "5a1 9a1", "a1:0-6", "a1:6-0", "9"},
		{"earlier one above", "5a1 9a1", "a1:6-0", "a1", "5"},
	}
	claims := func(s string) (list []*claim) {
		for _, w := range strings.Fields(s) {
			cl := &claim{sum: archive.Sum{w[0]}, date: day(int(w[1]))}
			if len(w) > 2 {
				_, err := fmt.Sscanf(w[2:], ":%d-%d", &cl.from, &cl.upTo)
				must(t, err)
			}
			cl.canon = &cl.sum
			list = append(list, cl)
		}
		return list
	}
	for _, tt := range tests {
		for _, byCanon := range []bool{false, true} {
			var pool []*candidate
			for _, w := range strings.Fields(tt.pool) {
				sum := archive.Sum{w[1]}
				d := &digest{sum: sum}
				if byCanon {
					d = &digest{canon: sum}
				}
				pool = append(pool, &candidate{uid: uint32(w[0] - '0'), date: day(int(w[2])), digest: d})
			}
			needs := claims(tt.needs)
			match(pool, claims(tt.earlier), byCanon)
			match(pool, needs, byCanon)
			var got []string
			for _, cl := range needs {
				if cl.found == nil {
					got = append(got, "-")
				} else {
					got = append(got, fmt.Sprint(cl.found.uid))
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}

// canonical is the definition, word for word.
func canonical(p []byte) []byte {
	p = bytes.ReplaceAll(p, []byte("\r"), nil)
	p = bytes.ReplaceAll(p, []byte{0}, []byte{0x80})
	return bytes.TrimRight(p, "\n")
}

func checkDigest(t *testing.T, p []byte, chunk int) {
	t.Helper()
	g := newDigester()
	for rest := p; len(rest) > 0; {
		n := min(chunk, len(rest))
		_, _ = g.Write(rest[:n])
		rest = rest[n:]
	}
	d := g.digest()
	plain := newDigester()
	canon := canonical(p)
	_, _ = plain.Write(canon)
	want := plain.digest()
	if d.canon != want.sum || d.canonSize != int64(len(canon)) || d.size != int64(len(p)) {
		t.Errorf("%q by %d: canonical form differs from %q", p, chunk, canon)
	}
	fine := bytes.HasSuffix(p, []byte("\r\n")) && !bytes.HasSuffix(p, []byte("\n\r\n")) && p[0] != '\r' &&
		bytes.IndexByte(p, 0) < 0 &&
		bytes.Count(p, []byte("\r\n")) == bytes.Count(p, []byte("\n")) && bytes.Count(p, []byte("\r")) == bytes.Count(p, []byte("\n"))
	if fine && d.altered {
		t.Errorf("%q by %d counts as one a server would alter", p, chunk)
	}
	if !d.altered && (bytes.IndexByte(p, 0) >= 0 || !bytes.HasSuffix(p, []byte("\r\n")) ||
		bytes.Count(p, []byte("\r\n")) != bytes.Count(p, []byte("\n"))) {
		t.Errorf("%q by %d counts as one no server would alter", p, chunk)
	}
	crlf := bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	for _, alike := range [][]byte{p, canon, crlf, append(crlf[:len(crlf):len(crlf)], '\r', '\n')} {
		if n := int64(len(alike)); !d.couldBe().has(n) {
			t.Errorf("%q: size %d of %q is ruled out", p, n, alike)
		}
	}
}

func TestDigest(t *testing.T) {
	for _, s := range []string{
		"", "a", "a\r\n", "a\n", "a\r", "a\r\r\n", "\r\n", "\n", "\r\n\r\n", "a\x00b\r\n", "a\rb\r\n", "a\n\nb\n\n\n",
		"a\r\nb\r\n", "a\r\nb\r\n\r\n", strings.Repeat("\r\n", 5000) + "x\r\n", "\x00", "\x00\n", "a\n\x00\n\r\n",
	} {
		for _, chunk := range []int{1, 2, 3, 1 << 20} {
			checkDigest(t, []byte(s), chunk)
		}
	}
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte("a\r\nb\x00\n\n"), 3)
	f.Fuzz(func(t *testing.T, p []byte, chunk int) { checkDigest(t, p, max(chunk, 1)) })
}

func TestSpans(t *testing.T) {
	s := spans{{10, 20}, {1, 3}, {15, 30}, {31, 31}, {3, 4}}.merged()
	for size, want := range map[int64]bool{0: false, 1: true, 4: true, 5: false, 9: false, 10: true, 25: true, 30: true, 31: true, 32: false} {
		if s.has(size) != want {
			t.Errorf("%v has %d: %v", s, size, !want)
		}
	}
}

// TestAssignNames: mailboxes of the archive (with attributes after "|"), what the target has, and the
// names they get.
func TestAssignNames(t *testing.T) {
	tests := []struct {
		name, delim, prefix string
		have                []session.Mailbox
		known               map[string]string
		boxes               [][]string // levels; a last level that begins with \ is an attribute
		want                []string
	}{
		{
			name: "plain", delim: "/", boxes: [][]string{{"INBOX"}, {"Work"}, {"Work", "2016"}, {"仕事"}},
			want: []string{"INBOX", "Work", "Work/2016", "仕事"},
		},
		{
			name: "inbox has no case", delim: "/", boxes: [][]string{{"Inbox"}, {"inbox", "Sub"}},
			want: []string{"INBOX", "INBOX/Sub"},
		},
		{
			name: "prefix", delim: ".", prefix: "INBOX.",
			boxes: [][]string{{"INBOX"}, {"INBOX", "A"}, {"A"}, {"A", "b"}, {"B.c"}},
			want:  []string{"INBOX", "INBOX.A (2)", "INBOX.A", "INBOX.A.b", "INBOX.B_c"},
		},
		{
			name: "delimiter in a level", delim: ".", boxes: [][]string{{"a.b"}, {"a_b"}, {"a", "b"}, {"a.b", "c"}},
			want: []string{"a_b", "a_b (2)", "a.b", "a_b.c"},
		},
		{
			name: "underscore is the delimiter", delim: "_", boxes: [][]string{{"a_b"}, {""}, {"x", ""}},
			want: []string{"a-b", "-", "x_-"},
		},
		{
			name: "no delimiter", delim: "", boxes: [][]string{{"a", "b"}, {"a.b"}, {"c/d"}},
			want: []string{"a.b (2)", "a.b", "c/d"},
		},
		{
			name: "roles", delim: "/",
			have: []session.Mailbox{
				{Name: "Gesendet", Attrs: []string{`\Sent`}}, {Name: "Abgang", Attrs: []string{`\sent`}},
				{Name: "Alles", Attrs: []string{`\All`}},
			},
			boxes: [][]string{{"Sent", `\Sent`}, {"Sent", "Old"}, {"Sent 2", `\Sent`}, {"All", `\All`}, {"Abgang"}},
			want:  []string{"Abgang", "Abgang/Old", "Sent 2", "All", "Abgang (2)"},
		},
		{
			name: "known", delim: "/", known: map[string]string{"Sent": "Old place", "New": "x/y"},
			have:  []session.Mailbox{{Name: "Gesendet", Attrs: []string{`\Sent`}}},
			boxes: [][]string{{"Sent", `\Sent`}, {"New"}, {"Old place"}},
			want:  []string{"Old place", "x/y", "Old place (2)"},
		},
		{
			name: "inbox takes no children", delim: "/", have: []session.Mailbox{{Name: "INBOX", Attrs: []string{`\NoInferiors`}}},
			boxes: [][]string{{"INBOX"}, {"INBOX", "A"}, {"A"}},
			want:  []string{"INBOX", "A (2)", "A"},
		},
		{
			name: "hostile", delim: "/", boxes: [][]string{{"a\r\nb"}, {"a\x00b"}, {"\xff"}, {}, {"..", "..", "x"}},
			want: []string{"a__b", "a_b", "_", "raw3", "../../x"},
		},
		{
			name: "the same twice", delim: "/", boxes: [][]string{{"a"}, {"a"}, {"a", "b"}},
			want: []string{"a", "a (2)", "a/b"},
		},
	}
	for _, tt := range tests {
		var list []*wanted
		for i, path := range tt.boxes {
			m := &archive.Mailbox{ID: uint32(i + 1)}
			if n := len(path); n > 1 && strings.HasPrefix(path[n-1], `\`) {
				path, m.Attrs = path[:n-1], path[n-1:]
			}
			m.Path, m.Raw = path, fmt.Sprintf("raw%d", i)
			m.Dir = strings.Join(path, "/")
			list = append(list, &wanted{mbox: m, name: m.Name()})
		}
		assignNames(list, newPlace(tt.delim, tt.prefix, tt.have), tt.known)
		for i, w := range list {
			if w.to != tt.want[i] {
				t.Errorf("%s: %q became %q, want %q", tt.name, tt.boxes[i], w.to, tt.want[i])
			}
		}
	}
}

func TestFlagFilter(t *testing.T) {
	flags := []string{`\Seen`, `\recent`, "$Junk", "Other", `\Odd`, "b(ad", "", "仕事"}
	tests := []struct {
		permanent             []string
		bare                  bool
		send, keywords, other string
	}{
		{nil, false, `\Seen`, "$Junk Other", `\Odd b(ad  仕事`},
		{[]string{`\*`}, false, `\Seen $Junk Other`, "", `\Odd b(ad  仕事`},
		{[]string{`\Seen`, "$JUNK"}, false, `\Seen $Junk`, "Other", `\Odd b(ad  仕事`},
		{[]string{`\*`}, true, `\Seen`, "$Junk Other", `\Odd b(ad  仕事`},
		{[]string{}, false, `\Seen`, "$Junk Other", `\Odd b(ad  仕事`},
	}
	for _, tt := range tests {
		c := newFlagFilter(tt.permanent).choose(flags, tt.bare)
		for _, pair := range [][2]string{
			{strings.Join(c.send, " "), tt.send}, {strings.Join(c.keywords, " "), tt.keywords},
			{strings.Join(c.unknown, " "), tt.other},
		} {
			if pair[0] != pair[1] {
				t.Errorf("PERMANENTFLAGS %q bare %v: %q, want %q", tt.permanent, tt.bare, pair[0], pair[1])
			}
		}
	}
	var counts map[string]int
	for i := range 3000 {
		counts = tally(counts, []string{fmt.Sprint(i)})
	}
	if len(counts) > maxNames+1 || counts["(others)"] != 2000 {
		t.Errorf("%d names, %d others", len(counts), counts["(others)"])
	}
}

func TestValidDate(t *testing.T) {
	for year, want := range map[int]bool{-1: false, 2: true, 1970: true, 9998: true, 10001: false} {
		date := time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
		if got, dropped := validDate(date); dropped == want || got.IsZero() == want {
			t.Errorf("year %d: %v %v", year, got, dropped)
		}
	}
	if got, dropped := validDate(time.Time{}); dropped || !got.IsZero() {
		t.Errorf("no date: %v %v", got, dropped)
	}
}
