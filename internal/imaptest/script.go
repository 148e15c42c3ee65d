package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Script is a server that plays a fixed dialogue with each connection, for answers that no Server
// gives. Lines of the dialogue:
//
//	S: text      sent, with CRLF; $T stands for the tag of the last command
//	R: text      sent as it is, with \r \n \x00 escapes as in Go
//	C: WORDS     a command is read; its line after the tag must begin with WORDS
//	L: text      a line is read that is exactly this: a step of AUTHENTICATE, what follows a literal
//	D: n         n octets are read
//	W:           waits until the client ends the connection
//	X:           the connection ends; so it does at the end of the dialogue
type Script struct {
	Addr string

	ln   net.Listener
	wait sync.WaitGroup
	mu   sync.Mutex
	said []string // what did not go by the dialogue
}

// StartScript plays dialogue with every connection. The caller must call Close.
func StartScript(dialogue string) (*Script, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, fmt.Errorf("start script: %w", err)
	}
	s := &Script{Addr: ln.Addr().String(), ln: ln}
	s.wait.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.wait.Go(func() { s.play(conn, dialogue) })
		}
	})
	return s, nil
}

// Close ends the server, waits for the open dialogues, and reports what did not go by the script.
func (s *Script) Close() error {
	if err := s.ln.Close(); err != nil {
		return fmt.Errorf("close script: %w", err)
	}
	s.wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.said) > 0 {
		return fmt.Errorf("off the script: %s", strings.Join(s.said, "; "))
	}
	return nil
}

func (s *Script) play(conn net.Conn, dialogue string) {
	defer func() { _ = conn.Close() }()
	br := bufio.NewReader(conn)
	tag := ""
	for line := range strings.Lines(dialogue) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		kind, text, _ := strings.Cut(line, " ")
		var err error
		switch kind {
		case "S:":
			_, err = fmt.Fprintf(conn, "%s\r\n", strings.ReplaceAll(text, "$T", tag))
		case "R:":
			_, err = conn.Write([]byte(unescape(text)))
		case "C:":
			tag, err = expect(br, text)
		case "L:":
			err = expectLine(br, text)
		case "D:":
			var n int
			if _, err = fmt.Sscan(text, &n); err == nil {
				_, err = br.Discard(n)
			}
		case "W:":
			_, err = io.Copy(io.Discard, br)
		case "X:":
			return
		default:
			err = fmt.Errorf("not a line of a dialogue: %q", line)
		}
		if err != nil {
			s.mu.Lock()
			s.said = append(s.said, fmt.Sprintf("at %q: %v", line, err))
			s.mu.Unlock()
			return
		}
	}
}

func unescape(text string) string {
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\x00`, "\x00").Replace(text)
}

func expect(br *bufio.Reader, want string) (tag string, err error) {
	got, err := br.ReadString('\n')
	if err != nil {
		return "", err
	}
	tag, rest, _ := strings.Cut(strings.TrimRight(got, "\r\n"), " ")
	if !strings.HasPrefix(rest, want) {
		return "", fmt.Errorf("got %q", got)
	}
	return tag, nil
}

func expectLine(br *bufio.Reader, want string) error {
	got, err := br.ReadString('\n')
	if err == nil && strings.TrimRight(got, "\r\n") != want {
		err = fmt.Errorf("got %q", got)
	}
	return err
}
