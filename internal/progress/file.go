package progress

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/mattn/go-runewidth"
)

const (
	fileSize  = 2048 // octets: one line of JSON, filled up with spaces
	longName  = 200  // columns of a mailbox's name in it
	writeTime = time.Second
	fileMode  = 0o600
)

// Report is what the file says.
type Report struct {
	Run     string    `json:"run"` // export or import
	PID     int       `json:"pid"`
	Program string    `json:"program"` // "mailark 0.1.0"
	Since   time.Time `json:"since"`   // when the run began
	Time    time.Time `json:"time"`    // when this was written
	State
	Speed
}

// File tells others where a run stands. Whoever has one holds a lock that nobody else does; it is for one
// goroutine. A nil File tells nobody.
type File struct {
	f     *os.File
	now   func() time.Time
	log   *slog.Logger
	head  Report
	meter *Meter
	told  time.Time
}

// Create makes the file at path in place of what a run before may have left. Where it cannot be made, the run
// does without: the File is nil.
func Create(path, run, program string, now func() time.Time, log *slog.Logger) *File {
	_ = os.Remove(path) // never written through: another run, or a backup, may have it by another name
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		log.Debug("nobody else can see the progress", "reason", err)
		return nil
	}
	t := &File{
		f: f, now: now, log: log, meter: NewMeter(now()),
		head: Report{Run: run, PID: os.Getpid(), Program: program, Since: now().Truncate(time.Second)},
	}
	t.Tell(State{})
	t.told = time.Time{} // what comes first is news at once
	return t
}

// Tell writes the new state, at most once a second.
func (t *File) Tell(s State) {
	if t == nil {
		return
	}
	now := t.now()
	t.meter.Add(now, s)
	if !t.told.IsZero() && now.Sub(t.told) < writeTime {
		return
	}
	t.told = now
	r := t.head
	r.Time, r.State, r.Speed = now.Truncate(time.Second), s, t.meter.Speed(now)
	r.What = runewidth.Truncate(r.What, longName, "…")
	line, err := json.Marshal(r)
	if err == nil && len(line) < fileSize {
		page := make([]byte, fileSize)
		for i := copy(page, line); i < fileSize; i++ {
			page[i] = ' '
		}
		page[fileSize-1] = '\n'
		_, err = t.f.WriteAt(page, 0)
	}
	if err != nil {
		t.log.Debug("the progress others see is out of date", "reason", err)
	}
}

// Close removes the file. To be called while the lock is still held.
func (t *File) Close() {
	if t == nil {
		return
	}
	_ = errors.Join(os.Remove(t.f.Name()), t.f.Close()) // nobody needs it
}

// Read reads the file at path. running: somebody holds the lock, so that what it says is of now; else a run was
// killed there. nil: there is no file.
func Read(path, lock string) (r *Report, running bool, err error) {
	const tries = 5
	for try := range tries {
		if r, err = read(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			break
		}
		if try < tries-1 {
			time.Sleep(10 * time.Millisecond) // it may be written at this moment
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read progress: %w", err)
	}
	return r, held(lock), nil
}

func read(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // was only read
	data, err := io.ReadAll(io.LimitReader(f, fileSize))
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// held reports whether somebody holds a lock. It is asked for as a reader, and given back at once; who
// wants it at that very moment tries again.
func held(path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		return false
	}
	_ = l.Close() // and unlock
	return !free
}
