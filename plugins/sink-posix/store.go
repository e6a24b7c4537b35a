package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// fileMode is that of files nobody gave a mode.
const fileMode = 0o600

// store puts an object under a temporary name, to be published by a flush.
func (s *Sink) store(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if o.Kind == sdk.KindDirectory {
		return sdk.Receipt{Name: o.Name}, s.storeDirectory(o.Name, o.Mode)
	}
	if !o.Replace {
		exists, err := s.tree.exists(o.Name)
		if err != nil {
			return sdk.Receipt{}, err
		}
		if exists {
			// Whoever stored it may have been killed before that was durable, and whoever
			// hears of it relies on it.
			if err := s.tree.syncPath(o.Name); err != nil {
				return sdk.Receipt{}, err
			}
		}
		if exists || s.commits.waits(o.Name) {
			return sdk.Receipt{}, sdk.Errorf(sdk.Exists, "%s exists in %s already", o.Name, s.tree.path)
		}
	}
	made, receipt, err := s.storeNew(ctx, o, r)
	if err != nil {
		s.undo(made)
		return sdk.Receipt{}, err
	}
	return receipt, nil
}

// storeNew returns the directories it made, so that they can be removed when it
// fails.
func (s *Sink) storeNew(ctx context.Context, o sdk.Object, r io.Reader) (made []string, receipt sdk.Receipt, err error) {
	how := reach{make: true, made: func(name string) {
		made = append(made, name)
		s.markSwept(name)
		s.commits.changed(path.Dir(name))
	}}
	p := pending{name: o.Name, temporary: s.temporaries.next(), replace: o.Replace}
	if o.Kind == sdk.KindSymlink {
		receipt = sdk.Receipt{Name: o.Name}
		err = s.symlink(o, p, how)
	} else {
		receipt, err = s.file(ctx, o, p, r, how)
	}
	if err == nil {
		err = s.commits.publish(p)
	}
	return made, receipt, err
}

// undo removes directories that were made for an object that then failed,
// unless somebody else put something there.
func (s *Sink) undo(made []string) {
	for _, name := range slices.Backward(made) {
		if s.tree.prune(name) == name {
			return
		}
	}
}

func (s *Sink) symlink(o sdk.Object, p pending, how reach) error {
	if o.LinkTarget == "" {
		return sdk.Errorf(sdk.Invalid, "the symbolic link %s has no target", o.Name)
	}
	err := s.tree.with(o.Name, how, func(fd int, _ string) error { return unix.Symlinkat(o.LinkTarget, fd, p.temporary) })
	if err != nil {
		return s.tree.fault("store", o.Name, err)
	}
	s.commits.changed(path.Dir(o.Name))
	return nil
}

// file writes an object's bytes to its temporary file.
func (s *Sink) file(ctx context.Context, o sdk.Object, p pending, r io.Reader, how reach) (sdk.Receipt, error) {
	var f *os.File
	err := s.tree.with(o.Name, how, func(fd int, _ string) (err error) {
		s.sweepOnce(path.Dir(o.Name), fd)
		f, err = create(fd, p.temporary, o.Name)
		return err
	})
	if err != nil {
		return sdk.Receipt{}, s.tree.fault("store", o.Name, err)
	}
	in := &measured{ctx: ctx, r: r}
	if r != nil {
		err = s.copy(&earlyWriter{file: f, off: s.volatile}, in)
	}
	if err == nil {
		err = finish(f, o.Mode, o.ModTime)
	}
	if err != nil {
		err = errors.Join(s.tree.fault("store", o.Name, err), ignoreClosed(f.Close()))
	} else {
		err = s.commits.written(f, path.Dir(o.Name))
	}
	if err != nil {
		s.commits.remove(p)
		return sdk.Receipt{}, err
	}
	return in.receipt(o.Name), nil
}

// create creates a file for writing. label names it in errors.
func create(fd int, base, label string) (*os.File, error) {
	file, err := retryOpen(fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, fileMode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(file), label), nil
}

// copy writes what is read to a file.
func (s *Sink) copy(w writer, in io.Reader) error {
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	if _, err := io.CopyBuffer(w, in, *buffer); err != nil {
		return err
	}
	return w.end()
}

// finish gives a file its mode and time.
func finish(f *os.File, mode fs.FileMode, modified time.Time) error {
	if mode == 0 {
		mode = fileMode
	}
	if err := unix.Fchmod(int(f.Fd()), uint32(mode.Perm())); err != nil {
		return err
	}
	if modified.IsZero() {
		return nil
	}
	return setTime(f, modified)
}

func setTime(f *os.File, modified time.Time) error {
	stamp, err := unix.TimeToTimespec(modified)
	if err != nil {
		return err
	}
	times := []unix.Timespec{stamp, stamp}
	return unix.UtimesNanoAt(int(f.Fd()), "", times, unix.AT_EMPTY_PATH)
}

func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// objectMark is the sticky bit. In a store it marks a directory that was put as
// an object of its own, and so is listed although it holds something. It means
// nothing for directories that only their owner may write to.
const objectMark = unix.S_ISVTX

// storeDirectory puts a directory as an object.
func (s *Sink) storeDirectory(name string, mode fs.FileMode) error {
	if mode.Perm() == 0 {
		mode = directoryMode
	}
	return s.makeDirectory(s.tree, s.commits, name, uint32(mode.Perm())|objectMark)
}

// makeDirectory makes a directory and those above it; one that exists gets the
// mode, 0 for none in particular.
func (s *Sink) makeDirectory(t *tree, c *committer, name string, mode uint32) error {
	how := reach{make: true, made: func(name string) {
		s.markSwept(name)
		c.changed(path.Dir(name))
	}}
	err := t.within(name, how, func(fd int) error {
		if mode == 0 {
			return nil
		}
		// Whatever the mode, what belongs into the directory must get there.
		return unix.Fchmod(fd, mode|directoryMode)
	})
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return sdk.Errorf(sdk.Exists, "%s, or a part of it, exists in %s and is no directory", name, t.path)
	}
	if err != nil {
		return t.fault("make", name, err)
	}
	c.changed(name)
	return relieve(c)
}
