package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mailark/internal/durable"
)

// look makes sure, before the first octet is written, that nothing stands in the way of a repair.
func (p *repairer) look(c *Catalog) error {
	if err := p.checkMissing(c); err != nil {
		return err
	}
	s, err := surveySegments(p.dir, c)
	if err != nil {
		return err
	}
	return s.strays()
}

// checkMissing lets no segment be given up that may lie on a disk that is not there, or in a backup.
func (p *repairer) checkMissing(c *Catalog) error {
	_, err := os.Stat(filepath.Join(p.dir, segmentDir))
	if errors.Is(err, fs.ErrNotExist) && len(c.segments) > 0 {
		return &MissingError{Files: []string{segmentDir}}
	}
	var missing []string
	for _, s := range c.segments {
		if _, err := os.Stat(filepath.Join(p.dir, segmentName(s.number))); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, segmentName(s.number))
		} else if err != nil {
			return fmt.Errorf("look at segments: %w", err)
		}
	}
	if len(missing) > 0 && !p.giveUp {
		return &MissingError{Files: missing, CanGiveUp: true}
	}
	return nil
}

// lengthen gives segments that are missing or too short the length the catalog knows, with zeros, which the next steps
// then find damaged.
func (p *repairer) lengthen(c *Catalog) error {
	for _, s := range c.segments {
		path := filepath.Join(p.dir, segmentName(s.number))
		want := max(s.end, s.length)
		info, err := os.Stat(path)
		if err == nil && info.Size() >= want {
			continue
		}
		p.wrote = true
		var f *durable.File
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.extended = append(p.extended, &DamageError{File: segmentName(s.number), Offset: -1, Reason: "it is missing"})
			if err = p.opts.FS.Mkdir(filepath.Dir(path)); err == nil {
				if f, err = p.opts.FS.Create(path); err == nil {
					err = p.opts.FS.SyncDir(filepath.Dir(path))
				}
			}
		case err == nil:
			p.extended = append(p.extended, &DamageError{
				File: segmentName(s.number), Offset: info.Size(), Reason: fmt.Sprintf("it ends there, but the catalog knows %d octets", want),
			})
			f, err = p.openSegment(s.number)
		}
		if err == nil {
			err = errors.Join(f.Truncate(want), f.Sync())
		}
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return fmt.Errorf("lengthen %s: %w", segmentName(s.number), err)
		}
	}
	return nil
}

// openSegment opens a segment for writing, which may be read-only; publishSeals makes it so again.
func (p *repairer) openSegment(n uint32) (*durable.File, error) {
	path := filepath.Join(p.dir, segmentName(n))
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o200 == 0 {
		if err := p.opts.FS.Chmod(path, durable.FileMode); err != nil {
			return nil, err
		}
	}
	return p.opts.FS.Open(path)
}
