package exporter

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailark/archive"
	"mailark/internal/imaptest"
	"mailark/internal/session"
)

// quirksFile is written by "MAILARK_UPDATE=1 go test -run TestQuirks ./internal/exporter".
const quirksFile = "QUIRKS.md"

// TestQuirks exports from a server of each odd way. Every message must be in the archive as the server has it, or be named
// as refused, or lie in a mailbox that is named as failed; and nobody else may suffer. The table in QUIRKS.md is made of what
// is seen here.
func TestQuirks(t *testing.T) {
	var mu sync.Mutex
	rows := make(map[string]string)
	t.Run("all", func(t *testing.T) {
		for _, q := range imaptest.Quirks() {
			t.Run(q.ID, func(t *testing.T) {
				t.Parallel()
				row := exportQuirk(t, q)
				mu.Lock()
				defer mu.Unlock()
				if rows[q.ID] != "" {
					t.Errorf("two quirks are called %s", q.ID)
				}
				rows[q.ID] = row
			})
		}
	})
	var table strings.Builder
	table.WriteString(quirksHead)
	for _, q := range imaptest.Quirks() {
		if rows[q.ID] == "" {
			return // not all were run
		}
		table.WriteString(rows[q.ID])
	}
	if os.Getenv("MAILARK_UPDATE") != "" {
		if err := os.WriteFile(quirksFile, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(quirksFile)
	if err != nil || string(written) != table.String() {
		t.Errorf("%s is not what the tests see (run them with MAILARK_UPDATE=1): %v\n%s", quirksFile, err, table.String())
	}
}

const quirksHead = "# Odd servers and what mailark-export makes of them\n\n" +
	"Made by `TestQuirks`; do not edit. Each row is an account of 60 messages in 6 mailboxes on a server that answers in one odd way\n" +
	"(the ids are those of the collection of quirks that real clients met; a suffix names a variant). **got** is how many messages are in the\n" +
	"archive, equal in octets, flags and date; **exit** is the exit code: 0 complete, 3 some refused, 4 the server contradicts itself,\n" +
	"16 no sign-in. Whatever is missing was told by name; what was told is in the last column.\n\n" +
	"| quirk | what the server does | got | exit | told |\n|---|---|--:|--:|---|\n"

// exportQuirk runs one export and returns the row of the table.
func exportQuirk(t *testing.T, q imaptest.Quirk) string {
	server, err := imaptest.StartQuirk(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	there := make(map[imaptest.Key]imaptest.Message)
	for _, m := range server.Boxes {
		for _, msg := range m.Messages {
			there[imaptest.Key{Mailbox: m.Name, UID: msg.UID}] = msg
		}
	}
	if len(there) != 60 {
		t.Fatalf("the account has %d messages", len(there))
	}
	opts := Options{
		Session: session.Options{
			Host: "127.0.0.1", Port: port(server.Addr), TLS: session.TLSNone, User: "u", Timeout: 2 * time.Second, Program: "mailark test",
			Password: func(context.Context) (string, error) { return `p"\{5} `, nil },
		},
		Dir:   filepath.Join(t.TempDir(), "a"),
		Retry: Retry{Attempts: 3, Losses: 6, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
	}
	res, err := Run(t.Context(), opts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("error %v\n%v", err, res)
		}
	})
	got := 0
	if !q.NoEntry {
		got = compareQuirk(t, q, opts.Dir, there, res)
	}
	checkTold(t, &q, res, err, there)
	return fmt.Sprintf("| %s | %s | %d | %d | %s |\n", q.ID, q.Does, got, res.ExitCode(), told(res, server.Addr))
}

// compareQuirk demands that the archive has what the server has, but for what nobody can get, and nothing else. It returns how
// many messages are there.
func compareQuirk(t *testing.T, q imaptest.Quirk, dir string, there map[imaptest.Key]imaptest.Message, res *Result) (got int) {
	r := &rig{T: t, opts: Options{Dir: dir}}
	a := r.archive()
	found := make(map[imaptest.Key]bool)
	for _, m := range a.Mailboxes() {
		for _, msg := range a.Current(m.ID) {
			key := imaptest.Key{Mailbox: m.Name(), UID: msg.UID}
			want, ok := there[key]
			switch {
			case !ok || found[key]:
				t.Errorf("%v is in the archive, and should not be", key)
			case !bytes.Equal(r.octets(a, msg), want.Octets):
				t.Errorf("%v: other octets", key)
			case !sameFlags(msg.Flags, want.Flags):
				t.Errorf("%v: flags %q, want %q", key, msg.Flags, want.Flags)
			case !msg.InternalDate.Equal(want.InternalDate) || zone(msg.InternalDate) != zone(want.InternalDate):
				t.Errorf("%v: date %v, want %v", key, msg.InternalDate, want.InternalDate)
			}
			found[key] = true
		}
	}
	for key := range there {
		missing := slices.Contains(q.Lost, key) || slices.Contains(q.Gone, key) || slices.Contains(q.Closed, key.Mailbox)
		if missing == found[key] {
			t.Errorf("%v is in the archive: %v", key, found[key])
		}
	}
	r.checkSound()
	if strings.HasPrefix(q.ID, "LIST") || strings.HasPrefix(q.ID, "FETCH-7") {
		checkTree(t, a, len(found))
	}
	return len(found)
}

// checkTree extracts the archive: every mailbox has a place of its own, inside the tree.
func checkTree(t *testing.T, a *archive.Reader, messages int) {
	outer := t.TempDir()
	res, err := a.Extract(t.Context(), filepath.Join(outer, "x", "out"), archive.ExtractOptions{})
	if err != nil || res.Messages != messages {
		t.Errorf("extracted %+v of %d messages: %v", res, messages, err)
	}
	if list, err := os.ReadDir(outer); err != nil || len(list) != 1 {
		t.Errorf("the tree holds %v, %v", list, err)
	}
}

// checkTold demands that what is missing was told by name, that nothing else was, and that the exit code says so.
func checkTold(t *testing.T, q *imaptest.Quirk, res *Result, err error, there map[imaptest.Key]imaptest.Message) {
	if q.NoEntry {
		if err == nil || res.ExitCode() == 0 {
			t.Errorf("nobody can get in, but exit %d, %v", res.ExitCode(), err)
		}
		return
	}
	var refused []imaptest.Key
	for _, r := range res.Refused {
		refused = append(refused, imaptest.Key{Mailbox: r.Mailbox, UID: r.UID})
		if r.Text == "" {
			t.Errorf("%v was refused without a reason", r)
		}
	}
	var failed []string
	for _, m := range res.failed() {
		failed = append(failed, m.Name)
	}
	if !slices.Equal(refused, q.Lost) || !slices.Equal(failed, q.Closed) {
		t.Errorf("refused %v, want %v; failed %q, want %q", refused, q.Lost, failed, q.Closed)
	}
	want := exitComplete
	if len(refused)+len(failed) > 0 {
		want = exitPartial
	}
	if res.ExitCode() != want || err != nil {
		t.Errorf("exit %d, want %d; error %v", res.ExitCode(), want, err)
	}
	if total := res.Total(); total.Vanished != len(q.Gone) || total.Listed > len(there) {
		t.Errorf("figures: %+v", total)
	}
}

// told is what the user reads of a run, besides figures.
func told(res *Result, addr string) string {
	var texts []string
	if res.ExitCode() == exitComplete {
		texts = append(texts, "Complete")
	}
	for _, r := range res.Refused {
		texts = append(texts, fmt.Sprintf("refused: %s UID %d: %s", r.Mailbox, r.UID, r.Text))
	}
	for _, m := range res.failed() {
		texts = append(texts, fmt.Sprintf("not copied: %s: %s", m.Name, m.Failed))
	}
	for _, m := range res.changed() {
		texts = append(texts, fmt.Sprintf("look: %s: %s", m.Name, m.Changed))
	}
	if res.Err != nil {
		texts = append(texts, res.Err.Error())
	}
	if v := res.Total().Vanished; v > 0 {
		texts = append(texts, fmt.Sprintf("%d vanished meanwhile", v))
	}
	text := strings.ReplaceAll(strings.Join(texts, "; "), addr, "the server")
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
