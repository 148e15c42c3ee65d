package exporter

import (
	"context"
	"errors"
	"path/filepath"

	"mailark/archive"
	"mailark/internal/maildirsource"
	"mailark/internal/session"
)

// maildirHost stands for the host in an archive begun from a Maildir tree. It is no host name that could be signed in to
// by mistake: user is then a path.
const maildirHost = "maildir"

// uidsDir is the directory in an archive that keeps the UIDs given to messages of a Maildir tree.
const uidsDir = "uids"

// source names where mail is read, as the archive does.
func (o *Options) source() archive.Source {
	if o.Maildir == "" {
		return archive.Source{Host: sourceHost(&o.Session), User: o.Session.User}
	}
	path, err := filepath.Abs(o.Maildir)
	if err != nil {
		path = filepath.Clean(o.Maildir)
	}
	return archive.Source{Host: maildirHost, User: path}
}

// shown names where mail is read, as people do.
func (o *Options) shown() archive.Source {
	if o.Maildir == "" {
		return archive.Source{Host: o.Session.Host, User: o.Session.User}
	}
	return o.source()
}

// dialer makes connections to where mail is read. The catalog is looked at now and not later. readOnly: the archive is
// not written.
func (o *Options) dialer(catalog *archive.Catalog, readOnly bool) dialer {
	if o.Maildir == "" {
		return dialIMAP(o.Session)
	}
	state := ""
	if o.Dir != "" {
		state = filepath.Join(o.Dir, uidsDir)
	}
	tree := maildirsource.New(maildirsource.Options{
		Dir: o.Maildir, State: state, ReadOnly: readOnly, Known: highestUIDs(catalog), Log: o.Log, Now: o.Now,
	})
	return func(ctx context.Context) (server, error) {
		src, err := tree.Connect(ctx)
		if err != nil {
			return nil, err
		}
		return maildirServer{src}, nil
	}
}

// maildirServer is a Maildir tree in place of a server. If the archive cannot keep UIDs, that ends the run.
type maildirServer struct{ *maildirsource.Source }

func (s maildirServer) Examine(ctx context.Context, name string) (*session.Selected, error) {
	sel, err := s.Source.Examine(ctx, name)
	if errors.Is(err, maildirsource.ErrState) {
		return nil, &stopError{err}
	}
	return sel, err
}

// highestUIDs tells, by a mailbox's raw name, UIDVALIDITY and the highest UID of its newest epoch in the catalog.
func highestUIDs(catalog *archive.Catalog) func(raw string) (uidValidity, highest uint32) {
	known := make(map[string][2]uint32)
	for _, m := range catalog.Mailboxes() {
		epoch := catalog.Epoch(m.ID)
		if epoch == nil {
			continue
		}
		highest := uint32(0)
		for msg := range catalog.Messages(m.ID) {
			if msg.Epoch == epoch.N {
				highest = max(highest, msg.UID)
			}
		}
		known[m.Raw] = [2]uint32{epoch.UIDValidity, highest}
	}
	return func(raw string) (uidValidity, highest uint32) { return known[raw][0], known[raw][1] }
}
