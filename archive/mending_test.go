package archive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"mailark/archive"
	"mailark/internal/durable"
	"mailark/internal/spool"
)

// mendings are scenarios that begin with a damaged archive: rebuild and repair.
func mendings() []scenario {
	list := sample(18, 40)
	rebuild := func(dir string, fs *durable.FS) error {
		_, err := archive.Rebuild(context.Background(), filepath.Join(dir, "a"), options(fs), archive.RebuildOptions{})
		return err
	}
	repair := func(dir string, fs *durable.FS) error {
		_, err := archive.Repair(context.Background(), filepath.Join(dir, "a"), options(fs), archive.RepairOptions{GiveUpMissing: true})
		return err
	}
	repaired := func(dir string) ([]string, error) { return fetchedAgain(dir, list) }
	return []scenario{
		{name: "rebuild of a lost catalog", hurt: true, base: hurtBy(list, loseFiles(catalogName)), run: rebuild, check: asReadable, got: all},
		{name: "rebuild of a damaged catalog", hurt: true, base: hurtBy(list, hurtCatalog), run: rebuild, check: asReadable, got: all},
		{name: "rebuild of all but the segments", hurt: true, run: rebuild, check: asReadable, got: all,
			base: hurtBy(list, hurtCatalog, loseFiles("archive.json", "SHA256SUMS", "README.txt"))},
		{name: "repair", hurt: true, base: hurtBy(list, hurtSegment), run: repair, check: asReadable, got: repaired},
		{name: "repair without a segment", hurt: true, base: hurtBy(list, loseFiles("segments/000002.tar.zst")), run: repair,
			check: asReadable, got: repaired},
	}
}

// readableFile lies beside an archive and has what could be read of it when it was damaged.
const readableFile = "readable.json"

// hurtBy makes an archive of two runs and damages it.
func hurtBy(list []mail, damages ...func(dir string) error) func(dir string) error {
	return func(dir string) error {
		a := filepath.Join(dir, "a")
		opts := options(nil)
		opts.FrameSize, opts.SegmentSize = 4<<10, 8<<10
		for _, n := range []int{len(list) / 2, len(list)} {
			if _, err := exportWith(a, opts, list[:n], 7); err != nil {
				return err
			}
		}
		for _, damage := range damages {
			if err := damage(a); err != nil {
				return err
			}
		}
		data, err := json.Marshal(readable(a))
		return errors.Join(err, os.WriteFile(filepath.Join(dir, readableFile), data, 0o600))
	}
}

func loseFiles(names ...string) func(dir string) error {
	return func(dir string) (err error) {
		for _, name := range names {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
		return err
	}
}

// hurtCatalog damages the second commit.
func hurtCatalog(dir string) error {
	path := filepath.Join(dir, catalogName)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 0x10
	return os.WriteFile(path, data, 0o600)
}

// hurtSegment damages in the first segment the checksum of a frame, so that its mail can still be read, the copy of records
// behind it, some other frame of mail, and the seal.
func hurtSegment(dir string) error {
	path := filepath.Join(dir, "segments", "000001.tar.zst")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	frames := recordFramesIn(data)
	if len(frames) < 2 {
		return fmt.Errorf("%d copies of records in %s", len(frames), path)
	}
	for _, at := range []int64{frames[0] - 2, frames[0] + 20, frames[1] - 200, int64(len(data)) - 20} {
		data[at] ^= 0x10
	}
	return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600))
}

// readable is what can be read of an archive, damaged or not, whatever epoch it is in.
func readable(dir string) (lines []string) {
	out, _ := yield(dir, spool.New("")) // what is damaged is not read, and said by others
	for k, octets := range out {
		if octets != "" {
			lines = append(lines, fmt.Sprint(k, " ", octets))
		}
	}
	slices.Sort(lines)
	return lines
}

// asReadable says what could be read of a damaged archive and cannot any more, with half of it mended.
func asReadable(dir string, _ []string) error {
	data, err := os.ReadFile(filepath.Join(dir, readableFile))
	if err != nil {
		return err
	}
	var before []string
	if err := json.Unmarshal(data, &before); err != nil {
		return err
	}
	now := readable(filepath.Join(dir, "a"))
	for _, l := range before {
		if _, ok := slices.BinarySearch(now, l); !ok {
			return fmt.Errorf("could be read before it was mended: %s", l)
		}
	}
	return nil
}

// fetchedAgain is all of a repaired archive, with what is awaited, before and after the next export. What is awaited is
// fetched then and nothing else.
func fetchedAgain(dir string, list []mail) ([]string, error) {
	a := filepath.Join(dir, "a")
	lines, err := all(dir)
	if err != nil {
		return nil, err
	}
	res, err := archive.Verify(context.Background(), a, nil, nil)
	if err != nil {
		return nil, err
	}
	for _, d := range res.Awaited {
		lines = append(lines, fmt.Sprintf("awaited %v", d.Key))
	}
	added, err := export(a, nil, list, 7)
	if err != nil {
		return nil, fmt.Errorf("next export: %w", err)
	}
	if added != len(res.Awaited) || len(res.Lost) > 0 {
		return nil, fmt.Errorf("%d fetched again, %d awaited, lost %v", added, len(res.Awaited), res.Lost)
	}
	after, err := gather(a)
	if err == nil && !slices.Equal(after, expected(list)) {
		err = fmt.Errorf("%d messages after the next export that differ from the %d there should be", len(after), len(list))
	}
	return append(lines, after...), errors.Join(err, verified(a))
}
