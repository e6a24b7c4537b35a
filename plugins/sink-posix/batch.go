package main

import (
	"errors"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

const (
	// maxObjects is how many objects wait for a Flush at most; the one that
	// comes next flushes them.
	maxObjects = 1024
	// maxOpen is how many files are kept open to be synced one by one. One more is
	// synced at once.
	maxOpen = 64
	// maxDirectories is how many directories wait to be synced one by one.
	maxDirectories = 4096
)

// pending is an object that is complete under a temporary name.
type pending struct {
	name      string
	temporary string
	replace   bool
}

// batch is what was written since the last flush.
type batch struct {
	objects []pending
	// files and directories are to be synced one by one.
	files       []*os.File
	directories map[string]struct{}
	// group tells that there is more than that: all is to be synced with syncfs.
	group bool
}

// committer makes what is written to a tree durable and visible, batch by batch.
type committer struct {
	tree *tree
	// device is the tree's file system. What is on another one, mounted below the
	// root, is not reached by syncfs.
	device uint64
	// volatile leaves out everything that makes durable.
	volatile bool

	mu    sync.Mutex
	batch batch
	// names counts the objects that wait, by name.
	names map[string]int
	// broken is the error of a flush. Objects whose Put had succeeded are lost, and
	// who waits for them cannot be told apart: so every later Flush fails, too.
	broken error

	flushing sync.Mutex
}

func newCommitter(t *tree, volatile bool) (*committer, error) {
	var s unix.Stat_t
	if err := unix.Fstat(t.fd(), &s); err != nil {
		return nil, t.fault("open", ".", err)
	}
	return &committer{tree: t, device: s.Dev, volatile: volatile, names: map[string]int{}}, nil
}

// written takes over a complete file, which is closed at the latest by the next
// flush. The caller does not use it again.
func (c *committer) written(f *os.File, directory string) error {
	var s unix.Stat_t
	if c.volatile {
		return c.tree.fault("write", f.Name(), f.Close())
	}
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return c.tree.fault("write", f.Name(), errors.Join(err, f.Close()))
	}
	grouped := c.tree.grouped && s.Dev == c.device
	c.mu.Lock()
	c.touch(directory, grouped)
	switch {
	case grouped && (c.batch.group || len(c.batch.files) >= fewFiles):
		// This one, and what is still open of this file system, is left to syncfs;
		// open files on others are synced one by one.
		c.batch.group = true
	case len(c.batch.files) < maxOpen:
		c.batch.files = append(c.batch.files, f)
		f = nil
	}
	c.mu.Unlock()
	switch {
	case f == nil:
		return nil
	case grouped:
		return c.tree.fault("write", f.Name(), f.Close())
	}
	return c.tree.fault("sync", f.Name(), errors.Join(f.Sync(), f.Close()))
}

// changed records that the entries of a directory changed.
func (c *committer) changed(directory string) {
	if c.volatile {
		return
	}
	var s unix.Stat_t
	err := c.tree.within(directory, reach{}, func(fd int) error { return unix.Fstat(fd, &s) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch(directory, err == nil && c.tree.grouped && s.Dev == c.device)
}

// touch records a directory to be synced. The caller holds mu.
func (c *committer) touch(directory string, grouped bool) {
	if grouped && (c.batch.group || len(c.batch.directories) >= fewFiles) {
		c.batch.group = true
		return
	}
	if c.batch.directories == nil {
		c.batch.directories = map[string]struct{}{}
	}
	c.batch.directories[directory] = struct{}{}
}

// waits tells whether an object of that name waits to be published.
func (c *committer) waits(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[name] > 0
}

// publish queues an object to be renamed to its name by the next flush.
func (c *committer) publish(p pending) error {
	c.mu.Lock()
	if c.names[p.name] > 0 && !p.replace {
		c.mu.Unlock()
		c.remove(p)
		return sdk.Errorf(sdk.Exists, "%s was already put", p.name)
	}
	c.names[p.name]++
	c.batch.objects = append(c.batch.objects, p)
	full := len(c.batch.objects) >= maxObjects
	c.mu.Unlock()
	if full {
		return c.flush()
	}
	return nil
}

// full tells whether more directories wait than should.
func (c *committer) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.batch.directories) >= maxDirectories
}

// flush makes everything durable that was written before it was called, then
// gives the objects their names, then makes those durable.
func (c *committer) flush() error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	b, broken := c.batch, c.broken
	c.batch = batch{}
	c.mu.Unlock()
	if broken == nil {
		broken = c.commit(b)
	} else {
		c.discard(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range b.objects {
		if c.names[p.name]--; c.names[p.name] == 0 {
			delete(c.names, p.name)
		}
	}
	c.broken = broken
	return broken
}

func (c *committer) commit(b batch) error {
	if err := c.syncData(b); err != nil {
		c.discard(b)
		return err
	}
	var failed []error
	for _, p := range b.objects {
		if err := c.rename(p); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return c.syncNames(b)
}

// syncData makes the content of files durable.
func (c *committer) syncData(b batch) error {
	var err error
	if b.group {
		err = c.tree.syncAll()
	}
	if err == nil {
		err = c.tree.syncFiles(b.files)
	}
	for _, f := range b.files {
		err = errors.Join(err, c.tree.fault("write", f.Name(), f.Close()))
	}
	return err
}

// syncNames makes the entries of directories durable. Without objects to
// publish, syncfs has already done those of its file system.
func (c *committer) syncNames(b batch) error {
	if b.group && len(b.objects) > 0 {
		if err := c.tree.syncAll(); err != nil {
			return err
		}
	}
	return c.tree.syncDirectories(b.directories)
}

// discard removes the temporary files of a batch that cannot be committed.
func (c *committer) discard(b batch) {
	for _, f := range b.files {
		_ = f.Close() // closed before, or not wanted any more
	}
	for _, p := range b.objects {
		c.remove(p)
	}
}

// remove removes a temporary file. If that fails, a sweep finds it later.
func (c *committer) remove(p pending) {
	_ = c.tree.with(p.name, reach{}, func(fd int, _ string) error { return unix.Unlinkat(fd, p.temporary, 0) })
}

// rename gives an object its name.
func (c *committer) rename(p pending) error {
	err := c.tree.with(p.name, reach{}, func(fd int, base string) error {
		if p.replace {
			return unix.Renameat(fd, p.temporary, fd, base)
		}
		return renameNew(fd, p.temporary, base)
	})
	if err == nil {
		return nil
	}
	c.remove(p)
	if errors.Is(err, unix.EEXIST) {
		return sdk.Errorf(sdk.Exists, "%s appeared in %s while it was being stored, put there by another process", p.name, c.tree.where(path.Dir(p.name)))
	}
	return c.tree.fault("store", p.name, err)
}

// renameNew renames to a name that must not exist. File systems that cannot do
// that in one step, NFS for one, can link.
func renameNew(fd int, from, to string) error {
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err := unix.Linkat(fd, from, fd, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(fd, from, 0)
}
