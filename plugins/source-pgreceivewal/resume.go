package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// trace is what the files in a directory tell of earlier receiving.
type trace struct {
	// found is false when there are none.
	found bool
	// next is the segment to receive next, from its beginning.
	next wal.Segment
	// systemID is the cluster whose WAL it is; 0 when the files do not say.
	systemID uint64
}

// readTrace finds where to go on: on the newest timeline at the oldest
// unfinished segment, or after the newest finished one. The oldest, because the
// file of the next segment is made before the current one gets its name.
func readTrace(dir string, size wal.SegmentSize) (trace, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return trace{}, fmt.Errorf("directory for received WAL: %w", err)
	}
	var newest wal.Timeline
	finished, unfinished := map[uint64]string{}, map[uint64]string{}
	for _, entry := range entries {
		name, err := wal.ParseName(entry.Name())
		if err != nil || name.Kind != wal.KindSegment && name.Kind != wal.KindPartial || name.Timeline < newest {
			continue
		}
		segment, err := name.Segment(size)
		if err != nil {
			return trace{}, sdk.Errorf(sdk.Invalid, "%s: %w; move it away", filepath.Join(dir, entry.Name()), err)
		}
		if name.Timeline > newest {
			newest = name.Timeline
			clear(finished)
			clear(unfinished)
		}
		if name.Kind == wal.KindSegment {
			finished[segment.Number] = entry.Name()
		} else {
			unfinished[segment.Number] = entry.Name()
		}
	}
	for number := range finished {
		delete(unfinished, number)
	}
	t := trace{found: newest != 0}
	last := ""
	if first, ok := lowest(unfinished); ok {
		t.next = wal.Segment{Timeline: newest, Number: first}
		last = unfinished[first]
	}
	if end, ok := highest(finished); ok {
		if last == "" {
			t.next = wal.Segment{Timeline: newest, Number: end}.Next()
		}
		last = finished[end]
		if err := checkFinished(filepath.Join(dir, last), size); err != nil {
			return trace{}, err
		}
	}
	if t.found {
		if t.systemID, err = systemOf(filepath.Join(dir, last)); err != nil {
			return trace{}, err
		}
	}
	return t, nil
}

func lowest(segments map[uint64]string) (first uint64, ok bool) {
	for number := range segments {
		if !ok || number < first {
			first, ok = number, true
		}
	}
	return first, ok
}

func highest(segments map[uint64]string) (last uint64, ok bool) {
	for number := range segments {
		if !ok || number > last {
			last, ok = number, true
		}
	}
	return last, ok
}

func checkFinished(path string, size wal.SegmentSize) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // carried away in the meantime
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != int64(size) {
		return sdk.Errorf(sdk.Corrupt, "%s: a file of %d bytes, expected a WAL segment of %d; move it away", path, info.Size(), size)
	}
	return nil
}

// systemOf reads the system identifier from the beginning of a segment; 0 when
// nothing was written there yet or the server's machine orders bytes otherwise.
func systemOf(path string) (uint64, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	first := make([]byte, wal.LongPageHeaderSize)
	_, err = io.ReadFull(file, first)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	header, err := wal.ReadPageHeader(first)
	if err != nil {
		return 0, nil
	}
	return header.SystemID, nil
}
