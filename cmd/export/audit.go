package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mailark/internal/cli"
	"mailark/internal/durable"
	"mailark/internal/exporter"
)

// auditDir is where reports lie in an archive (archive/FORMAT.md, "The directory").
const auditDir = "audits"

// auditEvent is the line that --audit writes with --json.
type auditEvent struct {
	Event string `json:"event"`
	*exporter.AuditResult
}

// runAudit compares, writes the report and prints it.
func (f *flags) runAudit(ctx context.Context, con *cli.Console, opts exporter.Options) (int, error) {
	bar := con.NewRun(&f.Output)
	opts.Progress = func(p exporter.Progress) { bar.Show(p.State()) }
	result, auditErr := exporter.Audit(ctx, opts, f.sample)
	bar.Close()
	if auditErr != nil && len(result.Mailboxes) == 0 {
		return result.Exit, explain(auditErr) // which says it all
	}
	path, err := f.writeReport(con, result)
	switch {
	case f.JSON:
		con.Event(auditEvent{"audit", result})
		err = errors.Join(err, con.EventErr())
	default:
		err = errors.Join(err, result.Print(con.Stdout))
	}
	if path != "" && !f.JSON {
		_, printErr := fmt.Fprintf(con.Stdout, "Report: %s\n", path)
		err = errors.Join(err, printErr)
	}
	if err != nil && result.Exit == cli.ExitComplete {
		return cli.ExitError, err
	}
	return result.Exit, errors.Join(explain(auditErr), err)
}

// writeReport writes the report and returns its path. An archive that cannot be written to does without it.
func (f *flags) writeReport(con *cli.Console, result *exporter.AuditResult) (string, error) {
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write report: %w", err)
	}
	text = append(text, '\n')
	disk := durable.New(nil)
	if f.report != "" {
		if err := disk.WriteFile(f.report, text); err != nil {
			return "", fmt.Errorf("write report %s: %w", f.report, err)
		}
		return f.report, nil
	}
	path, err := reportPath(disk, result)
	if err == nil {
		err = disk.WriteFile(path, text)
	}
	if err != nil {
		con.Notef("warning: the report could not be written into the archive: %v; --report FILE puts it elsewhere", err)
		return "", nil
	}
	return path, nil
}

// reportPath is a name in the archive that is not taken yet.
func reportPath(disk *durable.FS, result *exporter.AuditResult) (string, error) {
	dir := filepath.Join(result.Dir, auditDir)
	if err := disk.Mkdir(dir); err != nil {
		return "", err
	}
	stamp := result.Time.UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		name := stamp + ".json"
		if n > 1 {
			name = fmt.Sprintf("%s-%d.json", stamp, n)
		}
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
	}
}
