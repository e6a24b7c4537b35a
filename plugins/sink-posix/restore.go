package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// restore puts an object in its final place. It does not replace anything: the
// target of a recovery holds nothing that belongs to the backup, unless files are
// to be reused.
func (s *Sink) restore(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	switch o.Kind {
	case sdk.KindTar:
		return s.unpackTar(ctx, o, r)
	case sdk.KindSymlink:
		return sdk.Receipt{Name: o.Name}, s.refuseLink(o.Name)
	case sdk.KindDirectory:
		return sdk.Receipt{Name: o.Name}, s.restoreDirectory(o.Name, o.Mode)
	}
	if r == nil {
		r = strings.NewReader("")
	}
	in := &measured{ctx: ctx, r: r}
	f, to, err := s.restoreFile(o.Name)
	if err != nil {
		return sdk.Receipt{}, err
	}
	err = s.copy(s.writer(f), in)
	if err = s.restored(f, to, o.Mode, o.ModTime, err); err != nil {
		_ = to.tree.with(to.name, reach{}, func(fd int, base string) error { return unix.Unlinkat(fd, base, 0) })
		return sdk.Receipt{}, err
	}
	return in.receipt(o.Name), nil
}

// refuseLink lets a symbolic link pass only where a mount will put its own.
func (s *Sink) refuseLink(name string) error {
	if s.mounted(name) {
		return nil
	}
	return sdk.Errorf(sdk.Corrupt, "%s is a symbolic link and no tablespace of the recovery: such links are not restored", name)
}

func (s *Sink) restoreDirectory(name string, mode fs.FileMode) error {
	to := s.target(name)
	if to.name == "." {
		return nil
	}
	return s.makeDirectory(to.tree, to.commits, to.name, uint32(mode.Perm()))
}

// restoreFile creates a file. What is there already stays as it is, or is opened
// to be reused.
func (s *Sink) restoreFile(name string) (*os.File, target, error) {
	to := s.target(name)
	if to.name == "." {
		return nil, to, sdk.Errorf(sdk.Invalid, "%s is the name of a mounted directory, not of a file", name)
	}
	var f *os.File
	how := reach{make: true, made: func(name string) { to.commits.changed(path.Dir(name)) }}
	err := to.tree.with(to.name, how, func(fd int, base string) (err error) {
		f, err = create(fd, base, name)
		if s.reuse && errors.Is(err, unix.EEXIST) {
			f, err = reopened(fd, base, name)
		}
		return err
	})
	if errors.Is(err, unix.EEXIST) {
		return nil, to, sdk.Errorf(sdk.Exists, "%s exists in %s already", to.name, to.tree.path)
	}
	return f, to, to.tree.fault("restore", to.name, err)
}

// restored completes a file after its content was written, with err or
// without.
func (s *Sink) restored(f *os.File, to target, mode fs.FileMode, modified time.Time, err error) error {
	if err == nil && !(s.reuse && finished(f, mode, modified)) {
		err = finish(f, mode, modified)
	}
	if err != nil {
		return errors.Join(to.tree.fault("restore", to.name, err), ignoreClosed(f.Close()))
	}
	if err := to.commits.written(f, path.Dir(to.name)); err != nil {
		return err
	}
	return relieve(to.commits)
}

// relieve flushes what has gathered when it is too much.
func relieve(c *committer) error {
	if c.full() {
		return c.flush()
	}
	return nil
}
