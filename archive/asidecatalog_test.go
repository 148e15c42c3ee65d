package archive

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// replayed applies records to an empty catalog; the error is that of the last one.
func replayed(t *testing.T, records ...*record) (*Catalog, error) {
	t.Helper()
	c := newCatalog(Info{ID: "x"})
	for i, r := range records {
		if err := c.apply(r); err != nil {
			if i < len(records)-1 {
				t.Fatalf("record %d: %v", i, err)
			}
			return &c, err
		}
	}
	return &c, nil
}

func frameRecord(offset int64) *record {
	return &record{T: recFrame, Segment: 1, Offset: offset, Length: 100, Plain: 512, SHA256: Sum{}.String()}
}

func messageRecord(epoch, uid uint32, octets byte, frame int64) *record {
	return &record{T: recMessage, Mailbox: 1, Epoch: epoch, UID: uid, SHA256: Sum{octets}.String(), At: []int64{1, frame, 0}}
}

func inbox() []*record {
	return []*record{
		frameRecord(0), frameRecord(100), frameRecord(200),
		{T: recMailbox, ID: 1, Path: []string{"INBOX"}, Raw: "INBOX", Dir: "Maildir"}, {T: recEpoch, Mailbox: 1, N: 1},
	}
}

// TestCurrentAfterAside: what is put aside of an epoch that was whole is stood in for by the epoch before it, and nothing
// else of that comes back: the rest had been deleted.
func TestCurrentAfterAside(t *testing.T) {
	now := time.Unix(0, 0)
	state := func(epoch uint32) *record { return &record{T: recState, Mailbox: 1, Epoch: epoch, Time: &now} }
	aside := &record{T: recAside, Segment: 1, Offset: 200}
	base := append(inbox(), messageRecord(1, 1, 1, 0), messageRecord(1, 2, 2, 0), messageRecord(1, 3, 3, 100), state(1),
		&record{T: recEpoch, Mailbox: 1, N: 2}, messageRecord(2, 10, 3, 200), messageRecord(2, 11, 4, 200), messageRecord(2, 12, 5, 100))
	for _, tt := range []struct {
		name string
		more []*record
		want string
	}{
		{"never whole", nil, "1.1 1.2 2.10 2.11 2.12"},
		{"whole", []*record{state(2)}, "2.10 2.11 2.12"},
		{"put aside", []*record{state(2), aside}, "1.3 2.12"},
		{"put aside, never whole", []*record{aside}, "1.1 1.2 1.3 2.12"},
		{"gone and put aside", []*record{state(2), {T: recGone, Mailbox: 1, Epoch: 2, UIDs: "10"}, aside}, "2.12"},
		{"one has come back", []*record{state(2), aside, messageRecord(2, 10, 3, 100)}, "2.10 2.12"},
		{"whole again", []*record{state(2), aside, messageRecord(2, 11, 4, 100), state(2)}, "2.11 2.12"},
	} {
		c, err := replayed(t, append(slices.Clone(base), tt.more...)...)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		got := ""
		for _, m := range c.Current(1) {
			got += fmt.Sprintf(" %d.%d", m.Epoch, m.UID)
		}
		if got != " "+tt.want {
			t.Errorf("%s: holds%s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestAsideRefused: nothing that is in use is put aside by its octets, nor what is beyond a segment.
func TestAsideRefused(t *testing.T) {
	commit := &record{T: recCommit, N: 1, Segment: 1, Offset: 300}
	for _, tt := range []struct {
		offset, length int64
		ok             bool
	}{
		{0, 0, true}, {0, 100, false}, {50, 10, false}, {0, 1, false}, {99, 2, false}, {250, 60, false}, {310, 5, false},
		{350, 10, true}, {349, 1, true}, {348, 1, false}, {360, 10, true}, {400, 10, true}, {0, 1 << 40, false}, {-1, 5, false},
	} {
		c, err := replayed(t, inbox()...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.endCommit(commit, 41); err != nil { // a copy of 49 octets at 300
			t.Fatal(err)
		}
		c.segments[0].end = 360
		err = c.apply(&record{T: recAside, Segment: 1, Offset: tt.offset, Length: tt.length})
		if (err == nil) != tt.ok {
			t.Errorf("%d octets at %d: %v", tt.length, tt.offset, err)
		}
	}
}

// TestSealBounds: a segment is not said to be longer than its end frame and seek table can make it.
func TestSealBounds(t *testing.T) {
	for length, ok := range map[int64]bool{299: false, 300: true, 500: true, 300 + 5000: false, 1 << 40: false} {
		_, err := replayed(t, append(inbox(), &record{T: recSeal, Segment: 1, Length: length, SHA256: Sum{}.String()})...)
		if (err == nil) != ok {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

// TestKinds: whoever adds a kind of record adds it to isKind, or a damaged one would be passed over.
func TestKinds(t *testing.T) {
	for _, kind := range []string{
		recCommit, recRun, recMailbox, recEpoch, recKeyword, recFrame, recMessage, recFlags, recGone, recBack, recRefused,
		recState, recSeal, recAside, recEnd,
	} {
		if !isKind(kind) {
			t.Errorf("%s is unknown", kind)
		}
		if _, err := parseRecord([]byte(`{"t":"` + kind + `","segment":"x","uid":"x"}`)); err == nil {
			t.Errorf("a %s record with members of other types is taken", kind)
		}
	}
}
