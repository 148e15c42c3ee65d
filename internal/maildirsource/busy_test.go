package maildirsource

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBusyMailbox: while a mail program changes flags and moves messages from new to cur, each message is listed once, with
// the UID it has.
func TestBusyMailbox(t *testing.T) {
	const messages = 300
	files := map[string]string{"tmp/": "", "cur/": ""}
	for i := range messages {
		files[fmt.Sprintf("new/%d.x", 1000+i)] = "x"
	}
	root := plant(t, files)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		paths := make([]string, messages)
		for i := range paths {
			paths[i] = fmt.Sprintf("new/%d.x", 1000+i)
		}
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(100 * time.Microsecond):
			}
			i := n * 7 % messages
			to := fmt.Sprintf("cur/%d.x:2,%s", 1000+i, []string{"", "S", "RS"}[n/messages%3])
			if err := os.Rename(filepath.Join(root, paths[i]), filepath.Join(root, to)); err != nil {
				stopped <- err
				return
			}
			paths[i] = to
		}
	}()
	s := connect(t, New(Options{Dir: root, State: filepath.Join(t.TempDir(), "uids")}))
	first := map[string]uint32{}
	for round := range 4 {
		sel, err := s.Examine(t.Context(), "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		if sel.Exists != messages {
			t.Errorf("round %d: %d messages", round, sel.Exists)
		}
		for _, m := range s.messages {
			name, _, _ := strings.Cut(m.file, ":")
			if uid := first[name]; uid != 0 && uid != m.uid {
				t.Errorf("round %d: %s has UID %d, had %d", round, name, m.uid, uid)
			}
			first[name] = m.uid
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
