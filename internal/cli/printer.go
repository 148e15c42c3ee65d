package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"mailark/internal/humane"
)

// Printer writes results to stdout and remembers the first error, so that a full disk or a closed
// pipe is noticed once, at the end.
type Printer struct {
	w   io.Writer
	err error
}

// NewPrinter returns a printer that writes to w.
func NewPrinter(w io.Writer) *Printer { return &Printer{w: w} }

// Linef writes one line, made fit for a terminal.
func (p *Printer) Linef(format string, args ...any) {
	p.write(humane.Printable(fmt.Sprintf(format, args...)) + "\n")
}

// JSON writes one value as one line of JSON.
func (p *Printer) JSON(v any) {
	line, err := json.Marshal(v)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write JSON: %w", err)
	}
	if p.err == nil {
		p.write(string(line) + "\n")
	}
}

func (p *Printer) write(s string) {
	if p.err != nil {
		return
	}
	if _, err := io.WriteString(p.w, s); err != nil {
		p.err = fmt.Errorf("write result: %w", err)
	}
}

// Err is the first error.
func (p *Printer) Err() error { return p.err }
