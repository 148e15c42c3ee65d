package glob

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "Work/2016", true},
		{"Work", "Work", true},
		{"Work", "work", false},
		{"Work", "Work/2016", false},
		{"Work/*", "Work/2016/a", true},
		{"Work/*", "Work", false},
		{"Work*", "Work", true},
		{"*2016", "Work/2016", true},
		{"*2016", "Work/2016/a", false},
		{"*o*k*", "Work", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
		{"?", "a", true},
		{"?", "", false},
		{"?", "ab", false},
		{"仕?", "仕事", true},
		{"?????", "受信", false},
		{"?", "\xff", true},
		{"*事", "仕事", true},
		{"[Gmail]/*", "[Gmail]/Sent", true},
		{`a\b`, `a\b`, true},
		{"inbox", "INBOX", true},
		{"INBOX", "Inbox", true},
		{"inbox/*", "INBOX/Work", true},
		{"inbox*", "INBOX/Work", true},
		{"inbox?", "INBOXx", false},
		{"inbox*", "INBOXES", false},
		{"Inbo*", "INBOX", false},
		{"inboxes", "INBOXES", false},
		{"*box", "INBOX", false},
	}
	for _, tt := range tests {
		if got := Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

// TestMatchCost: many stars must not take exponential time; the test would never end.
func TestMatchCost(t *testing.T) {
	if Match(strings.Repeat("*a", 60)+"b", strings.Repeat("a", 3000)) {
		t.Error("matched")
	}
}

func TestSet(t *testing.T) {
	names := []string{"INBOX", "Work/2016", "Work/2017", "Spam"}
	tests := []struct {
		include, exclude []string
		want, unused     string
	}{
		{nil, nil, "INBOX Work/2016 Work/2017 Spam", ""},
		{[]string{"Work/*"}, nil, "Work/2016 Work/2017", ""},
		{nil, []string{"Spam"}, "INBOX Work/2016 Work/2017", ""},
		{[]string{"inbox", "W*"}, []string{"*7"}, "INBOX Work/2016", ""},
		{[]string{"Nope"}, nil, "", `no mailbox matches "Nope"`},
		{nil, []string{"Junk"}, "INBOX Work/2016 Work/2017 Spam", `no mailbox matches "Junk"`},
		// An include pattern all of whose mailboxes are excluded has matched.
		{[]string{"Spam"}, []string{"*"}, "", ""},
	}
	for _, tt := range tests {
		set := NewSet(tt.include, tt.exclude)
		var got []string
		for _, name := range names {
			if set.Has(name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("include %q exclude %q: chose %q, want %q", tt.include, tt.exclude, got, tt.want)
		}
		unused := ""
		if err := set.Unused(); err != nil {
			unused = err.Error()
		}
		if unused != tt.unused {
			t.Errorf("include %q exclude %q: Unused %q, want %q", tt.include, tt.exclude, unused, tt.unused)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*?b", "axyb")
	f.Add("inbox/*", "INBOX/\xff")
	f.Add("????*?*?*?*?*?*?*?*?*?b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern)*len(name) > 1<<20 {
			return // the definition takes as many steps
		}
		got := Match(pattern, name)
		p, s := pattern, name
		if underInbox(name) {
			p, s = foldInbox(pattern), foldInbox(name)
		}
		if got != slow([]byte(p), []byte(s)) {
			t.Errorf("Match(%q, %q) = %v", pattern, name, got)
		}
	})
}

// slow is the definition, word for word, for every end of the pattern and every end of the name:
// row i says which ends of the name fit p[i:]. A search that tries each way anew would never come
// to the end of "????*?*?*?*?*?*?*".
func slow(p, s []byte) bool {
	fits := make([]bool, len(s)+1)
	fits[len(s)] = true
	for i := len(p) - 1; i >= 0; i-- {
		row := make([]bool, len(s)+1)
		row[len(s)] = p[i] == '*' && fits[len(s)]
		for j := len(s) - 1; j >= 0; j-- {
			_, n := utf8.DecodeRune(s[j:])
			switch p[i] {
			case '*':
				row[j] = fits[j] || row[j+n]
			case '?':
				row[j] = fits[j+n]
			default:
				row[j] = p[i] == s[j] && fits[j+1]
			}
		}
		fits = row
	}
	return fits[0]
}
