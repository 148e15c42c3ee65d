package exporter

import (
	"context"
	"path/filepath"

	"mailark/archive"
	"mailark/internal/maildirsource"
)

// maildirHost stands for the host in an archive begun from a Maildir tree. It is no host name that could be signed in to
// by mistake: user is then a path.
const maildirHost = "maildir"

// uidsDir is the directory in an archive that keeps the UIDs given to messages of a Maildir tree.
const uidsDir = "uids"

// maildirSource names a Maildir tree in the archive.
func maildirSource(dir string) archive.Source {
	path, err := filepath.Abs(dir)
	if err != nil {
		path = filepath.Clean(dir)
	}
	return archive.Source{Host: maildirHost, User: path}
}

// dialMaildir opens a Maildir tree as often as asked. The catalog is only looked at now.
func dialMaildir(o *Options, catalog *archive.Catalog) dialer {
	type state struct{ validity, highest uint32 }
	known := make(map[string]state)
	for _, m := range catalog.Mailboxes() {
		epoch := catalog.Epoch(m.ID)
		if epoch == nil {
			continue
		}
		s := state{validity: epoch.UIDValidity}
		for msg := range catalog.Messages(m.ID) {
			if msg.Epoch == epoch.N {
				s.highest = max(s.highest, msg.UID)
			}
		}
		known[m.Raw] = s
	}
	tree := maildirsource.New(maildirsource.Options{
		Dir: o.Maildir, State: filepath.Join(o.Dir, uidsDir), ReadOnly: o.DryRun, Log: o.Log, Now: o.Now,
		Known: func(raw string) (uidValidity, highest uint32) { return known[raw].validity, known[raw].highest },
	})
	return func(ctx context.Context) (server, error) {
		src, err := tree.Connect(ctx)
		if err != nil {
			return nil, err
		}
		return src, nil
	}
}
