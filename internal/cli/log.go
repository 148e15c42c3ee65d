package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// logMode: a log names mailboxes and people.
const logMode = 0o600

// Logger returns the logger of a run and what closes it: warnings to stderr (with --verbose also
// what happens), with --json as events too, everything into the log file if there is one.
func (o *Output) Logger(con *Console) (*slog.Logger, io.Closer, error) {
	level, fileLevel := slog.LevelWarn, slog.LevelInfo
	if o.Verbose {
		level, fileLevel = slog.LevelInfo, slog.LevelDebug
	}
	handlers := []slog.Handler{&lineHandler{con: con, level: level}}
	if o.JSON {
		handlers = append(handlers, &eventHandler{con: con})
	}
	if o.LogFile == "" {
		return slog.New(slog.NewMultiHandler(handlers...)), io.NopCloser(nil), nil
	}
	f, err := os.OpenFile(o.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, logMode)
	if err != nil {
		return nil, nil, &UsageError{Text: fmt.Sprintf("--log-file: %v", err)}
	}
	text := slog.NewTextHandler(f, &slog.HandlerOptions{Level: fileLevel})
	return slog.New(slog.NewMultiHandler(append(handlers, text)...)), f, nil
}

// lineHandler writes log records as lines for people.
type lineHandler struct {
	con   *Console
	level slog.Level
	attrs string
	group string
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	switch {
	case r.Level >= slog.LevelError:
		line = "error: " + line
	case r.Level >= slog.LevelWarn:
		line = "warning: " + line
	}
	line += h.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += h.text(a)
		return true
	})
	h.con.Notef("%s", line)
	return nil
}

func (h *lineHandler) text(a slog.Attr) string {
	value := a.Value.Resolve().String()
	if strings.ContainsAny(value, " \"=") || value == "" {
		value = fmt.Sprintf("%q", value)
	}
	return " " + h.group + a.Key + "=" + value
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	for _, a := range attrs {
		out.attrs += h.text(a)
	}
	return &out
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	out := *h
	out.group += name + "."
	return &out
}

// Warnings returns a logger that writes warnings and errors to stderr.
func (c *Console) Warnings() *slog.Logger {
	return slog.New(&lineHandler{con: c, level: slog.LevelWarn})
}
