package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// events are the lines of JSON on stdout, which several goroutines write.
type events struct {
	mu  sync.Mutex
	out *Printer
}

// Event writes one value as one line of JSON to stdout. Its first member should be "event".
func (c *Console) Event(v any) {
	c.events.mu.Lock()
	defer c.events.mu.Unlock()
	if c.events.out == nil {
		c.events.out = NewPrinter(c.Stdout)
	}
	c.events.out.JSON(v)
}

// EventErr is the first error of Event.
func (c *Console) EventErr() error {
	c.events.mu.Lock()
	defer c.events.mu.Unlock()
	if c.events.out == nil {
		return nil
	}
	return c.events.out.Err()
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// warningEvent is a line of --json.
type warningEvent struct {
	Event  string            `json:"event"`
	Time   time.Time         `json:"time"`
	Text   string            `json:"text"`
	Detail map[string]string `json:"detail,omitempty"`
}

// eventHandler makes events of warnings and errors in the log.
type eventHandler struct {
	con   *Console
	attrs []slog.Attr
}

func (h *eventHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (h *eventHandler) Handle(_ context.Context, r slog.Record) error {
	e := warningEvent{Event: "warning", Time: r.Time.Truncate(time.Second), Text: r.Message}
	note := func(a slog.Attr) bool {
		if e.Detail == nil {
			e.Detail = make(map[string]string)
		}
		e.Detail[a.Key] = a.Value.Resolve().String()
		return true
	}
	for _, a := range h.attrs {
		note(a)
	}
	r.Attrs(note)
	h.con.Event(e)
	return nil
}

func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{con: h.con, attrs: append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

// WithGroup leaves groups out: the names of what a run warns of are told apart without.
func (h *eventHandler) WithGroup(string) slog.Handler { return h }
