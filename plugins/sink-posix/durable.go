package main

import (
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	// fewFiles is up to how many files and directories are synced one by one.
	// Beyond it one syncfs for all is quicker, because each fsync makes the device
	// empty its cache: 256 files of 8 KiB took half the time on ext4, 100 files of
	// 10 MB a fifth. One by one is kinder to others that write to the file system.
	fewFiles = 16
	// parallelSyncs is how many files are synced at a time: the journal commits
	// those that wait together as one.
	parallelSyncs = 8
	// earlyBytes is after how many bytes of a file the kernel is told to begin
	// writing, so that there is little left to wait for at the end.
	earlyBytes = 8 << 20
	// earlyFile is the size from which the last bytes of a file are announced, too.
	// For smaller ones that costs more than it saves.
	earlyFile = 1 << 20
)

// canGroup tells whether syncfs makes all files of a file system durable and
// reports what could not be written: on the local file systems where that is
// known, and since Linux 5.8, which counts errors from the moment the
// descriptor was opened.
func canGroup(root *os.File) bool {
	var s unix.Statfs_t
	var u unix.Utsname
	if unix.Fstatfs(int(root.Fd()), &s) != nil || unix.Uname(&u) != nil {
		return false
	}
	switch int64(s.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return atLeast(unix.ByteSliceToString(u.Release[:]), 5, 8)
	}
	return false
}

// atLeast compares the first two numbers of a kernel's release.
func atLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	second, _, _ = strings.Cut(second, "-")
	a, err := strconv.Atoi(first)
	b, err2 := strconv.Atoi(second)
	return err == nil && err2 == nil && (a > major || a == major && b >= minor)
}

// syncAll makes everything in the tree's file system durable.
func (t *tree) syncAll() error {
	return t.fault("sync", ".", unix.Syncfs(t.fd()))
}

// syncFiles makes files durable.
func (t *tree) syncFiles(files []*os.File) error {
	var group errgroup.Group
	group.SetLimit(parallelSyncs)
	for _, f := range files {
		group.Go(func() error { return t.fault("sync", f.Name(), f.Sync()) })
	}
	return group.Wait()
}

// syncDirectories makes directories durable: which names they hold. One that
// has been removed since needs no syncing: those above it are among them.
func (t *tree) syncDirectories(names map[string]struct{}) error {
	var group errgroup.Group
	group.SetLimit(parallelSyncs)
	for name := range names {
		group.Go(func() error {
			err := t.within(name, reach{}, unix.Fsync)
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return t.fault("sync", name, err)
		})
	}
	return group.Wait()
}

// syncPath makes the name of an object durable, with the directories that lead to
// it.
func (t *tree) syncPath(name string) error {
	directories := map[string]struct{}{}
	for name != "." {
		name = path.Dir(name)
		directories[name] = struct{}{}
	}
	return t.syncDirectories(directories)
}

// writer writes the content of a file; end is called behind the last byte.
type writer interface {
	io.Writer
	end() error
}

// earlyWriter writes a file and has the kernel begin with the device early.
type earlyWriter struct {
	file    *os.File
	written int64
	begun   int64
	// off leaves the kernel alone.
	off bool
}

func (w *earlyWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.written += int64(n)
	if w.written-w.begun >= earlyBytes {
		w.begin()
	}
	return n, err
}

// end announces the rest of a large file.
func (w *earlyWriter) end() error {
	if w.written >= earlyFile {
		w.begin()
	}
	return nil
}

// begin is advice: where it does not work, the final sync does it all.
func (w *earlyWriter) begin() {
	if !w.off {
		_ = unix.SyncFileRange(int(w.file.Fd()), w.begun, w.written-w.begun, unix.SYNC_FILE_RANGE_WRITE)
	}
	w.begun = w.written
}
