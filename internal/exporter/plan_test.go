package exporter

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/session"
	"mailark/internal/spool"
)

func TestSameFlags(t *testing.T) {
	for _, c := range []struct {
		a, b []string
		want bool
	}{
		{nil, nil, true},
		{nil, []string{`\Recent`}, true},
		{[]string{`\Seen`, `\Answered`}, []string{`\answered`, `\SEEN`}, true},
		{[]string{`\Seen`, `\Seen`}, []string{`\Seen`}, true},
		{[]string{"work"}, []string{"Work"}, false},
		{[]string{`\Seen`}, nil, false},
		{[]string{`\Seen`, "a"}, []string{`\Seen`, "b"}, false},
	} {
		if got := sameFlags(c.a, c.b); got != c.want {
			t.Errorf("sameFlags(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		name, delim string
		want        []string
	}{
		{"INBOX", "/", []string{"INBOX"}},
		{"inbox", "/", []string{"INBOX"}},
		{"INBOX.Sent", ".", []string{"INBOX", "Sent"}},
		{"a.b/c", ".", []string{"a", "b/c"}},
		{"a/b", "", []string{"a/b"}},
		{`A\B`, `\`, []string{"A", "B"}},
		{"Archive/", "/", []string{"Archive"}},
		{"a//b", "/", []string{"a", "", "b"}},
		{"/", "/", []string{""}},
		{"お知らせ/大学", "/", []string{"お知らせ", "大学"}},
	} {
		if got := levels(c.name, c.delim); !slices.Equal(got, c.want) {
			t.Errorf("levels(%q, %q) = %q, want %q", c.name, c.delim, got, c.want)
		}
	}
}

func TestListingSound(t *testing.T) {
	meta := func(uids ...uint32) (list []session.Meta) {
		for _, uid := range uids {
			list = append(list, session.Meta{UID: uid})
		}
		return list
	}
	l := &listing{selected: session.Selected{Exists: 3}, messages: sortMessages(meta(9, 2, 5, 2))}
	if !l.sound() || !l.has(9) || !l.has(2) || l.has(3) {
		t.Errorf("listing is %+v", l)
	}
	for _, messages := range [][]session.Meta{nil, meta(1, 2), meta(1, 2, 3, 4)} {
		if (&listing{selected: session.Selected{Exists: 3}, messages: messages}).sound() {
			t.Errorf("%d messages of 3 are sound", len(messages))
		}
	}
}

// planArchive has one mailbox with UIDs 1 to 5: 4 is gone, 6 was refused.
func planArchive(t *testing.T) (*archive.Writer, archive.Key) {
	t.Helper()
	w, err := archive.Create(t.TempDir(), archive.Source{Host: "h", User: "u"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	m, err := w.SetMailbox(archive.MailboxInfo{Path: []string{"INBOX"}, Raw: "INBOX", Delim: "/"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.OpenEpoch(m.ID, 7)
	if err != nil {
		t.Fatal(err)
	}
	k := archive.Key{Mailbox: m.ID, Epoch: e.N}
	for uid := uint32(1); uid <= 5; uid++ {
		k.UID = uid
		sp := spool.New(t.TempDir())
		if _, err := sp.Write(make([]byte, 10*uid)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(t.Context(), k, time.Unix(1000, 0), []string{`\Seen`}, sp); err != nil {
			t.Fatal(err)
		}
	}
	k.UID = 4
	if err := w.SetGone(true, k); err != nil {
		t.Fatal(err)
	}
	k.UID = 6
	if err := w.Refuse(k, "broken"); err != nil {
		t.Fatal(err)
	}
	k.UID = 0
	return w, k
}

func uidsOf(list []session.Meta) (uids []uint32) {
	for _, m := range list {
		uids = append(uids, m.UID)
	}
	return uids
}

func keysOf(list []archive.Key) (uids []uint32) {
	for _, k := range list {
		uids = append(uids, k.UID)
	}
	slices.Sort(uids)
	return uids
}

func TestMakePlan(t *testing.T) {
	w, k := planArchive(t)
	date := time.Unix(1000, 0)
	seen := []string{`\Seen`}
	l := &listing{messages: []session.Meta{
		{UID: 1, Size: 10, InternalDate: date, Flags: seen},
		{UID: 2, Size: 99, InternalDate: date, Flags: []string{`\Seen`, "kw"}}, // size alone proves nothing
		{UID: 3, Size: 31, InternalDate: date.Add(time.Hour), Flags: seen},     // another message?
		{UID: 4, Size: 40, InternalDate: date.Add(time.Hour), Flags: seen},     // is back; date alone proves nothing
		{UID: 6, Size: 60}, {UID: 8, Size: 80}, {UID: 9, Size: -1},
	}}
	p := makePlan(&w.Catalog, k, l)
	for _, c := range []struct {
		what      string
		got, want []uint32
	}{
		{"missing", uidsOf(p.missing), []uint32{6, 8, 9}},
		{"flags", uidsOf(p.flags), []uint32{2}},
		{"suspect", uidsOf(p.suspect), []uint32{3}},
		{"back", keysOf(p.back), []uint32{4}},
		{"gone", keysOf(p.gone), []uint32{5}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if p.before != 4 || octets(p.missing) != 140 {
		t.Errorf("before %d, octets %d", p.before, octets(p.missing))
	}

	// A refused message that has left the server is no longer missing.
	p = makePlan(&w.Catalog, k, &listing{messages: l.messages[:4]})
	if got := keysOf(p.gone); !slices.Equal(got, []uint32{5, 6}) {
		t.Errorf("gone: %v, want 5 and 6", got)
	}
	// Another epoch has nothing yet.
	p = makePlan(&w.Catalog, archive.Key{Mailbox: k.Mailbox, Epoch: 2}, l)
	if len(p.missing) != len(l.messages) || p.before != 0 || len(p.gone) != 0 {
		t.Errorf("new epoch: %+v", p)
	}
	// So has an archive that does not exist yet.
	p = makePlan(new(archive.Catalog), archive.Key{}, l)
	if len(p.missing) != len(l.messages) {
		t.Errorf("no archive: %+v", p)
	}
}

// Figures that were counted wrong on the way are noticed.
func TestAccount(t *testing.T) {
	w, k := planArchive(t)
	newPass := func() *pass {
		l := &listing{messages: []session.Meta{{UID: 1}, {UID: 2}, {UID: 6, Size: 5}, {UID: 7}, {UID: 8, Size: 9}}}
		return &pass{
			export: &export{catalog: &w.Catalog}, key: k, listing: l, plan: makePlan(&w.Catalog, k, l),
			result:  &Mailbox{Figures: Figures{Listed: 5, Before: 1, Now: 1}},
			refused: []*want{{Meta: session.Meta{UID: 6}}}, gone: []*want{{Meta: session.Meta{UID: 7}}},
		}
	}
	p := newPass()
	if err := p.account(); err != nil || p.result.Left != 1 || p.result.LeftOctets != 9 {
		t.Errorf("%+v: %v", p.result.Figures, err)
	}
	for name, spoil := range map[string]func(*pass){
		"counted twice":     func(p *pass) { p.result.Now++ },
		"not counted":       func(p *pass) { p.result.Now-- },
		"refused, yet here": func(p *pass) { p.refused = append(p.refused, p.gone...); p.result.Before++ },
		"left without word": func(p *pass) { p.ended = true },
	} {
		p := newPass()
		spoil(p)
		var figures *FiguresError
		if err := p.account(); !errors.As(err, &figures) {
			t.Errorf("%s: %+v, error %v", name, p.result.Figures, err)
		}
	}
}

func TestChoose(t *testing.T) {
	listed := []session.Mailbox{{Name: "Trash", Delim: "/"}, {Name: "Inbox", Delim: "/"}, {Name: "Work/a", Delim: "/"}, {Name: "Spam"}}
	x := newExport(Options{Exclude: []string{"sp*", "S*"}})
	if _, err := x.choose(listed); err == nil {
		t.Error("a pattern that matches nothing is no error")
	}
	x = newExport(Options{Exclude: []string{"S*"}})
	chosen, err := x.choose(listed)
	var names []string
	for _, c := range chosen {
		names = append(names, c.info.Name())
	}
	if want := []string{"INBOX", "Trash", "Work/a"}; err != nil || !slices.Equal(names, want) || x.result.Skipped != 1 {
		t.Errorf("chosen %q, want %q: %v", names, want, err)
	}
}
