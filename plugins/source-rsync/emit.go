package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/datadir"
)

// emitAll emits what has landed in scratch space, and removes each file that is
// on its way.
func emitAll(ctx context.Context, request sdk.BackupRequest, c *copying, emit sdk.Emitter) error {
	trees := []tree{{root: filepath.Join(c.target, "data"), stem: "base"}}
	for _, t := range c.server.Tablespaces {
		oid := strconv.FormatUint(uint64(t.OID), 10)
		trees = append(trees, tree{root: filepath.Join(c.target, oid), stem: oid})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.jobs)
	for _, t := range trees {
		t.request, t.emit = request, emit
		if request.Layout == sdk.LayoutPlain {
			if err := t.objects(ctx, group); err != nil {
				return errors.Join(err, group.Wait())
			}
			continue
		}
		group.Go(func() error { return t.archives(ctx) })
	}
	return group.Wait()
}

// tree is one directory to be emitted.
type tree struct {
	root    string
	stem    string // of its archives' names: "base", or a tablespace's OID
	request sdk.BackupRequest
	emit    sdk.Emitter
}

func (t tree) visit(each func(name, file string, info fs.FileInfo) error) error {
	return filepath.WalkDir(t.root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || file == t.root {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return each(strings.TrimPrefix(file, t.root+"/"), file, info)
	})
}

// objects emits every file by itself.
func (t tree) objects(ctx context.Context, group *errgroup.Group) error {
	prefix := t.request.Prefix + "data/"
	if t.stem != "base" {
		prefix = t.request.Prefix + t.stem + "/"
	}
	return t.visit(func(name, file string, info fs.FileInfo) error {
		if info.IsDir() {
			return t.emit.Emit(ctx, sdk.Object{Name: prefix + name, Kind: sdk.KindDirectory, Mode: info.Mode().Perm(), ModTime: info.ModTime()}, nil)
		}
		group.Go(func() error { return t.file(ctx, prefix+name, file, info) })
		return ctx.Err()
	})
}

func (t tree) file(ctx context.Context, name, file string, info fs.FileInfo) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read from
	return t.emit.Emit(ctx, sdk.Object{
		Name: name, Mode: info.Mode().Perm(), ModTime: info.ModTime(), Size: info.Size(),
		Verbatim: t.request.Layout == sdk.LayoutTar, // only the manifest is beside tar files
	}, f)
}

// archives emits the tree as tar archives, one after the other, and the manifest
// beside them. global/pg_control is in the last one.
func (t tree) archives(ctx context.Context) error {
	a := &archive{ctx: ctx, tree: t}
	var control fs.FileInfo
	err := t.visit(func(name, file string, info fs.FileInfo) error {
		switch {
		case t.stem == "base" && name == datadir.Manifest:
			return nil
		case t.stem == "base" && name == datadir.Control:
			control = info
			return nil
		}
		return a.add(name, file, info)
	})
	if err == nil && control != nil {
		err = a.add(datadir.Control, filepath.Join(t.root, datadir.Control), control)
	}
	if err = errors.Join(err, a.end(err)); err != nil || t.stem != "base" {
		return err
	}
	file := filepath.Join(t.root, datadir.Manifest)
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.file(ctx, t.request.Prefix+"data/"+datadir.Manifest, file, info)
}

// archive is the tar archive that is being emitted.
type archive struct {
	ctx    context.Context
	tree   tree
	number int
	bytes  int64
	out    *tar.Writer // nil between archives
	pipe   *io.PipeWriter
	taken  chan error
}

// add puts a member into the archive, or into the next one if this one is full.
func (a *archive) add(name, file string, info fs.FileInfo) error {
	if limit := a.tree.request.ArchiveSize; limit > 0 && a.out != nil && a.bytes+room(name, info)+endSize > limit {
		if err := a.end(nil); err != nil {
			return err
		}
		a.number++
	}
	return a.put(name, file, info)
}

const (
	blockSize = 512
	// endSize are the blocks that end an archive.
	endSize = 2 * blockSize
	// longName needs a header of its own.
	longName = 100
)

// room is what a member takes in an archive.
func room(name string, info fs.FileInfo) int64 {
	size := int64(blockSize)
	if len(name) > longName {
		size += 3 * blockSize
	}
	if info.Mode().IsRegular() {
		size += (info.Size() + blockSize - 1) / blockSize * blockSize
	}
	return size
}

func (a *archive) begin() {
	name := a.tree.stem
	if a.number > 0 {
		name += fmt.Sprintf("_%04d", a.number)
	}
	var r *io.PipeReader
	r, a.pipe = io.Pipe()
	a.out, a.bytes, a.taken = tar.NewWriter(a.pipe), 0, make(chan error, 1)
	go func() {
		object := sdk.Object{Name: a.tree.request.Prefix + "data/" + name + ".tar", Kind: sdk.KindTar, Mode: 0o600, Size: sdk.SizeUnknown}
		err := a.tree.emit.Emit(a.ctx, object, r)
		if err == nil {
			err = io.ErrClosedPipe // for a writer that has more than was taken
		}
		_ = r.CloseWithError(err) // it never fails
		if errors.Is(err, io.ErrClosedPipe) {
			err = nil
		}
		a.taken <- err
	}()
}

func (a *archive) put(name, file string, info fs.FileInfo) error {
	if a.out == nil {
		a.begin()
	}
	a.bytes += room(name, info)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	if info.IsDir() {
		header.Typeflag, header.Name, header.Size = tar.TypeDir, name+"/", 0
	}
	if err := a.out.WriteHeader(header); err != nil || info.IsDir() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read from
	if _, err := io.CopyBuffer(struct{ io.Writer }{a.out}, struct{ io.Reader }{f}, make([]byte, readSize)); err != nil {
		return fmt.Errorf("%s: %w", path.Join(a.tree.root, name), err)
	}
	return nil
}

// end ends the archive, or breaks it off if there is a reason to.
func (a *archive) end(cause error) error {
	if a.out == nil {
		if cause != nil || a.number > 0 {
			return nil
		}
		a.begin() // an empty tablespace has an archive too
	}
	if cause == nil {
		cause = a.out.Close()
	}
	_ = a.pipe.CloseWithError(cause) // it never fails; nil is the normal end
	a.out = nil
	return errors.Join(cause, <-a.taken)
}
