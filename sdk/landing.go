package sdk

import (
	"context"
	"time"
)

// Landing is a directory of a sink's store, on this machine, that a source fills
// itself, in the place of emitting objects.
type Landing struct {
	// Directory is where the request's Prefix leads: the data directory goes to
	// Directory/data, a tablespace to Directory/<oid>, neither of which is there yet.
	Directory string
	// Reference is the directory of an earlier backup of the server in the same
	// form; empty if there is none. Its files may be linked to, and are never
	// written to.
	Reference string
	// Horizon is when the backup in Reference began: of files that were written to
	// later, size and time do not tell whether they are the same.
	Horizon time.Time
	// Progress is told how many files and bytes have arrived; never nil.
	Progress func(files, bytes int64)
}

// Sealed is what a landing directory holds.
type Sealed struct {
	// Files and Size are the regular files and their bytes.
	Files, Size int64
	// Unshared are the bytes of those to which nothing else links.
	Unshared int64
}

// LandingSink is a sink that lets a source fill a directory of its store, for
// sources that can do so better than by emitting objects, with hard links to an
// earlier backup for instance.
type LandingSink interface {
	Sink
	// Land makes a directory of the store, if it is not there, and returns it as
	// Landing.Directory; Landing.Reference is the directory called reference, if
	// there is one. The directory is durable when it returns; when ctx ends it may
	// be left behind.
	Land(ctx context.Context, name, reference string) (Landing, error)
	// Seal checks what is in the directories of that directory, makes it durable
	// and tells how much it is: when it returns nil all files are objects like any
	// others. Whoever filled them must have ended. It may be called again. What is
	// neither a regular file nor a directory is an error of kind Invalid. What is
	// there when Seal fails, or is never called, is for Delete to remove.
	Seal(ctx context.Context, name string) (Sealed, error)
}
