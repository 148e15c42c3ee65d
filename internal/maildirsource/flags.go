package maildirsource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"mailark/maildirx"
)

// keywords are those of one mailbox.
type keywords struct {
	letters []string            // of the letters a to z (Dovecot)
	byBase  map[string][]string // by the message's name (Courier)
}

const (
	maxKeywordFile  = 64 << 10
	maxKeywordFiles = 1_000_000
)

// readKeywords reads the keywords of a mailbox. What cannot be understood is left out and logged.
func readKeywords(dir *os.Root, log *slog.Logger) *keywords {
	k := &keywords{}
	_, err := readLines(dir, maildirx.KeywordsFile, func(r io.Reader) (err error) {
		k.letters, err = maildirx.ParseKeywords(r)
		return err
	})
	if err != nil {
		log.Warn("the keywords cannot be read", "path", path.Join(dir.Name(), maildirx.KeywordsFile), "reason", err)
	}
	if k.byBase, err = courierKeywords(dir); err != nil {
		log.Warn("the keywords cannot be read", "path", path.Join(dir.Name(), maildirx.CourierKeywordsDir), "reason", err)
	}
	return k
}

// courierKeywords reads Courier's keywords: a list of all, and for single messages newer ones, in files named for the
// message or ".<number>.<message>". Of these the highest number counts, and before all the plain name.
func courierKeywords(dir *os.Root) (map[string][]string, error) {
	info, err := dir.Lstat(maildirx.CourierKeywordsDir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := make(map[string][]string)
	_, err = readLines(dir, path.Join(maildirx.CourierKeywordsDir, maildirx.CourierKeywordsList), func(r io.Reader) error {
		listed, err := maildirx.ParseCourierKeywords(r)
		for file, words := range listed {
			found[base(file)] = words
		}
		return err
	})
	if err != nil {
		return found, err
	}
	newest := make(map[string]uint64)
	files := 0
	err = eachEntry(dir, maildirx.CourierKeywordsDir, func(e fs.DirEntry) error {
		file, age := courierUpdate(e.Name())
		if file == "" || !e.Type().IsRegular() || age < newest[base(file)] {
			return nil
		}
		if files++; files > maxKeywordFiles {
			return fmt.Errorf("more than %d files", maxKeywordFiles)
		}
		words, err := readWords(dir, path.Join(maildirx.CourierKeywordsDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found[base(file)], newest[base(file)] = words, age
		return err
	})
	return found, err
}

// courierUpdate tells for which message a file has keywords, and how new they are among those for it; "" if it is
// none of these files.
func courierUpdate(name string) (file string, age uint64) {
	if !strings.HasPrefix(name, ".") {
		if strings.HasPrefix(name, ":") {
			return "", 0
		}
		return name, 1<<64 - 1
	}
	number, file, _ := strings.Cut(name[1:], ".")
	age, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return "", 0
	}
	return file, age
}

// readWords reads keywords, one a line.
func readWords(dir *os.Root, name string) ([]string, error) {
	f, _, err := openFile(dir, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	octets, err := io.ReadAll(io.LimitReader(f, maxKeywordFile))
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(octets), func(r rune) bool { return r == '\n' }), nil
}

// flags are a message's flags and keywords. A message in new was not seen, whatever its name says.
func (k *keywords) flags(m *message) []string {
	letters := m.name().Flags
	flags := maildirx.SystemFlags(letters)
	if m.isNew {
		flags = slices.DeleteFunc(flags, func(f string) bool { return f == `\Seen` })
	}
	words := maildirx.Keywords(letters, k.letters)
	if k.byBase != nil {
		words = append(words, k.byBase[base(m.file)]...)
	}
	for _, w := range words {
		if maildirx.ValidKeyword(w) && !slices.Contains(flags, w) {
			flags = append(flags, w)
		}
	}
	return flags
}
