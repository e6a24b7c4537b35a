package catalogue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/barman-go/barman/sdk"
)

const (
	fileMode      = 0o600
	directoryMode = 0o700
	tempSuffix    = ".tmp"
)

// openRegular opens a file for reading and refuses what is not a regular file:
// a symbolic link could lead out of the catalogue, a FIFO would block for ever.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, nil, sdk.Errorf(sdk.Corrupt, "%s is a symbolic link: put the file it points to in its place", path)
	case errors.Is(err, syscall.ENOTDIR):
		return nil, nil, sdk.Errorf(sdk.NotFound, "%w", err)
	case errors.Is(err, syscall.ENXIO):
		return nil, nil, sdk.Errorf(sdk.Corrupt, "%s is not a regular file: move it away", path)
	case err != nil:
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = sdk.Errorf(sdk.Corrupt, "%s is not a regular file: move it away", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// readFile returns the content of a regular file of at most limit bytes.
func readFile(path string, limit int64) (content []byte, err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, sdk.Errorf(sdk.Corrupt, "%s is larger than %s, which this kind of file never is: put a copy from before the damage in its place",
			path, PrettySize(limit))
	}
	return content, nil
}

// replaceFile gives path the new content: a crash at any moment leaves the old
// one or the new one. A temporary file left behind by a crash has a name that
// nothing reads.
func replaceFile(path string, content []byte) error {
	f, err := newReplacement(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.abort())
	}
	return f.commit()
}

// replacement is a file on its way to take another's place.
type replacement struct {
	*os.File
	path string
}

func newReplacement(path string) (*replacement, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+tempSuffix)
	if err != nil {
		return nil, err
	}
	return &replacement{File: f, path: path}, nil
}

// commit makes the file durable under its name.
func (r *replacement) commit() error {
	if err := r.Sync(); err != nil {
		return errors.Join(err, r.abort())
	}
	if err := r.Close(); err != nil {
		return errors.Join(err, os.Remove(r.Name()))
	}
	if err := os.Rename(r.Name(), r.path); err != nil {
		return errors.Join(err, os.Remove(r.Name()))
	}
	return syncDirectory(filepath.Dir(r.path))
}

func (r *replacement) abort() error {
	return errors.Join(r.Close(), os.Remove(r.Name()))
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("fsync directory: %w", err), d.Close())
	}
	return d.Close()
}

// makeDirectory creates a directory, and its parents, durably.
func makeDirectory(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return sdk.Errorf(sdk.Invalid, "%s exists and is not a directory: move it away", path)
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDirectory(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, directoryMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(parent)
}

// exists reports whether path is there, whatever it is.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	return false, err
}

// clip bounds what an error message quotes of input that may be hostile.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
