package imaptest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	"mailark/maildirx"
)

// subscriptions asks by LSUB (RFC 3501, section 6.3.9), which go-imap does not know, on a connection of its own. Names are
// decoded; the names of levels above subscribed mailboxes, which come with \Noselect, are left out.
func subscriptions(ctx context.Context, l Login) (map[string]bool, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // only read
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	lines := bufio.NewScanner(conn)
	// Not in one go: Courier loses what comes right behind LOGIN.
	if _, err := ask(conn, lines, fmt.Sprintf("LOGIN %q %q", l.User, l.Password)); err != nil {
		return nil, err
	}
	answer, err := ask(conn, lines, `LSUB "" "*"`)
	if err != nil {
		return nil, err
	}
	pattern := regexp.MustCompile(`^\* LSUB \(([^)]*)\) (?:"[^"]*"|NIL) (.+)$`)
	names := map[string]bool{}
	for _, line := range answer {
		m := pattern.FindStringSubmatch(line)
		if m == nil || strings.Contains(m[1], `\Noselect`) {
			continue
		}
		name := m[2]
		if quoted, err := strconv.Unquote(name); err == nil {
			name = quoted
		}
		if decoded, err := maildirx.DecodeUTF7(name); err == nil {
			name = decoded
		}
		names[name] = true
	}
	return names, nil
}

// ask sends one command and returns the lines before its OK.
func ask(conn net.Conn, lines *bufio.Scanner, command string) (answer []string, err error) {
	if _, err := fmt.Fprintf(conn, "a %s\r\n", command); err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(command, " ")
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "a ")
		switch {
		case !ok:
			answer = append(answer, lines.Text())
		case strings.HasPrefix(rest, "OK"):
			return answer, nil
		default:
			return nil, fmt.Errorf("%s: %s", name, rest)
		}
	}
	return nil, fmt.Errorf("%s: no answer: %w", name, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
