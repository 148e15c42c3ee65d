package archive_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailark/archive"
	"mailark/internal/spool"
)

// rleFrame is a Zstandard frame (RFC 8878, section 3.1.1) that begins with head, and then has so many octets, all the same,
// which take four octets for each 128 KiB. windowLog is what its header announces.
func rleFrame(head string, size int64, windowLog int) []byte {
	const block, rle, last = 128 << 10, 1 << 1, 1
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(windowLog-10) << 3}
	if head != "" {
		frame = append(binary.LittleEndian.AppendUint32(frame, uint32(len(head))<<3)[:len(frame)+3], head...)
	}
	for ; size > 0; size -= block {
		header := uint32(min(size, block))<<3 | rle
		if size <= block {
			header |= last
		}
		frame = append(binary.LittleEndian.AppendUint32(frame, header)[:len(frame)+3], 'x')
	}
	return frame
}

// packed compresses records into a frame of a catalog.
func packed(t *testing.T, plain string) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll([]byte(plain), nil)
}

// TestBombs puts into an archive what would cost far more memory or time than it is long: everything comes to an end, within
// a bounded amount of memory, and nothing of the archive's own is lost by it.
func TestBombs(t *testing.T) {
	const grow = 400 << 20 // octets of memory at most, several times over what any of these needs
	base := filepath.Join(t.TempDir(), "base")
	if _, err := export(base, nil, sample(30, 50), 7); err != nil {
		t.Fatal(err)
	}
	want, err := yield(base, spool.New(""))
	if err != nil {
		t.Fatal(err)
	}
	head := nextCommit(t, base)
	const catalog, segment = "catalog.jsonl.zst", "segments/000002.tar.zst"
	const tooMuch, tooWide = "more than 67108864 octets", "window size exceeded"
	for _, bomb := range []struct {
		name, file string
		data       func() []byte // put behind what is there
		size       int64         // that the file is stretched to, with a hole; 0: not
		says       string        // part of the error that opening gives; "": none
	}{
		{"10 GB in a catalog frame", catalog, func() []byte { return rleFrame("", 10<<30, 23) }, 0, tooMuch},
		{"10 GB behind a commit", catalog, func() []byte { return rleFrame(head, 10<<30, 23) }, 0, tooMuch},
		{"a window of 4 GB in the catalog", catalog, func() []byte { return rleFrame("", 1<<10, 32) }, 0, tooWide},
		{"a window of 1 TB in the catalog", catalog, func() []byte { return rleFrame("", 1<<10, 40) }, 0, tooWide},
		{"a line of 1 GB", catalog, func() []byte { return rleFrame(head+`{"t":"x","y":"`, 1<<30, 20) }, 0, tooMuch},
		{"a line of 60 MB", catalog, func() []byte { return rleFrame(head+`{"t":"x","y":"`, 60<<20, 20) }, 0, "a record does not end, or is longer"},
		{"a first line of 60 MB", catalog, func() []byte { return rleFrame("", 60<<20, 20) }, 0, "a record does not end, or is longer"},
		{"a million open brackets", catalog, func() []byte { return packed(t, head+strings.Repeat("[", 3<<20)+"\n") }, 0, "exceeded max depth"},
		{"a million brackets in a record", catalog, func() []byte {
			return packed(t, head+`{"t":"x","y":`+strings.Repeat("[", 3<<20)+"\n")
		}, 0, "exceeded max depth"},
		{"all other UIDs, again and again", catalog, func() []byte {
			return packed(t, head+strings.Repeat(`{"t":"gone","mailbox":1,"epoch":1,"uids":"1000:4294967295"}`+"\n", 20_000))
		}, 0, ""},
		{"10 GB in a mail frame", segment, func() []byte { return rleFrame("", 10<<30, 23) }, 0, ""},
		{"a window of 4 GB in a segment", segment, func() []byte { return rleFrame("", 1<<10, 32) }, 0, ""},
		{"10 GB in a record frame", segment, func() []byte { return append([]byte("\x5a\x2a\x4d\x18\x00\x00\x00\x01"), rleFrame("", 10<<30, 23)...) }, 0, ""},
		{"a skippable frame of 4 GB", segment, func() []byte { return []byte("\x5a\x2a\x4d\x18\xff\xff\xff\xff") }, 0, ""},
		{"an archive.json of 1 GB", "archive.json", nil, 1 << 30, "after top-level value"},
		{"a catalog with a hole of 256 MB", catalog, nil, 256 << 20, ""},
		{"a segment with a hole of 256 MB", segment, nil, 256 << 20, ""},
	} {
		t.Run(bomb.name, func(t *testing.T) {
			dir := copyDir(t, base)
			path := filepath.Join(dir, bomb.file)
			old, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			var data []byte
			if bomb.data != nil {
				data = bomb.data()
			}
			if err := os.WriteFile(path, append(bytes.Clone(old), data...), 0o600); err != nil {
				t.Fatal(err)
			}
			if bomb.size > 0 {
				truncate(t, path, bomb.size)
			}
			late := time.AfterFunc(3*time.Minute, func() { panic("it takes for ever: " + bomb.name) })
			defer late.Stop()
			memory := watchMemory()
			got, err := yield(dir, spool.New(""))
			var damage *archive.DamageError
			if err != nil && !errors.As(err, &damage) {
				t.Errorf("open: %v, want *DamageError or nothing", err)
			}
			if (err != nil) != (bomb.says != "") || err != nil && !strings.Contains(err.Error(), bomb.says) {
				t.Errorf("open: %v, want %q", err, bomb.says)
			}
			for k, octets := range got {
				if octets != want[k] {
					t.Errorf("%v: %s, want %s", k, octets, want[k])
				}
			}
			if err == nil && len(got) != len(want) {
				t.Errorf("%d messages, want %d", len(got), len(want))
			}
			if res, verr := archive.Verify(context.Background(), dir, nil, nil); err != nil && verr == nil && len(res.Problems) == 0 {
				t.Errorf("open says %v, verify nothing", err)
			}
			w, werr := archive.OpenWriter(dir, options(nil))
			if werr == nil {
				werr = w.Close()
			}
			peak := memory()
			if peak > grow {
				t.Errorf("%d MB of memory", peak>>20)
			}
			now, err := os.ReadFile(filepath.Join(dir, catalog))
			if werr == nil && bomb.file != "archive.json" {
				if again, err := yield(dir, spool.New("")); err != nil || len(again) != len(want) {
					t.Errorf("%d messages after a writer, %v", len(again), err)
				}
			}
			if bomb.file == catalog && (err != nil || !bytes.HasPrefix(now, old)) {
				t.Errorf("the catalog was changed, %v", err)
			}
			t.Logf("%d MB of memory, open for writing: %v", peak>>20, werr)
		})
	}
}

// nextCommit is the commit record that would come next in an archive's catalog.
func nextCommit(t *testing.T, dir string) string {
	t.Helper()
	n := 0
	for _, l := range catalogLines(t, dir) {
		if strings.HasPrefix(l, `{"t":"commit"`) {
			n++
		}
	}
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	return fmt.Sprintf(`{"t":"commit","n":%d,"archive":"%s"}`+"\n", n+1, r.Info().ID)
}

// watchMemory looks at the heap now and then, until the function it returns is called for the most there was.
func watchMemory() (stop func() uint64) {
	runtime.GC()
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		var stats runtime.MemStats
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapInuse)
			select {
			case <-tick.C:
			case <-done:
				peak <- most
				return
			}
		}
	}()
	return func() uint64 {
		close(done)
		return <-peak
	}
}
