package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailark/archive"
)

// readmeBlocks are the commands in an archive's README.txt, under the numbers of their sections: lines that begin with four
// blanks, those without another line between them together.
func readmeBlocks(t *testing.T, dir string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "README.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) > 80 {
		t.Errorf("README.txt has %d lines", len(lines))
	}
	blocks := make(map[string][]string)
	section, block := "", ""
	for _, line := range lines {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			block += command + "\n"
			continue
		}
		if block != "" {
			blocks[section] = append(blocks[section], block)
		}
		block = ""
		if number, _, ok := strings.Cut(line, ". "); ok && len(number) == 1 {
			section = number
		}
	}
	return blocks
}

// follow runs a block of README.txt in dir and returns what it prints. With sound it must say nothing on stderr and end well.
func follow(t *testing.T, dir, block string, sound bool) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", block)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	said := slices.DeleteFunc(strings.Split(strings.TrimSpace(stderr.String()), "\n"), func(line string) bool {
		return line == "" || strings.Contains(line, "bytes") || strings.Contains(line, "files decompressed") // zstd -t
	})
	if sound && (err != nil || len(said) > 0) {
		t.Errorf("%s: %v\n%s", block, err, &stderr)
	}
	return stdout.String()
}

// readmeArchive is an archive with several segments, epochs and mailboxes, alone in its parent directory.
func readmeArchive(t *testing.T) (dir string, list []mail) {
	t.Helper()
	for _, tool := range []string{"sh", "zstd", "tar", "jq", "sha256sum", "find"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir = filepath.Join(t.TempDir(), "old mail")
	list = sample(150, 21)
	for i, validity := range []uint32{7, 8} {
		if _, err := export(dir, nil, list[:100+50*i], validity); err != nil {
			t.Fatal(err)
		}
	}
	return dir, list
}

// TestReadme follows README.txt, command by command as it stands, from the whole tree to one message.
func TestReadme(t *testing.T) {
	dir, list := readmeArchive(t)
	blocks := readmeBlocks(t, dir)
	if len(blocks["1"]) != 1 || len(blocks["2"]) != 1 || len(blocks["3"]) != 2 || len(blocks["4"]) != 1 || len(blocks["5"]) != 2 {
		t.Fatalf("README.txt has other blocks: %q", blocks)
	}
	follow(t, dir, blocks["1"][0], true)
	tree := filepath.Join(dir, "../mail-tree")
	compare(t, "the tree", octetsOf(t, tree), octetsWant(list, nil))

	if out := follow(t, dir, blocks["2"][0], true); strings.Count(out, ": OK\n") < 2 {
		t.Errorf("sha256sum says %q", out)
	}

	commands := strings.SplitAfter(blocks["3"][0], "\n")
	if out := follow(t, dir, commands[0], true); !strings.Contains(out, "1 Maildir INBOX\n2 Maildir/.Work.2016 Work/2016\n") {
		t.Errorf("the mailboxes are %q", out)
	}
	messages := follow(t, dir, commands[1], true)
	for _, m := range list {
		line := fmt.Sprintf("%d\t%s\t%d\t%x\n", m.uid, m.date.Format("2006-01-02T15:04:05Z07:00"), len(m.body), sha256.Sum256(m.body))
		if len(m.body) > 0 && strings.Contains(messages, line) != (m.mailbox == "INBOX") {
			t.Errorf("%s UID %d: %q is or is not in the list", m.mailbox, m.uid, line)
		}
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(list[0].body))
	one := follow(t, dir, blocks["3"][1], true)
	if !strings.Contains(one, `{"t":"message","epoch":1,"uid":1,"flags":["\\Seen","\\Flagged","$Forwarded"]}`) ||
		!strings.Contains(one, "\n../mail-tree/Maildir/cur/") || !strings.Contains(one, sum) {
		t.Errorf("UID 1 of mailbox 1: %s", one)
	}

	out := follow(t, dir, blocks["4"][0], true)
	body, err := os.ReadFile(filepath.Join(dir, "../message.eml"))
	if err != nil || !bytes.Equal(body, list[0].body) || strings.Count(out, sum) < 2 {
		t.Errorf("one message: %v, %q, %s", err, body, out)
	}
	for _, block := range blocks["5"] {
		if err := os.RemoveAll(tree); err != nil {
			t.Fatal(err)
		}
		follow(t, dir, "mkdir ../mail-tree", true)
		follow(t, dir, block, true)
		compare(t, block, octetsOf(t, tree), octetsWant(list, nil))
	}
}

// TestReadmeDamaged follows what README.txt says of damaged files: all that no damaged frame holds comes out.
func TestReadmeDamaged(t *testing.T) {
	dir, list := readmeArchive(t)
	r, err := archive.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	place := r.Message(archive.Key{Mailbox: 1, Epoch: 1, UID: 52}).Place
	lost := make(map[archive.Sum]bool)
	for _, mbox := range r.Mailboxes() {
		for m := range r.Messages(mbox.ID) {
			if m.Place.Segment == place.Segment && m.Place.Frame == place.Frame {
				lost[m.Sum] = true
			}
		}
	}
	path := filepath.Join(dir, "segments", fmt.Sprintf("%06d.tar.zst", place.Segment))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[place.Frame] ^= 0x80
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlocks(t, dir)
	for n, block := range blocks["5"] {
		tree := filepath.Join(dir, "../mail-tree")
		follow(t, dir, "rm -rf ../mail-tree; mkdir ../mail-tree", true)
		follow(t, dir, block, false)
		// A hard link in the damaged frame is gone, but not the octets it stands for.
		got, want := distinct(octetsOf(t, tree)), distinct(octetsWant(list, lost))
		if n == 1 { // the commands that step over a damaged frame
			compare(t, block, got, want)
		} else if len(got) < len(want)/4 {
			t.Errorf("%s: %d messages, want at least some of %d", block, len(got), len(want))
		}
	}
	if len(lost) == 0 || len(octetsWant(list, lost)) < len(list)/2 {
		t.Errorf("%d messages are lost", len(lost))
	}
}

// octetsOf is every message of a tree without its time, which hard links share: mailbox, flag letters, SHA-256.
func octetsOf(t *testing.T, tree string) []string { return without(treeLines(t, tree)) }

func octetsWant(list []mail, lost map[archive.Sum]bool) []string {
	left := slices.DeleteFunc(slices.Clone(list), func(m mail) bool { return lost[sha256.Sum256(m.body)] })
	return without(treeWant(left, func(m mail) time.Time { return m.date }))
}

// distinct are the SHA-256 in lines of octetsOf, each once.
func distinct(lines []string) []string {
	var sums []string
	for _, l := range lines {
		sums = append(sums, l[strings.LastIndexByte(l, ' ')+1:])
	}
	slices.Sort(sums)
	return slices.Compact(sums)
}

// without cuts the time out of lines of treeLines.
func without(lines []string) []string {
	for i, l := range lines {
		fields := strings.Fields(l)
		lines[i] = strings.Join(slices.Delete(fields, 1, 2), " ")
	}
	slices.Sort(lines)
	return lines
}
