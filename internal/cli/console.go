package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"

	"mailark/internal/humane"
)

// Console is the user's end of a program: streams, environment, and the program's name for messages.
type Console struct {
	Name      string
	Stdin     *os.File
	Stdout    io.Writer
	Stderr    io.Writer // lines go above a progress bar while one is shown
	LookupEnv func(string) (string, bool)

	screen  *screen
	running atomic.Pointer[Progress] // what a signal asks for
	events  events
}

// newConsole returns the console of this process.
func newConsole(name string) *Console {
	s := &screen{out: os.Stderr}
	return &Console{
		Name: name, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: s, LookupEnv: os.LookupEnv, screen: s,
	}
}

// Notef writes one line to stderr, after the program's name.
func (c *Console) Notef(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	_, _ = fmt.Fprintf(c.Stderr, "%s: %s\n", c.Name, humane.Printable(text))
}

// report says what went wrong and what to do about it.
func (c *Console) report(err error) {
	c.Notef("%v", err)
	if h := hint(err); h != "" {
		_, _ = fmt.Fprintf(c.Stderr, "  %s\n", humane.Printable(h))
	}
}

// screen is stderr, shared between lines and a progress bar.
type screen struct {
	out *os.File

	mu   sync.Mutex
	bars *mpb.Progress
}

// Write puts p above the bar if there is one.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bars != nil {
		// A Ctrl-C that the terminal has echoed leaves the cursor where the bar does not expect it.
		_, _ = s.out.WriteString("\r")
		if n, err := s.bars.Write(p); err == nil {
			return n, nil
		}
	}
	return s.out.Write(p)
}

func (s *screen) setBars(b *mpb.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bars = b
}

// isTerminal reports whether bars and colour make sense on stderr.
func (s *screen) isTerminal() bool {
	return s != nil && term.IsTerminal(int(s.out.Fd())) && os.Getenv("TERM") != "dumb"
}

// width is the terminal's width in columns, or 0.
func (s *screen) width() int {
	if !s.isTerminal() {
		return 0
	}
	w, _, err := term.GetSize(int(s.out.Fd()))
	if err != nil {
		return 0
	}
	return w
}
