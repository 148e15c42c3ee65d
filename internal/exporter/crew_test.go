package exporter

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailark/internal/session"
)

// TestOutOfReachForSeveral: connections being made are not taken for connections that are in, so a server that is out of reach
// is given up by several workers as it is by one.
func TestOutOfReachForSeveral(t *testing.T) {
	var log bytes.Buffer // a handler locks it
	o := (&Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Retry: Retry{Losses: 5, Sleep: func(ctx context.Context, _ time.Duration) error {
		return sleep(ctx, time.Millisecond)
	}}}).withDefaults()
	c := newCrew(&o)
	var dials atomic.Int32
	dial := func(ctx context.Context) (server, error) {
		dials.Add(1)
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
		return nil, &session.Error{Op: "connect", Scope: session.ScopeSession, Class: session.ClassRetry, Err: session.ErrConnect}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const workers = 8
	var all sync.WaitGroup
	for range workers {
		l := &link{dial: dial, retry: o.Retry, log: o.Log, crew: c, entered: true}
		all.Go(func() {
			if err := l.connect(ctx); !errors.Is(err, ErrGaveUp) {
				t.Errorf("error %v", err)
			}
		})
	}
	all.Wait()
	if n := dials.Load(); n != int32(workers*o.Retry.Losses) || strings.Contains(log.String(), "allows no more") {
		t.Errorf("%d connections tried; %s", n, &log)
	}
}
