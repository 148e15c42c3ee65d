package progress

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path, lockPath := filepath.Join(dir, "running.json"), filepath.Join(dir, "lock")
	if r, _, err := Read(path, lockPath); r != nil || err != nil {
		t.Fatalf("no file, but %v, %v", r, err)
	}
	lock := flock.New(lockPath)
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	now := time.Unix(2000, 5)
	// What another run has left, perhaps under two names, is not written through.
	elsewhere := filepath.Join(dir, "backup")
	if err := os.WriteFile(elsewhere, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	f := Create(path, "export", "mailark test", func() time.Time { return now }, slog.New(slog.DiscardHandler))
	look := func(running bool) *Report {
		t.Helper()
		r, is, err := Read(path, lockPath)
		if err != nil || r == nil || is != running {
			t.Fatalf("%+v, running %v, error %v", r, is, err)
		}
		return r
	}
	if r := look(true); r.Run != "export" || r.PID != os.Getpid() || r.Since.Unix() != 2000 || r.Messages != 0 {
		t.Errorf("at the beginning %+v", r)
	}
	f.Tell(State{Messages: 1})
	f.Tell(State{Messages: 9}) // too soon
	if r := look(true); r.Messages != 1 {
		t.Errorf("written twice in a second: %+v", r)
	}
	now = now.Add(10 * time.Second)
	f.Tell(State{What: strings.Repeat("\x00仕事", 1000), Messages: 2, Octets: 1000, OctetsTotal: 1200})
	if r := look(true); r.Messages != 2 || r.Octets != 1000 || r.Rate != 100 || r.Time.Unix() != 2010 || !strings.HasSuffix(r.What, "…") {
		t.Errorf("later %+v", r)
	}
	now = now.Add(10 * time.Second)
	f.Tell(State{Messages: 3}) // a shorter line must leave nothing of the longer one
	if r := look(true); r.Messages != 3 || r.What != "" {
		t.Errorf("at last %+v", r)
	}
	if err := lock.Unlock(); err != nil { // as a kill would
		t.Fatal(err)
	}
	look(false)
	f.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if data, err := os.ReadFile(elsewhere); err != nil || string(data) != "old" {
		t.Errorf("the other file is %q, %v", data, err)
	}
}

// A file that cannot be made, or holds nonsense, is no reason to fail for the run, and an error for who looks.
func TestFileTrouble(t *testing.T) {
	dir := t.TempDir()
	f := Create(filepath.Join(dir, "none", "running.json"), "export", "", time.Now, slog.New(slog.DiscardHandler))
	f.Tell(State{})
	f.Close()
	path := filepath.Join(dir, "running.json")
	for _, text := range []string{"", "{", strings.Repeat("[", 1<<20)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, _, err := Read(path, filepath.Join(dir, "lock")); err == nil {
			t.Errorf("%.10q is taken for %+v", text, r)
		}
	}
}
