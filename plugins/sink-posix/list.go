package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// listWindow is how many entries of a directory are held at a time. A larger
// directory is read again for each further window.
const listWindow = 16384

// List yields files, symbolic links, and those directories that were put as
// objects or are empty; others are implied by what they hold.
//
// Names are ordered as a whole: "a-b" comes before "a/b", but the directory "a"
// before both.
func (s *Sink) List(ctx context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		l := &listing{ctx: ctx, tree: s.tree, prefix: prefix, window: listWindow, yield: yield}
		err := l.directory(".")
		if err != nil && !errors.Is(err, errStopped) {
			yield(sdk.Object{}, s.tree.fault("list", prefix, err))
		}
	}
}

// errStopped tells that the caller wants no more.
var errStopped = errors.New("stopped")

type listing struct {
	ctx    context.Context
	tree   *tree
	prefix string
	window int
	yield  func(sdk.Object, error) bool
}

// directory lists what is below a directory. A directory that vanished
// meanwhile is empty.
func (l *listing) directory(name string) error {
	err := l.tree.within(name, reach{}, func(fd int) error {
		f, err := reopen(fd)
		if err != nil {
			return err
		}
		return errors.Join(l.entries(name, f), f.Close())
	})
	if name != "." && errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// entries lists a directory window by window.
func (l *listing) entries(name string, f *os.File) error {
	for after := ""; ; {
		keys, err := l.keys(name, f, after)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := l.entry(name, key, int(f.Fd())); err != nil {
				return err
			}
		}
		if len(keys) < l.window {
			return nil
		}
		after = keys[len(keys)-1]
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

// keys returns the next entries in order, a window at most. A directory
// has two keys: its name, for itself, and its name with a slash, for what it
// holds.
func (l *listing) keys(name string, f *os.File, after string) ([]string, error) {
	var keys []string
	add := func(key string) {
		full := path.Join(name, key)
		if strings.HasSuffix(key, "/") {
			full += "/"
		}
		inside := strings.HasSuffix(key, "/") && strings.HasPrefix(l.prefix, full)
		if key > after && (inside || strings.HasPrefix(full, l.prefix)) {
			keys = append(keys, key)
		}
	}
	for {
		if err := l.ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := f.ReadDir(1024)
		for _, entry := range entries {
			if _, shadowed := l.tree.elsewhere[entry.Name()]; shadowed && name == "." || isTemporary(entry.Name()) {
				continue
			}
			add(entry.Name())
			if entry.Type()&fs.ModeType == fs.ModeDir {
				add(entry.Name() + "/")
			}
		}
		if len(keys) > 2*l.window {
			keys = l.smallest(keys)
		}
		if err == io.EOF {
			if name == "." {
				for base := range l.tree.elsewhere {
					add(base + "/")
				}
			}
			return l.smallest(keys), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (l *listing) smallest(keys []string) []string {
	slices.Sort(keys)
	return keys[:min(len(keys), l.window)]
}

// entry yields what is under one key of a directory.
func (l *listing) entry(above, key string, fd int) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	base, holds := strings.CutSuffix(key, "/")
	name := path.Join(above, base)
	if holds {
		return l.directory(name)
	}
	o, err := look(fd, base, name)
	listed := o.Kind != sdk.KindDirectory || o.Mode&fs.ModeSticky != 0
	o.Mode = o.Mode.Perm()
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, errSpecial):
		return nil
	case err != nil:
		return err
	case !listed && !isEmpty(fd, base):
		return nil
	case !l.yield(o, nil):
		return errStopped
	}
	return nil
}

// isEmpty tells whether a directory holds nothing, not even a temporary file.
func isEmpty(fd int, base string) bool {
	below, err := openDirectory(fd, base)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(below), base)
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0 && err == io.EOF
}
