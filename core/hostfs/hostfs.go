// Package hostfs is the file system of a host as a recovery needs it: that of
// this one, or of another one that is reached over SSH and has nothing but the
// usual commands of a POSIX system.
package hostfs

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Entry is a name in a directory, or below it.
type Entry struct {
	// Name is relative to the directory.
	Name string
	// Type holds the type bits only.
	Type fs.FileMode
	// Mode holds the permission bits; Lstat alone tells them.
	Mode fs.FileMode
	// Size is that of a regular file in bytes; ModTime and Changed are when its
	// content and its entry were changed last. ReadDir leaves them out.
	Size             int64
	ModTime, Changed time.Time
}

// Owner is a user and a group by their numbers.
type Owner struct{ User, Group uint32 }

// Host is a host's file system. Paths are absolute and clean. A missing file is
// an error that is fs.ErrNotExist; one of kind Unavailable tells that the host is
// out of reach.
type Host interface {
	// Remote names the host as the user does; empty for this one.
	Remote() string
	// Renew makes sure that the host can be worked with, and takes its locks anew, after
	// something has failed: a connection may have been lost.
	Renew(ctx context.Context) error
	// Resolve is a path without symbolic links, as far as it exists.
	Resolve(path string) (string, error)
	// Lstat does not follow links.
	Lstat(path string) (Entry, error)
	// ReadDir lists a directory by names.
	ReadDir(path string) ([]Entry, error)
	// ReadFile reads a regular file of at most limit bytes.
	ReadFile(path string, limit int64) ([]byte, error)
	// WriteFile gives a file its content durably, or leaves it as it was.
	WriteFile(path string, content []byte, mode fs.FileMode) error
	// CopyFile copies a file of the host, time of modification included, as durably.
	CopyFile(from, to string, mode fs.FileMode) error
	// Rename renames a file; it is not made durable.
	Rename(from, to string) error
	// Remove removes a file durably; a missing one is no error.
	Remove(path string) error
	// RemoveAll removes what is there with all below; it is not made durable.
	RemoveAll(path string) error
	// RemoveEmpty removes a directory if nothing is in it.
	RemoveEmpty(path string)
	// MakeDirectory makes a directory of mode 0700, and those above it, durably.
	MakeDirectory(path string) error
	// Chmod changes the mode of a directory.
	Chmod(path string, mode fs.FileMode) error
	// Lock keeps other recoveries out of a directory until the closer is closed, or
	// the process ends. Somebody else's lock is an error of kind Busy. Where nothing can be locked nobody is kept out.
	Lock(path string) (io.Closer, error)
	// Running tells whether a process of that number runs.
	Running(pid int) (bool, error)
	// Owner is that of a directory, or of the nearest one above it that exists.
	Owner(path string) (Owner, error)
	// GiveTo gives everything below a directory to an owner, if root restores.
	GiveTo(path string, owner Owner) error
	// Walk lists everything below a directory, each directory before what is in it.
	Walk(ctx context.Context, path string) iter.Seq2[Entry, error]
	// SyncDirectory makes the names in a directory durable.
	SyncDirectory(path string) error
	// Sync makes all that was written in the file system of a directory durable.
	Sync(path string) error
}

// Temporary tells whether a name may be what is left of writing a file called
// base, by any Host, when the process was killed.
func Temporary(name, base string) bool { return durable.IsTemporary(name, base) }

func denied(err error) error {
	if err == nil || sdk.KindOf(err) != sdk.Unknown {
		return err
	}
	return sdk.Errorf(sdk.Denied, "%w", err)
}
