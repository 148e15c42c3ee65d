package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailark/archive"
	"mailark/internal/imaptest"
)

// TestDamagedArchive: an import from an archive that has lost mail is never called complete: while a segment is short, and after
// the repair until what was put aside has been exported again. All other mail is uploaded, once.
func TestDamagedArchive(t *testing.T) {
	box := boxSpec{path: []string{"INBOX"}, msgs: mails("a", 5)}
	dir := newArchive(t, box)
	more := box
	more.msgs = append(more.msgs[:5:5], mails("b", 3)...)
	exportAgain(t, dir, more)
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	must(t, os.Truncate(names[len(names)-1], 100)) // the second run's

	s := newServer(t, imaptest.ServerOptions{})
	opts := options(t, dir, s)
	sum := runWant(t, opts, "8=0+5+0+0+3+0", exitPartial)
	if !strings.Contains(sum.Damage, "verify --repair") {
		t.Errorf("damage %q", sum.Damage)
	}
	_, err = archive.Repair(t.Context(), dir, nil, archive.RepairOptions{})
	must(t, err)
	sum = runWant(t, opts, "5=5+0+0+0+0+0", exitPartial)
	if !strings.Contains(sum.Damage, "3 messages") || !strings.Contains(sum.verdict(), "Not complete") {
		t.Errorf("damage %q, verdict %q", sum.Damage, sum.verdict())
	}
	exportAgain(t, dir, more)
	sum = runWant(t, opts, "8=5+3+0+0+0+0", exitComplete)
	if sum.Damage != "" {
		t.Errorf("damage %q", sum.Damage)
	}
	sameMail(t, s, "INBOX", more.msgs)
}
