package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// Land grants a directory of the store; see sdk.LandingSink.
func (s *Sink) Land(ctx context.Context, name, reference string) (sdk.Landing, error) {
	if s.unpack {
		return sdk.Landing{}, sdk.Errorf(sdk.Invalid, "a sink that unpacks grants no landing directory")
	}
	if err := ctx.Err(); err != nil {
		return sdk.Landing{}, err
	}
	if err := s.makeDirectory(s.tree, s.commits, name, 0); err != nil {
		return sdk.Landing{}, err
	}
	if err := s.commits.flush(); err != nil {
		return sdk.Landing{}, err
	}
	granted := sdk.Landing{Directory: s.tree.where(name)}
	if !sdk.ValidName(reference) {
		return granted, nil
	}
	switch err := s.tree.within(reference, reach{}, func(int) error { return nil }); {
	case err == nil:
		granted.Reference = s.tree.where(reference)
	case !errors.Is(err, unix.ENOENT):
		return sdk.Landing{}, s.tree.fault("open", reference, err)
	}
	return granted, nil
}

// Seal makes what landed durable. With syncfs, all at once: the store's directory
// is open since before anything was written, so that no failed write is missed.
func (s *Sink) Seal(ctx context.Context, name string) (sdk.Sealed, error) {
	sealing := &sealing{sink: s, ctx: ctx}
	var group errgroup.Group
	group.SetLimit(parallelSyncs)
	sealing.group = &group
	err := s.tree.within(name, reach{}, func(fd int) error { return sealing.top(name, fd) })
	if err = errors.Join(err, group.Wait()); err != nil {
		return sdk.Sealed{}, s.tree.fault("seal", name, err)
	}
	if sealing.grouped {
		if err := s.tree.syncAll(); err != nil {
			return sdk.Sealed{}, err
		}
	}
	return sealing.sealed, nil
}

// sealing is one Seal on its way.
type sealing struct {
	sink   *Sink
	ctx    context.Context
	group  *errgroup.Group
	sealed sdk.Sealed
	// grouped tells that there is something for syncfs to make durable.
	grouped bool
}

// top seals the directories of the landing directory. Files beside them are
// objects of others.
func (s *sealing) top(name string, fd int) error {
	err := s.entries(fd, func(base string, stat unix.Stat_t) error {
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil
		}
		return s.directory(fd, base, path.Join(name, base))
	})
	if err != nil {
		return err
	}
	return s.durable(fd, ".", name)
}

// directory seals a directory.
func (s *sealing) directory(above int, base, name string) error {
	fd, err := openDirectory(above, base)
	if err != nil {
		return s.sink.tree.fault("seal", name, err)
	}
	err = s.entries(fd, func(base string, stat unix.Stat_t) error {
		name := path.Join(name, base)
		switch stat.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			if stat.Mode&directoryMode != directoryMode { // or nobody could remove what is in it
				if err := unix.Fchmodat(fd, base, stat.Mode&0o777|directoryMode, 0); err != nil {
					return s.sink.tree.fault("seal", name, err)
				}
			}
			return s.directory(fd, base, name)
		case unix.S_IFREG:
			s.sealed.Files++
			s.sealed.Size += stat.Size
			if stat.Nlink == 1 {
				s.sealed.Unshared += stat.Size
			}
			return s.durable(fd, base, name)
		}
		return sdk.Errorf(sdk.Invalid, "%s landed in %s and is neither a regular file nor a directory", name, s.sink.tree.path)
	})
	if err == nil {
		err = s.durable(fd, ".", name)
	}
	return errors.Join(err, unix.Close(fd))
}

// entries calls each for what a directory holds.
func (s *sealing) entries(fd int, each func(base string, stat unix.Stat_t) error) error {
	f, err := reopen(fd)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, base := range names {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			var stat unix.Stat_t
			if err := unix.Fstatat(fd, base, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
			if err := each(base, stat); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// durable makes one entry durable, or leaves it to syncfs.
func (s *sealing) durable(above int, base, name string) error {
	if s.sink.volatile {
		return nil
	}
	var stat unix.Stat_t
	if err := unix.Fstatat(above, base, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if s.sink.tree.grouped && stat.Dev == s.sink.commits.device {
		s.grouped = true
		return nil
	}
	fd, err := retryOpen(above, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	s.group.Go(func() error { return s.sink.tree.fault("sync", name, errors.Join(f.Sync(), f.Close())) })
	return nil
}
