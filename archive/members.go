package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"mailark/maildirx"
)

const (
	maxMembers  = 1 << 20  // of one frame that are read without the catalog
	maxTreeFile = 64 << 20 // octets of a uidlist, keywords or subscriptions file that is read without the catalog
)

// tarMember is one member of a mail frame, read without the catalog's help.
type tarMember struct {
	header *tar.Header
	pos    int64     // of its content in the decompressed frame
	file   *fileFact // of a message; nil for anything else
	sum    Sum       // of a message with content
	data   []byte    // of a file for Dovecot
}

// fileFact is what the name of a message's file says.
type fileFact struct {
	key     Key
	dir     string // of the mailbox
	date    time.Time
	size    int64
	letters string
}

// memberReader reads the members of a mail frame.
type memberReader struct {
	archiveID string
	sums      bool  // hash the messages
	count     int   // members read
	plain     int64 // octets decompressed
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n *int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// read calls each for every member. errBroken: the frame is not whole, or was not written by this archive.
func (m *memberReader) read(ctx context.Context, r io.ReaderAt, f rawFrame, each func(*tarMember) error) error {
	dec, err := newStrictDecoder()
	if err != nil {
		return fmt.Errorf("start decompression: %w", err)
	}
	defer dec.Close()
	in := &watched{r: io.NewSectionReader(r, f.offset, f.length)}
	if err := dec.Reset(in); err != nil {
		return in.reason(err)
	}
	reader := tar.NewReader(counted{io.LimitReader(interruptible{ctx, dec}, maxFramePlain+1), &m.plain})
	for {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && m.count >= maxMembers {
			err = errors.New("too many members")
		}
		var member *tarMember
		if err == nil {
			m.count++
			member, err = m.member(h, reader)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return in.reason(err)
		}
		if err := each(member); err != nil {
			return err
		}
	}
	// Two blocks of zeros end a tar, and nothing may follow; the frame's own checksum is compared at its end.
	if n, err := io.Copy(io.Discard, io.LimitReader(dec, 1)); err != nil || n > 0 || m.plain > maxFramePlain || m.plain%tarBlock != 0 {
		return in.reason(errors.Join(err, errors.New("no tar members")))
	}
	return ctx.Err()
}

// member reads one member's content.
func (m *memberReader) member(h *tar.Header, r io.Reader) (*tarMember, error) {
	t := &tarMember{header: h, pos: m.plain}
	if h.Name != maildirx.Root && !strings.HasPrefix(h.Name, maildirx.Root+"/") {
		return t, fmt.Errorf("member %.300q", h.Name)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeLink {
		return t, nil
	}
	if strings.Contains(h.Name, "/cur/") {
		var err error
		if t.file, err = parseFile(h, m.archiveID); err != nil {
			return t, err
		}
		if h.Typeflag == tar.TypeLink || !m.sums {
			return t, nil
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, r); err != nil {
			return t, err
		}
		t.sum = Sum(hash.Sum(nil))
		return t, nil
	}
	var buf bytes.Buffer
	if h.Size > maxTreeFile {
		return t, fmt.Errorf("%.300q has %d octets", h.Name, h.Size)
	}
	_, err := io.Copy(&buf, r)
	t.data = buf.Bytes()
	return t, err
}

// parseFile reads the name of a message's file, which must be of this archive.
func parseFile(h *tar.Header, archiveID string) (*fileFact, error) {
	f, err := parseFileName(h.Name, archiveID)
	if err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeReg && (h.Size != f.size || h.Size > MaxMessageSize) {
		return nil, fmt.Errorf("%.300q has %d octets", h.Name, h.Size)
	}
	if f.date.IsZero() && h.ModTime.Unix() < 0 {
		f.date = h.ModTime.UTC()
	}
	return f, nil
}

func parseFileName(name, archiveID string) (*fileFact, error) {
	dir, base := path.Split(name)
	dir, ok := strings.CutSuffix(dir, "/cur/")
	if !ok || !validDir(dir) {
		return nil, fmt.Errorf("no message file: %.300q", name)
	}
	n, err := maildirx.ParseName(base)
	if err != nil {
		return nil, err
	}
	f := &fileFact{dir: dir, size: n.Size, letters: n.Flags}
	if f.key.Mailbox, f.key.Epoch, f.key.UID, err = maildirx.ParseUnique(n.Unique); err != nil {
		return nil, err
	}
	digits, _, _ := strings.Cut(n.Unique, ".")
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("no time in %.300q: %w", name, err)
	}
	if seconds > 0 {
		f.date = storableDate(time.Unix(seconds, 0).UTC())
	}
	k := f.key
	if maildirx.Unique(f.date, k.Mailbox, k.Epoch, k.UID, archiveID) != n.Unique ||
		k.Mailbox == 0 || k.Epoch == 0 || k.UID == 0 || n.Size < 0 {
		return nil, fmt.Errorf("%.300q was not made by this archive", name)
	}
	return f, nil
}
