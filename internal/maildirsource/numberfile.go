package maildirsource

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mailark/maildirx"
)

// maxNumberLine is the longest line of a number file: a file name, quoted.
const maxNumberLine = 8 << 10

// numberFile is where the UIDs given in a mailbox are kept. FORMAT.md has its form.
func (t *Tree) numberFile(b *box) string {
	sum := sha256.Sum256([]byte(b.raw))
	return filepath.Join(t.opts.State, hex.EncodeToString(sum[:8])+".txt")
}

// load reads what was given in a mailbox; nil if that is nothing, or cannot be understood.
func (t *Tree) load(b *box) (*givenUIDs, error) {
	if t.opts.State == "" {
		return nil, nil
	}
	f, err := os.Open(t.numberFile(b))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	defer func() { _ = f.Close() }()
	g, err := parseGiven(f, b.raw)
	if errors.Is(err, maildirx.ErrFormat) {
		t.opts.Log.Warn("the UIDs given before cannot be understood; others are given", "mailbox", b.name, "reason", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return g, nil
}

// save writes down what was given, if something new was. It is on the disk when save returns.
func (t *Tree) save(b *box, g *givenUIDs) error {
	if !g.dirty || t.opts.State == "" || t.opts.ReadOnly {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(t.opts.State)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := t.fs.Mkdir(t.opts.State)
	if err == nil {
		err = t.fs.WriteFileFrom(t.numberFile(b), func(w io.Writer) error { return g.write(w, b.raw) })
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	g.dirty = false
	return nil
}

// write writes what was given:
//
//	1 <UIDVALIDITY> <UIDNEXT> own|tree <mailbox, quoted>
//	<UID> <key, quoted>
//	.
func (g *givenUIDs) write(w io.Writer, raw string) error {
	whose := "tree"
	if g.own {
		whose = "own"
	}
	buf := bufio.NewWriter(w)
	if _, err := fmt.Fprintf(buf, "1 %d %d %s %s\n", g.validity, g.next, whose, strconv.QuoteToASCII(raw)); err != nil {
		return err
	}
	for k, uid := range g.byKey {
		if _, err := fmt.Fprintf(buf, "%d %s\n", uid, strconv.QuoteToASCII(k)); err != nil {
			return err
		}
	}
	if _, err := buf.WriteString(".\n"); err != nil {
		return err
	}
	return buf.Flush()
}

// parseGiven reads what write has written for the mailbox. Anything else is an error, which wraps maildirx.ErrFormat.
func parseGiven(r io.Reader, raw string) (*givenUIDs, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxNumberLine)
	if !lines.Scan() {
		return nil, malformed(lines, "no header")
	}
	header := strings.SplitN(lines.Text(), " ", 5)
	if len(header) != 5 || header[0] != "1" || header[4] != strconv.QuoteToASCII(raw) {
		return nil, malformed(lines, "header")
	}
	g := newGiven(parseUID(header[1]), parseUID(header[2]), header[3] == "own")
	if g.validity == 0 || g.next == 0 || !g.own && header[3] != "tree" {
		return nil, malformed(lines, "header")
	}
	for lines.Scan() {
		line := lines.Text()
		if line == "." && !lines.Scan() {
			return g, nil
		}
		number, quoted, _ := strings.Cut(line, " ")
		uid := parseUID(number)
		k, err := strconv.Unquote(quoted)
		if err != nil || uid == 0 || g.byUID[uid] || g.byKey[k] != 0 || uid >= g.next && (g.own || uid >= firstOwn) {
			return nil, malformed(lines, "line")
		}
		g.byKey[k], g.byUID[uid] = uid, true
	}
	return nil, malformed(lines, "no end")
}

func malformed(lines *bufio.Scanner, what string) error {
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return fmt.Errorf("%w: %s: %.80q", maildirx.ErrFormat, what, lines.Text())
}
