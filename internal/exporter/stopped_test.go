package exporter

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"

	"mailark/internal/session"
	"mailark/internal/spool"
)

// oneBody is a server that gives one message; done is called behind it.
type oneBody struct {
	server
	done func()
}

func (s *oneBody) FetchBodies(_ context.Context, uids []uint32, _ []int64, fn func(uint32, int64, io.Reader) error) error {
	defer s.done()
	return fn(uids[0], 5, bytes.NewReader([]byte("whole")))
}

func (s *oneBody) Close() error { return nil }

// TestStoppedBehindTheAnswer: what the server has answered for is the archive's, also when the run is stopped in that moment.
func TestStoppedBehindTheAnswer(t *testing.T) {
	o := (&Options{Log: slog.New(slog.DiscardHandler)}).withDefaults()
	wants := []*want{{Meta: session.Meta{UID: 7, Size: 5}}}
	tr := &transfer{
		crew: newCrew(&o), mailbox: "INBOX", validity: 1, wants: wants, sched: newSchedule(wants, o.Retry),
		free: freeSpool(t), jobs: make(chan job, 2),
	}
	ctx, stop := context.WithCancel(t.Context())
	f := &fetcher{transfer: tr, link: &link{
		src: &oneBody{done: stop}, crew: tr.crew, log: o.Log, mailbox: "INBOX", selected: &session.Selected{UIDValidity: 1},
	}}
	_, _, _, _ = f.ask(ctx, wants) // either way the next question ends the run
	if !wants[0].done || f.held != nil || len(tr.jobs) != 1 {
		t.Errorf("delivered %v, held back %v", wants[0].done, f.held != nil)
	}
}

func freeSpool(t *testing.T) chan *spool.Spool {
	t.Helper()
	free := make(chan *spool.Spool, 1)
	sp := spool.New(t.TempDir())
	t.Cleanup(func() { _ = sp.Close() })
	free <- sp
	return free
}
