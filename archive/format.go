package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Names of the files of an archive (FORMAT.md, "The directory").
const (
	infoFile    = "archive.json"
	readmeFile  = "README.txt"
	catalogFile = "catalog.jsonl.zst"
	segmentDir  = "segments"
	segmentExt  = ".tar.zst"
	sumsFile    = "SHA256SUMS"
	lockFile    = "lock"
	runningFile = "running.json"
	importsDir  = "imports"

	formatName    = "mailark"
	formatVersion = 1
)

// Limits of format version 1 (FORMAT.md, "Limits"). A reader refuses what is beyond them, so that a
// damaged or hostile archive costs bounded memory.
const (
	// MaxMessageSize is the most octets one message may have.
	MaxMessageSize = 1<<31 - 1

	maxWindow        = 128 << 20 // of a data frame, what plain zstd -d accepts
	mailWindow       = 64 << 20  // of the data frames this version writes
	catalogWindow    = 8 << 20   // of a catalog frame
	recordWindow     = 1 << 20   // of the catalog frames this version writes
	maxCatalogFrame  = 64 << 20  // octets of one catalog frame, decompressed
	maxCatalogPacked = 65 << 20  // octets of one catalog frame, compressed
	maxRecord        = 4 << 20   // octets of one line of the catalog
	maxCommitRecord  = 4 << 10   // octets of a commit record
	maxEndFrame      = 4 << 10   // compressed octets of the frame that ends a tar
	maxFramePlain    = 1<<32 - 1 // octets of a mail frame, decompressed
	maxInfo          = 1 << 20   // octets of archive.json
	maxSkippable     = 1<<32 + 7 // octets of a skippable frame, header included
	maxSegment       = 999_999   // highest segment number
	maxDir           = 1 << 10   // octets of a mailbox's directory
)

func segmentName(n uint32) string {
	return fmt.Sprintf("%s/%06d%s", segmentDir, n, segmentExt)
}

// parseSegmentName is the inverse of segmentName for a file's base name; 0 for any other file.
func parseSegmentName(base string) uint32 {
	digits, ok := strings.CutSuffix(base, segmentExt)
	if !ok || len(digits) != 6 {
		return 0
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// openFile opens a file of the archive for reading; a missing one is damage.
func openFile(dir, name string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &DamageError{File: name, Offset: -1, Reason: "it is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return f, nil
}

// readInfo reads and checks archive.json.
func readInfo(dir string) (Info, error) {
	var info Info
	f, err := os.Open(filepath.Join(dir, infoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("open %s: %w", dir, ErrNotArchive)
	}
	if err != nil {
		return info, fmt.Errorf("open archive: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxInfo))
	if err != nil {
		return info, fmt.Errorf("read %s: %w", infoFile, err)
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return info, &DamageError{File: infoFile, Offset: -1, Reason: err.Error()}
	}
	if info.Format != formatName {
		return info, fmt.Errorf("%s says format %q: %w", infoFile, info.Format, ErrNotArchive)
	}
	if info.Version != formatVersion {
		return info, &VersionError{Version: info.Version}
	}
	return info, nil
}

// segmentFiles lists the numbers of the segment files, ascending.
func segmentFiles(dir string) ([]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(dir, segmentDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var numbers []uint32
	for _, e := range entries {
		if n := parseSegmentName(e.Name()); n > 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}
