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

// Get opens an object. A file is KindFile whatever it holds.
func (s *Sink) Get(ctx context.Context, name string) (sdk.Object, io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Object{}, nil, err
	}
	if !sdk.ValidName(name) {
		return sdk.Object{}, nil, sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", name)
	}
	if isTemporary(path.Base(name)) {
		return sdk.Object{}, nil, sdk.Errorf(sdk.NotFound, "%q is not in %s", name, s.tree.path)
	}
	var o sdk.Object
	var r io.ReadCloser
	err := s.tree.with(name, reach{}, func(fd int, base string) (err error) {
		o, err = look(fd, base, name)
		if err != nil || o.Kind != sdk.KindFile {
			r = io.NopCloser(strings.NewReader(""))
			return err
		}
		file, err := retryOpen(fd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(file), s.tree.where(name))
		r = f
		// What was looked at may have been replaced by now.
		o, err = fromFile(f, name)
		return err
	})
	switch {
	case err == nil:
		o.Mode = o.Mode.Perm()
		return o, r, nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENOENT):
		return sdk.Object{}, nil, sdk.Errorf(sdk.NotFound, "%s is not in %s", name, s.tree.path)
	}
	if r != nil {
		err = errors.Join(err, r.Close())
	}
	return sdk.Object{}, nil, s.tree.fault("open", name, err)
}

// errSpecial is the error for sockets, pipes and devices.
var errSpecial = errors.New("it is neither a file nor a directory nor a symbolic link")

// look describes what is under a name of a directory. Its mode has the sticky
// bit when it is a directory that was put as an object.
func look(fd int, base, name string) (sdk.Object, error) {
	var s unix.Stat_t
	if err := unix.Fstatat(fd, base, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return sdk.Object{}, err
	}
	o, err := describe(name, &s)
	if err == nil && o.Kind == sdk.KindSymlink {
		o.LinkTarget, err = readLink(fd, base)
	}
	return o, err
}

func fromFile(f *os.File, name string) (sdk.Object, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return sdk.Object{}, err
	}
	return describe(name, &s)
}

func describe(name string, s *unix.Stat_t) (sdk.Object, error) {
	o := sdk.Object{Name: name, Mode: fs.FileMode(s.Mode & 0o777), ModTime: time.Unix(s.Mtim.Unix())}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		o.Size = s.Size
	case unix.S_IFDIR:
		o.Kind = sdk.KindDirectory
		if s.Mode&objectMark != 0 {
			o.Mode |= fs.ModeSticky
		}
	case unix.S_IFLNK:
		o.Kind, o.Mode = sdk.KindSymlink, 0
	default:
		return o, errSpecial
	}
	return o, nil
}

func readLink(fd int, base string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, base, buffer)
	return string(buffer[:max(n, 0)]), err
}
