package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
)

// likeness is how a stored object compares with a file.
type likeness int

const (
	// same: the same bytes, decompressed.
	same likeness = iota + 1
	// different: other bytes, or none that can be read.
	different
	// hollow: an object without bytes, as a crash of other programs leaves it.
	hollow
	// missing: no object.
	missing
)

// compare compares files with what a sink has under their names. Where it can,
// it reads them all in one go.
func (r *run) compare(ctx context.Context, files []*file, sink int) (map[*file]likeness, error) {
	found := map[*file]likeness{}
	for rest := files; len(rest) > 0; {
		var round []*file
		round, rest = distinct(rest)
		err := r.read(ctx, round, sink, found)
		if kind := sdk.KindOf(err); kind == sdk.NotFound || kind == sdk.Corrupt {
			for _, f := range round {
				if found[f], err = r.compareOne(ctx, f, sink); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("compare %s and others of server %s with what is archived: %w", round[0].base, r.server.Name(), err)
		}
	}
	return found, nil
}

// distinct splits off the first file of each name.
func distinct(files []*file) (first, rest []*file) {
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.base] {
			rest = append(rest, f)
			continue
		}
		seen[f.base] = true
		first = append(first, f)
	}
	return first, rest
}

// compareOne compares one file.
func (r *run) compareOne(ctx context.Context, f *file, sink int) (likeness, error) {
	found := map[*file]likeness{}
	err := r.read(ctx, []*file{f}, sink, found)
	switch sdk.KindOf(err) {
	case sdk.NotFound:
		return missing, nil
	case sdk.Corrupt:
		r.server.Logger.Error("what is archived under a WAL file's name cannot be read", "file", f.base, "error", err)
		return different, nil
	}
	if err != nil {
		return 0, fmt.Errorf("compare %s of server %s with what is archived: %w", f.base, r.server.Name(), err)
	}
	return found[f], nil
}

// read reads objects back and compares them. The files' names are distinct.
func (r *run) read(ctx context.Context, files []*file, sink int, found map[*file]likeness) error {
	line := r.lineTo(sink, false)
	byName := map[string]*file{}
	var selections []host.Selection
	for _, f := range files {
		byName[objectName(f)] = f
		selections = append(selections, host.Selection{Name: objectName(f)})
	}
	return r.server.Engine.Read(ctx, line, selections, func(_ context.Context, o sdk.Object, stored io.Reader) error {
		f := byName[o.Name]
		if f == nil {
			return fmt.Errorf("%s was not asked for", o.Name)
		}
		content, err := f.open()
		if err != nil {
			return err
		}
		defer content.Close()
		if found[f], err = liken(stored, content); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, stored)
		return err
	})
}

// Alike tells whether two streams hold the same bytes, each of them decompressed.
// What is empty, or cannot be decompressed, is like nothing.
func Alike(stored, delivered io.Reader) (bool, error) {
	found, err := liken(stored, delivered)
	return found == same, err
}

// liken compares decompressed bytes. What cannot be decompressed is different.
func liken(stored, delivered io.Reader) (likeness, error) {
	a := codec.NewInput(stored)
	b := codec.NewInput(delivered)
	left, _, err := codec.Decoded(a)
	if err == nil {
		defer left.Close()
		var right io.ReadCloser
		if right, _, err = codec.Decoded(b); err == nil {
			defer right.Close()
			return likenBytes(left, right, a, b)
		}
	}
	return different, errors.Join(a.Err(), b.Err())
}

func likenBytes(left, right io.Reader, a, b *codec.Input) (likeness, error) {
	const piece = 64 << 10
	x, y := make([]byte, piece), make([]byte, piece)
	for first := true; ; first = false {
		n, errX := io.ReadFull(left, x)
		m, errY := io.ReadFull(right, y)
		if err := errors.Join(a.Err(), b.Err()); err != nil {
			return 0, err
		}
		switch {
		case first && n == 0 && errX == io.EOF:
			return hollow, nil
		case !bytes.Equal(x[:n], y[:m]), !ended(errX) && errX != nil, !ended(errY) && errY != nil:
			return different, nil
		case errX != nil:
			return same, nil
		}
	}
}

// ended tells the end of a stream as io.ReadFull reports it. A compressed
// stream that is cut off looks the same, but then it is shorter, too.
func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// noteStored finds out how a file is stored in the first sink, for xlog.db.
func (r *run) noteStored(ctx context.Context, f *file) error {
	if f.outcome != "" {
		return nil
	}
	f.needsRecord = true
	record, err := r.server.Catalogue.RecordOf(f.name)
	if err == nil {
		f.size, f.storedCompression = record.Size, record.Compression
		return syncStored(r.server.Catalogue.WALPath(f.name))
	}
	if sdk.KindOf(err) != sdk.NotFound && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line := r.lineTo(0, false)
	line.Transforms = nil
	selections := []host.Selection{{Name: objectName(f)}}
	return r.server.Engine.Read(ctx, line, selections, func(_ context.Context, _ sdk.Object, stored io.Reader) error {
		return r.measure(f, stored)
	})
}

// syncStored makes the name of an archived file durable: whoever stored it may
// have been killed before, and a line in xlog.db says that it is.
func syncStored(path string) error {
	directory := filepath.Dir(path)
	return errors.Join(durable.SyncDirectory(directory), durable.SyncDirectory(filepath.Dir(directory)))
}

// measure notes size and compression of the stored bytes.
func (r *run) measure(f *file, stored io.Reader) error {
	beginning := make([]byte, codec.MaxCustomMagic)
	n, err := io.ReadFull(stored, beginning)
	if err != nil && !ended(err) {
		return err
	}
	rest, err := io.Copy(io.Discard, stored)
	f.size, f.storedCompression = int64(n)+rest, r.server.Catalogue.Compression(beginning[:n])
	return err
}
