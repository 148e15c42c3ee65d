package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// seedFrames are a catalog frame, a record frame and a seek table, for the fuzzers to start from.
func seedFrames(f *testing.F) [][]byte {
	f.Helper()
	info := Info{Format: formatName, Version: formatVersion, ID: "0123456789abcdef0123456789abcdef"}
	var plain []byte
	for _, r := range []*record{
		{T: recCommit, N: 1, Archive: info.ID, Segment: 1, Offset: 70},
		{T: recFrame, Segment: 1, Length: 70, Plain: 512, SHA256: Sum{}.String()},
		{T: recMailbox, ID: 1, Path: []string{"INBOX"}, Raw: "INBOX", Dir: "Maildir"},
		{T: recEpoch, Mailbox: 1, N: 1, UIDValidity: 7},
		{T: recKeyword, Mailbox: 1, Letter: "a", Name: "$x"},
		{T: recMessage, Mailbox: 1, Epoch: 1, UID: 1, SHA256: Sum{}.String(), At: []int64{1, 0, 512}, Size: 3},
		{T: recFlags, Mailbox: 1, Epoch: 1, UID: 1, Flags: []string{`\Seen`}},
		{T: recGone, Mailbox: 1, Epoch: 1, UIDs: "1:4294967295"},
		{T: recEnd, N: 1},
	} {
		var err error
		if plain, err = appendRecord(plain, r); err != nil {
			f.Fatal(err)
		}
	}
	packed, err := new(Writer).packRecords(plain)
	if err != nil {
		f.Fatal(err)
	}
	return [][]byte{packed, skippableFrame(recordMagic, packed), seekTable([]seekEntry{{70, 512}, {90, 0}})}
}

func fuzzInfo() Info {
	return Info{Format: formatName, Version: formatVersion, ID: "0123456789abcdef0123456789abcdef"}
}

// FuzzReplay feeds any octets as a catalog: no panic, no place outside what the catalog itself has introduced.
func FuzzReplay(f *testing.F) {
	for _, seed := range seedFrames(f) {
		f.Add(seed)
		f.Add(append(bytes.Clone(seed), seed...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, end, err := replay(bytes.NewReader(data), int64(len(data)), fuzzInfo())
		if end < 0 || end > int64(len(data)) {
			t.Errorf("end %d of %d octets (%v)", end, len(data), err)
		}
		checkCatalog(t, &c)
	})
}

// FuzzRecords feeds any text as the records of a first commit, past the compression.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"t":"mailbox","id":1,"path":["INBOX"],"raw":"INBOX","dir":"Maildir"}`))
	f.Add([]byte(`{"t":"epoch","mailbox":1,"n":1}` + "\n" + `{"t":"gone","mailbox":1,"epoch":1,"uids":"1:4294967295"}`))
	f.Add([]byte(`{"t":"mailbox","id":1,"path":["x"],"raw":"x","dir":"../../victim/.ssh"}`))
	f.Add([]byte(`{"t":"mailbox","id":1,"path":["x"],"raw":"x","dir":"Maildir/.x"}` + "\n" + `{"t":"refused","mailbox":1,"epoch":1,"uid":1}`))
	f.Add([]byte(`{"t":"mailbox","id":1,"path":["x"],"raw":"x","dir":"Maildir/.x"}` + "\n" + `{"t":"epoch","mailbox":1,"n":1}` + "\n" +
		`{"t":"frame","segment":1,"length":9,"plain":9,"sha256":"` + Sum{}.String() + `"}` + "\n" +
		`{"t":"message","mailbox":1,"epoch":1,"uid":1,"sha256":"` + Sum{}.String() + `","at":[1,0,0]}` + "\n" +
		`{"t":"aside","segment":1}` + "\n" + `{"t":"aside","segment":1,"offset":9,"length":20}`))
	f.Add([]byte(`{"t":"frame","segment":1,"length":9,"plain":9}` + "\n" + `{"t":"seal","segment":1,"length":99,"sha256":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newCatalog(fuzzInfo())
		head := `{"t":"commit","n":1,"archive":"` + c.info.ID + `"}` + "\n"
		_ = c.applyCommit(append([]byte(head), append(data, '\n')...), 10)
		checkCatalog(t, &c)
	})
}

// checkCatalog asks for everything a catalog can tell.
func checkCatalog(t *testing.T, c *Catalog) {
	t.Helper()
	for _, m := range c.Mailboxes() {
		_ = m.Role()
		if !validDir(m.Dir) {
			t.Errorf("mailbox %d has directory %q", m.ID, m.Dir)
		}
		_ = c.Current(m.ID)
		for msg := range c.Messages(m.ID) {
			_ = c.File(msg)
			if int(msg.Place.Segment) > len(c.segments) || msg.Size < 0 {
				t.Errorf("UID %d: place %+v, size %d", msg.UID, msg.Place, msg.Size)
			}
			c.frameAt(msg.Place)
		}
	}
	_ = c.Refusals()
	_ = c.Runs()
	for _, s := range c.segments {
		_ = s.entries(nil)
	}
}

func TestDirectoriesStayInTheTree(t *testing.T) {
	for dir, want := range map[string]bool{
		"Maildir": true, "Maildir/.Work.2016": true, "Maildir/...": true, "": false, "Maildir/": false, "Maildir/.": false,
		"Maildir/..": false, "Maildir/Work": false, "Maildir/.a/b": false, "../Maildir": false, "/Maildir": false,
		"Maildir/.a\x00": false, "maildir": false,
	} {
		if got := validDir(dir); got != want {
			t.Errorf("validDir(%q) = %v", dir, got)
		}
	}
}

// FuzzScanFrame compares the extent of a frame found without decompressing with the file's.
func FuzzScanFrame(f *testing.F) {
	for _, seed := range seedFrames(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for at := int64(0); ; {
			frame, err := scanFrame(bytes.NewReader(data), at, int64(len(data)))
			if err != nil {
				return
			}
			if frame.length <= 0 || at+frame.length > int64(len(data)) {
				t.Fatalf("frame of %d octets at %d of %d", frame.length, at, len(data))
			}
			at += frame.length
		}
	})
}

func FuzzUIDs(f *testing.F) {
	f.Add("1:4,7")
	f.Add("4294967295,1:4294967295")
	f.Add("5:6,1:10,11,13:14,12")
	f.Fuzz(func(t *testing.T, s string) {
		set, err := parseUIDs(s)
		if err != nil {
			return
		}
		before := uint64(0)
		for _, r := range set {
			if r.first == 0 || r.last < r.first || before > 0 && uint64(r.first) < before+2 {
				t.Errorf("%q gives range %+v after %d", s, r, before)
			}
			before = uint64(r.last)
		}
		// Every number that the text names is in, and no other.
		for part := range strings.SplitSeq(s, ",") {
			first, last, isRange := strings.Cut(part, ":")
			if !isRange {
				last = first
			}
			for _, text := range []string{first, last} {
				uid, err := strconv.ParseUint(text, 10, 32)
				if in := slices.ContainsFunc(set, func(r uidRange) bool { return uint64(r.first) <= uid && uid <= uint64(r.last) }); err != nil || !in {
					t.Errorf("%q lacks %d (%v)", s, uid, err)
				}
			}
		}
	})
}

// FuzzArchiveJSON opens an archive with any archive.json.
func FuzzArchiveJSON(f *testing.F) {
	f.Add([]byte(`{"format":"mailark","version":1,"id":"x","created":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"format":"mailark","version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, infoFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := readInfo(dir)
		if err == nil && (info.Format != formatName || info.Version != formatVersion) {
			t.Errorf("accepted %+v", info)
		}
	})
}

// FuzzSegment recovers an archive whose only segment is any octets: no panic, and the archive can be used.
func FuzzSegment(f *testing.F) {
	for _, seed := range seedFrames(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(t.TempDir(), "a")
		w, err := Create(dir, Source{}, &Options{Lanes: 1, Window: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err = OpenWriter(dir, &Options{Lanes: 1, Window: 64 << 10})
		if err != nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzRebuild makes a catalog anew from a segment of any octets: no panic, it ends, and the result can be opened.
func FuzzRebuild(f *testing.F) {
	for _, seed := range seedFrames(f) {
		f.Add(seed, seed)
	}
	data, err := os.ReadFile("testdata/rebuild.tar.zst")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, []byte{})
	for at := 10; at < len(data); at += 97 {
		hurt := bytes.Clone(data)
		hurt[at] ^= 0x10
		f.Add(hurt, []byte{})
	}
	f.Fuzz(func(t *testing.T, data, catalog []byte) {
		dir := filepath.Join(t.TempDir(), "a")
		opts := &Options{Lanes: 1, Window: 64 << 10}
		w, err := Create(dir, Source{}, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for name, octets := range map[string][]byte{segmentName(1): data, segmentName(3): data, catalogFile: catalog} {
			if err := os.WriteFile(filepath.Join(dir, name), octets, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.Remove(filepath.Join(dir, infoFile))
		if _, err := Rebuild(t.Context(), dir, opts, RebuildOptions{}); err != nil {
			return
		}
		r, err := Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		checkCatalog(t, &r.Catalog)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
