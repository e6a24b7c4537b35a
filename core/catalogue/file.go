package catalogue

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/barman-go/barman/sdk"
)

const (
	fileMode      = 0o600
	directoryMode = 0o700
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
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var read bytes.Buffer
	read.Grow(int(min(info.Size(), limit)) + bytes.MinRead) // or what grows meanwhile
	if _, err := read.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	}
	content = read.Bytes()
	if int64(len(content)) > limit {
		return nil, sdk.Errorf(sdk.Corrupt, "%s is larger than %s, which this kind of file never is: put a copy from before the damage in its place",
			path, PrettySize(limit))
	}
	return content, nil
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
