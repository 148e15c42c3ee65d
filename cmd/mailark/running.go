package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/importer"
	"mailark/internal/progress"
)

// old is how long a run may say nothing new before status mentions it.
const old = 5 * time.Second

// running is a run that is at work on the archive, or was killed there.
type running struct {
	progress.Report
	Running bool   `json:"running"`
	Ledger  string `json:"ledger,omitempty"` // of an import
}

// readRunning finds out which runs are at work, and which were killed.
func readRunning(dir string) []running {
	list := []running{}
	add := func(path, lock, ledger string) {
		// What cannot be read is left out: the archive itself tells all that matters.
		if r, is, err := progress.Read(path, lock); r != nil && err == nil {
			list = append(list, running{*r, is, ledger})
		}
	}
	add(archive.Running(dir), archive.Lock(dir), "")
	for _, path := range importer.Ledgers(dir) {
		add(path+importer.RunningSuffix, path+importer.LockSuffix, filepath.Base(path))
	}
	return list
}

// account is what a ledger's file name stands for (archive/FORMAT.md, "File name").
func account(ledger string) string {
	name := strings.TrimSuffix(ledger, ".jsonl")
	if plain, err := url.PathUnescape(strings.ReplaceAll(name, "=", "%")); err == nil {
		return plain
	}
	return name
}

func (r *running) print(out *cli.Printer, now time.Time) {
	since := r.Since.Local().Format("2006-01-02 15:04")
	what := r.Run
	if r.Ledger != "" {
		what += " to " + account(r.Ledger)
	}
	if !r.Running {
		out.Linef("stopped    not running: the last %s, begun %s, was interrupted, at", what, since)
		out.Linef("           %s", r.Words(progress.Speed{}))
		return
	}
	ago := ""
	if d := now.Sub(r.Time).Round(time.Second); d > old {
		ago = fmt.Sprintf(", nothing new for %v", d)
	}
	out.Linef("running    %s since %s (process %d)%s", what, since, r.PID, ago)
	out.Linef("           %s", r.Words(r.Speed))
}
