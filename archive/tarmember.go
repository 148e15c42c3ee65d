package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"

	"mailark/internal/durable"
)

const tarBlock = 512

func tarPadding(size int64) int64 { return (tarBlock - size%tarBlock) % tarBlock }

// tarHeader encodes a header: ustar where that is enough, pax where it is not (long or odd names,
// times before 1970). Owner and group stay empty.
func tarHeader(h *tar.Header) ([]byte, error) {
	h.ModTime = h.ModTime.Truncate(time.Second)
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(h); err != nil {
		return nil, fmt.Errorf("encode tar header of %q: %w", h.Name, err)
	}
	return buf.Bytes(), nil
}

func fileHeader(name string, size int64, mtime time.Time) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(durable.FileMode), ModTime: tarTime(mtime),
	}
}

func linkHeader(name, target string, mtime time.Time) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: int64(durable.FileMode), ModTime: tarTime(mtime),
	}
}

func dirHeader(name string, mtime time.Time) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeDir, Name: name + "/", Mode: int64(durable.DirMode), ModTime: tarTime(mtime),
	}
}

// tarTime is the epoch for a message without a date, since a tar member must have some time.
func tarTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

// endOfArchive is what ends a tar: two blocks of zeros.
func endOfArchive() []byte { return make([]byte, endLength) }

const endLength = 2 * tarBlock
