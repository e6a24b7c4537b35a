package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/barman-go/barman/sdk"
)

// walDirectory is the directory that segments are received into, locked
// against a second receiver for as long as it is open.
type walDirectory struct {
	path   string
	handle *os.File
}

// openDirectory makes the directory if need be and locks it. The lock is on the
// directory itself and goes with the process, however that ends.
func openDirectory(path string) (*walDirectory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("directory for received WAL: %w", err)
	}
	handle, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("directory for received WAL: %w", err)
	}
	err = syscall.Flock(int(handle.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = sdk.Errorf(sdk.Busy, "%s: another process receives WAL into this directory; stop it first", path)
	} else if err != nil {
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	if err != nil {
		return nil, errors.Join(err, handle.Close())
	}
	return &walDirectory{path: path, handle: handle}, nil
}

// sync makes created and renamed files durable.
func (d *walDirectory) sync() error {
	if err := d.handle.Sync(); err != nil {
		return fmt.Errorf("fsync %s: %w", d.path, err)
	}
	return nil
}

func (d *walDirectory) close() error { return d.handle.Close() }
