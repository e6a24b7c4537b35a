package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// directoryEmitter stores every object below a directory, under its name.
type directoryEmitter struct {
	root string

	mu       sync.Mutex
	objects  map[string]sdk.Object
	bytes    int64
	expected int64
	before   func(sdk.Object) error // may refuse an object
}

func newDirectoryEmitter(t *testing.T) *directoryEmitter {
	return &directoryEmitter{root: t.TempDir(), objects: map[string]sdk.Object{}}
}

func (d *directoryEmitter) Expect(bytes int64) { d.expected = bytes }

func (d *directoryEmitter) Emit(_ context.Context, o sdk.Object, r io.Reader) error {
	if !sdk.ValidName(o.Name) {
		return fmt.Errorf("invalid name %q", o.Name)
	}
	d.mu.Lock()
	_, twice := d.objects[o.Name]
	d.objects[o.Name] = o
	before := d.before
	d.mu.Unlock()
	if twice {
		return fmt.Errorf("%s was emitted twice", o.Name)
	}
	if before != nil {
		if err := before(o); err != nil {
			return err
		}
	}
	path := filepath.Join(d.root, o.Name)
	if o.Kind == sdk.KindDirectory {
		return os.MkdirAll(path, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if r == nil {
		return nil
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	if o.Size != sdk.SizeUnknown && n != o.Size {
		return fmt.Errorf("%s: %d bytes, %d were announced", o.Name, n, o.Size)
	}
	d.mu.Lock()
	d.bytes += n
	d.mu.Unlock()
	return nil
}

// discardEmitter reads everything and keeps nothing.
type discardEmitter struct{ slots sync.Pool }

func (d *discardEmitter) Expect(int64) {}

func (d *discardEmitter) Emit(_ context.Context, _ sdk.Object, r io.Reader) error {
	if r == nil {
		return nil
	}
	slot, ok := d.slots.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, 256<<10)
		slot = &fresh
	}
	defer d.slots.Put(slot)
	for {
		_, err := r.Read(*slot)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
