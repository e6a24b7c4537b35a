package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// fault explains what the file system refused: operation and name say what was
// tried. Errors that have a kind stay as they are.
func (t *tree) fault(operation, name string, err error) error {
	var classified *sdk.Error
	if err == nil || errors.As(err, &classified) {
		return err
	}
	directory, rest := t.home(name)
	at := fmt.Sprintf("%s %s in %s", operation, rest, directory)
	switch {
	case errors.Is(err, unix.ENOSPC):
		return sdk.Errorf(sdk.Unavailable, "%s: %w; %s: free some space or enlarge the file system", at, err, free(directory))
	case errors.Is(err, unix.EDQUOT):
		return sdk.Errorf(sdk.Unavailable, "%s: %w: free some space or have the quota raised", at, err)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%s: %w: the device failed; see the kernel's log, and check the file system before using it again", at, err)
	case errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return sdk.Errorf(sdk.Denied, "%s: %w: the directory must be writable for the user barman runs as", at, err)
	case errors.Is(err, fs.ErrNotExist):
		return sdk.Errorf(sdk.NotFound, "%s: %w", at, err)
	case errors.Is(err, fs.ErrExist):
		return sdk.Errorf(sdk.Exists, "%s: %w", at, err)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return sdk.Errorf(sdk.Invalid, "%s: %w: a part of the name is a file or a symbolic link; links are not followed, use a bind mount", at, err)
	case errors.Is(err, unix.ENAMETOOLONG):
		return sdk.Errorf(sdk.Invalid, "%s: %w", at, err)
	}
	return fmt.Errorf("%s: %w", at, err)
}

// free says how much room there is below a directory.
func free(directory string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(directory, &s); err != nil {
		return "free space unknown"
	}
	return fmt.Sprintf("%s and %d inodes are free on %s", humanize.IBytes(s.Bavail*uint64(s.Frsize)), s.Ffree, directory)
}
