package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
)

// smallFile is the size up to which a file is read into memory, so that the
// next ones can follow on other lanes while it is being taken.
const smallFile = 128 << 10

// plainEmitter takes archives apart and emits what they hold as objects.
type plainEmitter struct {
	emit sdk.Emitter
	jobs int
	// terminated tells that the server ends its archives itself, so that one
	// without an end has been cut off.
	terminated bool
	label      []byte
	pool       sync.Pool
}

// archive emits the members of one tar archive with names below prefix. It
// returns when all of them are taken.
func (e *plainEmitter) archive(ctx context.Context, prefix string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, e.jobs))
	err := e.members(ctx, group, prefix, r)
	if err != nil {
		cancel() // nobody waits for a pipeline that stands still
	}
	failed := group.Wait()
	if err == nil || failed != nil && errors.Is(err, context.Canceled) {
		return failed
	}
	return err
}

func (e *plainEmitter) members(ctx context.Context, group *errgroup.Group, prefix string, r io.Reader) error {
	var block [blockSize]byte
	for zeros := 0; ; {
		_, err := io.ReadFull(r, block[:])
		switch {
		case err == io.EOF && e.terminated && zeros < 2:
			return damaged(io.ErrUnexpectedEOF)
		case err == io.EOF:
			return nil
		case err == io.ErrUnexpectedEOF:
			return damaged(err)
		case err != nil:
			return err
		}
		m, empty, err := parseHeader(&block)
		switch {
		case err != nil:
			return damaged(err)
		case empty:
			zeros++
			continue
		case zeros > 0:
			return damaged(fmt.Errorf("%q follows the archive's end", m.name))
		}
		if err := e.member(ctx, group, prefix, m, r); err != nil {
			return err
		}
		if err := discard(r, m.padded()-m.size); err != nil {
			return err
		}
	}
}

func (e *plainEmitter) member(ctx context.Context, group *errgroup.Group, prefix string, m member, r io.Reader) error {
	object := sdk.Object{Name: prefix + m.name, Mode: m.mode, ModTime: m.modTime, Size: m.size}
	if !sdk.ValidName(m.name) || !sdk.ValidName(object.Name) {
		return sdk.Errorf(sdk.Corrupt, "the server sent a file with the impossible name %q", m.name)
	}
	switch {
	case m.kind == typeSymlink:
		return nil // tablespaces: they are known from the server's list
	case m.kind == typeDirectory:
		object.Kind = sdk.KindDirectory
		return e.emit.Emit(ctx, object, nil)
	case m.kind != typeFile:
		return sdk.Errorf(sdk.Corrupt, "the server sent %q as a tar entry of the unknown type %q", m.name, m.kind)
	case m.size > smallFile:
		return e.large(ctx, object, r)
	}
	return e.small(ctx, group, object, m.name == labelName, r)
}

func (e *plainEmitter) large(ctx context.Context, object sdk.Object, r io.Reader) error {
	content := &content{r: r, left: object.Size}
	if err := e.emit.Emit(ctx, object, content); err != nil {
		return err
	}
	if content.left != 0 {
		return fmt.Errorf("%s: %d of %d bytes were not taken", object.Name, content.left, object.Size)
	}
	return nil
}

func (e *plainEmitter) small(ctx context.Context, group *errgroup.Group, object sdk.Object, label bool, r io.Reader) error {
	buffer, ok := e.pool.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, smallFile)
		buffer = &fresh
	}
	held := (*buffer)[:object.Size]
	if err := readFull(r, held); err != nil {
		return err
	}
	if label {
		e.label = bytes.Clone(held)
	}
	group.Go(func() error {
		defer e.pool.Put(buffer)
		return e.take(ctx, object, held)
	})
	return ctx.Err()
}

func (e *plainEmitter) take(ctx context.Context, object sdk.Object, content []byte) error {
	if len(content) == 0 {
		return e.emit.Emit(ctx, object, nil)
	}
	return e.emit.Emit(ctx, object, bytes.NewReader(content))
}

// content is what one member holds.
type content struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		return n, damaged(io.ErrUnexpectedEOF)
	}
	return n, err
}

func readFull(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if err == io.EOF && len(p) > 0 || err == io.ErrUnexpectedEOF {
		return damaged(io.ErrUnexpectedEOF)
	}
	return err
}

func discard(r io.Reader, n int64) error {
	var padding [blockSize]byte
	return readFull(r, padding[:n])
}

func damaged(err error) error {
	return sdk.Errorf(sdk.Corrupt, "the server's archive is damaged: %w", err)
}
