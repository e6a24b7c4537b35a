package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// maxCached is how many open directories a tree keeps for reuse.
	maxCached = 32
	// directoryMode is that of directories nobody gave a mode.
	directoryMode = 0o700
	// maxRaces bounds how often an operation starts anew because a directory
	// was removed under it. Each time somebody else made progress.
	maxRaces = 100
)

// tree gives access to what is below a directory. Names are resolved component
// by component, and no symbolic link is followed: stricter than os.Root, which
// follows those that stay inside.
type tree struct {
	path string
	root *os.File
	// elsewhere are directories that stand for some of the root's, by their names.
	elsewhere map[string]string
	// grouped tells that syncfs makes everything durable; see durable.go.
	grouped bool

	mu     sync.Mutex
	cached map[string]*directory
}

// directory is an open directory of a tree.
type directory struct {
	name string
	fd   int
	// users counts those who hold it, the cache included.
	users int
}

// openTree opens a directory, which it creates, durably, when it is missing.
func openTree(name string, elsewhere map[string]string) (*tree, error) {
	t := &tree{path: name, elsewhere: elsewhere, cached: map[string]*directory{}}
	if err := makePath(name); err != nil {
		return nil, t.fault("create", ".", err)
	}
	root, err := os.OpenFile(name, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, t.fault("open", ".", err)
	}
	t.root, t.grouped = root, canGroup(root)
	return t, nil
}

func makePath(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(name)
	if parent != name {
		if err := makePath(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(name, directoryMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	above, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

func (t *tree) fd() int { return int(t.root.Fd()) }

// reach is how to get to a directory.
type reach struct {
	// make creates missing directories.
	make bool
	// made is called for each directory that was created.
	made func(name string)
}

// with calls do with the descriptor of the directory that holds name, and with
// the last component of name. do may be called again when the directory turns
// out to have been removed.
func (t *tree) with(name string, how reach, do func(fd int, base string) error) error {
	return t.within(path.Dir(name), how, func(fd int) error { return do(fd, path.Base(name)) })
}

// within calls do with the descriptor of a directory.
func (t *tree) within(name string, how reach, do func(fd int) error) error {
	if name == "." {
		return do(t.fd())
	}
	for race := 0; ; race++ {
		d, reused, err := t.acquire(name, how)
		if err == nil {
			err = do(d.fd)
			t.release(d)
		}
		// A directory that was open before, or was made only now, may have been
		// removed by somebody who found it empty.
		stale := errors.Is(err, unix.ENOENT) && (reused || how.make) && race < maxRaces
		if !stale {
			return err
		}
		t.forget(name)
	}
}

// acquire opens a directory; reused tells that it, or one above it, comes from
// the cache.
func (t *tree) acquire(name string, how reach) (d *directory, reused bool, err error) {
	t.mu.Lock()
	if d, ok := t.cached[name]; ok {
		d.users++
		t.mu.Unlock()
		return d, true, nil
	}
	t.mu.Unlock()
	if place, ok := t.elsewhere[name]; ok {
		return t.open(name, place, how)
	}
	above, base := t.fd(), path.Base(name)
	if parent := path.Dir(name); parent != "." {
		p, old, err := t.acquire(parent, how)
		if err != nil {
			return nil, old, err
		}
		defer t.release(p)
		above, reused = p.fd, old
	}
	fd, err := openDirectory(above, base)
	if errors.Is(err, unix.ENOENT) && how.make {
		if err = unix.Mkdirat(above, base, directoryMode); err == nil && how.made != nil {
			how.made(name)
		}
		if err == nil || errors.Is(err, unix.EEXIST) {
			fd, err = openDirectory(above, base)
		}
	}
	if err != nil {
		return nil, reused, err
	}
	return t.keep(&directory{name: name, fd: fd, users: 2}), reused, nil
}

// open opens a directory that is elsewhere.
func (t *tree) open(name, place string, how reach) (*directory, bool, error) {
	if how.make {
		if err := makePath(place); err != nil {
			return nil, false, err
		}
	}
	fd, err := retryOpen(unix.AT_FDCWD, place, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	return t.keep(&directory{name: name, fd: fd, users: 2}), false, nil
}

// home is the directory below which a name leads, and rest the name there.
func (t *tree) home(name string) (directory, rest string) {
	first, rest, _ := strings.Cut(name, "/")
	if place, ok := t.elsewhere[first]; ok {
		return place, rest
	}
	return t.path, name
}

// where is the path of what has a name in the tree.
func (t *tree) where(name string) string { return filepath.Join(t.home(name)) }

func openDirectory(above int, base string) (int, error) {
	return retryOpen(above, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// retryOpen is openat that does not mind signals.
func retryOpen(above int, base string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(above, base, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// keep puts a directory into the cache, in the place of another if it is full.
func (t *tree) keep(d *directory) *directory {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.cached[d.name]; ok {
		_ = unix.Close(d.fd)
		old.users++
		return old
	}
	for name, old := range t.cached {
		if len(t.cached) < maxCached {
			break
		}
		delete(t.cached, name)
		t.drop(old)
	}
	t.cached[d.name] = d
	return d
}

// forget removes a directory and those above it from the cache.
func (t *tree) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; name != "."; name = path.Dir(name) {
		if d, ok := t.cached[name]; ok {
			delete(t.cached, name)
			t.drop(d)
		}
	}
}

func (t *tree) release(d *directory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(d)
}

func (t *tree) drop(d *directory) {
	if d.users--; d.users == 0 {
		_ = unix.Close(d.fd) // only read from: nothing is lost
	}
}

// close closes the tree.
func (t *tree) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, d := range t.cached {
		delete(t.cached, name)
		t.drop(d)
	}
	return t.root.Close()
}

// prune removes the directories that are empty and no objects, from one
// upwards; the root stays, and so does what is elsewhere. It returns the lowest directory that is left. What
// stands in the way is no error: a directory that cannot be removed does no
// harm.
func (t *tree) prune(name string) string {
	for ; name != "."; name = path.Dir(name) {
		if _, ok := t.elsewhere[name]; ok {
			return name
		}
		err := t.with(name, reach{}, func(fd int, base string) error {
			var s unix.Stat_t
			if err := unix.Fstatat(fd, base, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
			if s.Mode&objectMark != 0 {
				return unix.ENOTEMPTY
			}
			return unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return name
		}
		t.forgetOne(name)
	}
	return "."
}

func (t *tree) forgetOne(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d, ok := t.cached[name]; ok {
		delete(t.cached, name)
		t.drop(d)
	}
}
