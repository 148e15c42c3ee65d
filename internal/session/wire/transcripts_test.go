package wire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// transcripts are the files of other mail programs' tests, which hold what real servers said.
func transcripts(t *testing.T, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "shared", "corpus", "open", "imap", pattern))
	if err != nil || len(files) == 0 {
		t.Skip("no transcripts in ../shared")
	}
	texts := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

// survives demands that the client lives on after it has asked something and got this answer.
func survives(t *testing.T, said, command string) {
	t.Helper()
	c := connect(t, Options{}, func(server net.Conn) {
		commands := bufio.NewScanner(server)
		_, _ = io.WriteString(server, "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n")
		commands.Scan()
		_, _ = io.WriteString(server, said)
		for commands.Scan() {
			tag, _, _ := strings.Cut(commands.Text(), " ")
			_, _ = io.WriteString(server, tag+" OK\r\n")
		}
	})
	client := imapclient.New(c, nil)
	defer func() { _ = client.Close() }()
	first := client.Noop().Wait
	if command == "SEARCH" {
		first = func() error { _, err := client.UIDSearch(&imap.SearchCriteria{}, nil).Wait(); return err }
	}
	var refused *imap.Error
	if err := first(); err != nil && !errors.As(err, &refused) {
		t.Errorf("lost over %q: %v", said, err)
	} else if err := client.Noop().Wait(); err != nil {
		t.Errorf("lost behind %q: %v", said, err)
	}
}

// TestTranscripts: what servers answered to MailKit costs no connection, whatever was asked.
func TestTranscripts(t *testing.T) {
	tag := regexp.MustCompile(`(?m)^A########`)
	for name, text := range transcripts(t, "mailkit/*.txt") {
		said := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		said = tag.ReplaceAllString(said, "T1")
		skip := strings.Contains(said, "XAOL-TOKEN-PARAM2 {") || strings.Contains(said, "BODY[HEADER] {515}")
		if skip || !strings.Contains(said, "\nT1 ") || strings.Contains(said, "\n+") || strings.HasPrefix(said, "+") {
			continue // a greeting, half of a command, a literal where nobody asks for one, or one counted without CR
		}
		t.Run(name, func(t *testing.T) { survives(t, said, "NOOP") })
	}
}

// TestResponses: nor does any of the responses in net-imap's tests.
func TestResponses(t *testing.T) {
	response := regexp.MustCompile(`(?m)^ +:response: ("(?:[^"\\]|\\.)*")$`)
	seen := 0
	for name, text := range transcripts(t, "net-imap/*.yml") {
		for _, m := range response.FindAllStringSubmatch(text, -1) {
			said, err := strconv.Unquote(m[1])
			if err != nil || !strings.HasPrefix(said, "*") {
				continue
			}
			seen++
			t.Run(name, func(t *testing.T) { survives(t, said+"T1 OK\r\n", "SEARCH") })
		}
	}
	if seen < 50 {
		t.Errorf("only %d responses found: the test sees nothing", seen)
	}
}
