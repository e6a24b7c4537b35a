package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const temporarySuffix = ".tmp"

func temporaryPrefix(base string) string { return "." + base + "." }

// IsTemporary tells whether a file of that name may be what is left of writing
// base, when the process was killed. It may be removed when nobody else writes.
func IsTemporary(name, base string) bool {
	return strings.HasPrefix(name, temporaryPrefix(base)) && strings.HasSuffix(name, temporarySuffix)
}

// Replacement is a file on its way to take another's place. Nothing is visible
// under the other's name before Commit.
type Replacement struct {
	file *os.File
	path string
	mode fs.FileMode
}

// NewReplacement begins a file beside path, of mode 0600 until it is committed.
// The caller ends with Commit or Abort.
func NewReplacement(path string, mode fs.FileMode) (*Replacement, error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix(filepath.Base(path))+"*"+temporarySuffix)
	if err != nil {
		return nil, err
	}
	return &Replacement{file: f, path: path, mode: mode}, nil
}

// Write appends to the file.
func (r *Replacement) Write(p []byte) (int, error) { return r.file.Write(p) }

// Commit makes the file durable under its name: fsync, rename, fsync of the
// directory. After an error the old file is there, and the new one gone; if only
// the last step failed, the new one may be there.
func (r *Replacement) Commit() error {
	err := r.file.Chmod(r.mode)
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return errors.Join(err, r.Abort())
	}
	if err := r.file.Close(); err != nil {
		return errors.Join(err, os.Remove(r.file.Name()))
	}
	if err := os.Rename(r.file.Name(), r.path); err != nil {
		return errors.Join(err, os.Remove(r.file.Name()))
	}
	return SyncDirectory(filepath.Dir(r.path))
}

// Abort leaves the old file as it is.
func (r *Replacement) Abort() error {
	return errors.Join(r.file.Close(), ignoreMissing(os.Remove(r.file.Name())))
}
