package wire

import (
	"bufio"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestChatter: a server that talks and talks, but not of what it was asked, is given up in the end.
func TestChatter(t *testing.T) {
	const patience = 100 * time.Millisecond
	for name, c := range map[string]struct {
		line string
		lost bool
	}{
		"still here":  {"* OK still here\r\n", true},
		"new mail":    {"* 7 EXISTS\r\n", true},
		"an answer":   {"* STATUS x ()\r\n", false},
		"a long list": {"* LIST () NIL x\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { talk(t, c.line, c.lost, patience) })
		})
	}
}

// talk has a server say a line again and again, long past its time, before it answers.
func talk(t *testing.T, said string, wantLost bool, patience time.Duration) {
	enough := time.Now().Add(3 * chatter * patience)
	conn := connect(t, Options{Timeout: patience}, func(server net.Conn) {
		_, _ = server.Write([]byte("* OK hi\r\n"))
		_, _ = server.Read(make([]byte, 100))
		for time.Now().Before(enough) {
			if _, err := server.Write([]byte(said)); err != nil {
				return
			}
			time.Sleep(patience / 20)
		}
		_, _ = server.Write([]byte("T1 OK\r\n"))
	})
	lines := bufio.NewReader(conn)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("T1 STATUS x\r\n")); err != nil {
		t.Fatal(err)
	}
	var err error
	for line := ""; err == nil && line != "T1 OK\r\n"; {
		line, err = lines.ReadString('\n')
	}
	var silent *SilentError
	if lost := errors.As(err, &silent) && silent.Chatter; lost != wantLost || !lost && err != nil {
		t.Errorf("got %v", err)
	}
}

// TestSlowClient: the time the client takes to read does not count against the server.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, slowClient)
}

func slowClient(t *testing.T) {
	const patience = 20 * time.Millisecond
	for _, line := range []string{"* OK working\r\n", "* STATUS x ()\r\n"} {
		conn := connect(t, Options{Timeout: patience}, func(server net.Conn) {
			_, _ = server.Write([]byte("* OK hi\r\n"))
			_, _ = server.Read(make([]byte, 100))
			_, _ = server.Write([]byte(line))
			_, _ = server.Write([]byte("T1 OK\r\n"))
		})
		p := make([]byte, 100)
		if _, err := conn.Read(p); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("T1 NOOP\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * chatter * patience)
		if n, err := conn.Read(p); err != nil || string(p[:n]) != "T1 OK\r\n" {
			t.Errorf("got %q, %v", p[:n], err)
		}
	}
}
