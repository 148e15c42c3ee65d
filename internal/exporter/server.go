package exporter

import (
	"context"
	"io"
	"sync"

	"mailark/internal/session"
)

// server is where mail is read: an IMAP connection, or something that answers like one. Its methods are
// those of session.Source, with the same promises and errors; none of them changes what is there.
type server interface {
	List(ctx context.Context) (*session.Listing, error)
	Examine(ctx context.Context, name string) (*session.Selected, error)
	FetchMeta(ctx context.Context, from uint32, fn func(session.Meta) error) error
	FetchBodies(ctx context.Context, uids []uint32, sizes []int64, fn func(uid uint32, size int64, r io.Reader) error) error
	Close() error
}

// dialer makes a connection to the source.
type dialer func(ctx context.Context) (server, error)

// dialIMAP makes connections to an IMAP account. They share the names of its mailboxes.
func dialIMAP(o session.Options) dialer {
	if ask := o.Password; ask != nil {
		var asking sync.Mutex // several connections may be made at a time
		o.Password = func(ctx context.Context) (string, error) {
			asking.Lock()
			defer asking.Unlock()
			return ask(ctx)
		}
	}
	if o.Names == nil {
		o.Names = session.NewNames()
	}
	if o.Shared == nil {
		o.Shared = session.NewShared()
	}
	return func(ctx context.Context) (server, error) {
		src, err := session.DialSource(ctx, o)
		if err != nil {
			return nil, err
		}
		return src, nil
	}
}
