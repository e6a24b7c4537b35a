package reconfigure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Update makes the changes that a request asks for, behind those that are in the
// queue, and returns the changes. The configuration has to be loaded again then.
// See config.Config.Plan for what a request is.
func Update(ctx context.Context, load func() (*config.Config, error), request []byte) ([]config.Change, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	lock, err := catalogue.LockUpdates(ctx, c.Global.LockDirectory)
	if err != nil {
		return nil, err
	}
	changes, err := update(c, load, request)
	return changes, errors.Join(err, lock.Release())
}

func update(c *config.Config, load func() (*config.Config, error), request []byte) ([]config.Change, error) {
	if _, err := carryOut(c); err != nil {
		return nil, err
	}
	// Others may have changed it while the lock was waited for.
	c, err := load()
	if err != nil {
		return nil, err
	}
	changes, err := c.Plan(request)
	if err != nil {
		return nil, err
	}
	if err := write(c.Global.ConfigChangesQueue, changes); err != nil {
		return nil, err
	}
	return carryOut(c)
}

// Pending carries out the changes in the queue, and returns them. Nothing happens
// while somebody else changes the configuration.
func Pending(ctx context.Context, c *config.Config) ([]config.Change, error) {
	if _, err := os.Lstat(c.Global.ConfigChangesQueue); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel() // try once
	lock, err := catalogue.LockUpdates(ctx, c.Global.LockDirectory)
	if sdk.KindOf(err) == sdk.Busy {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	changes, err := carryOut(c)
	return changes, errors.Join(err, lock.Release())
}

// carryOut makes the changes of the queue, in order. The queue goes when all of them
// are durable; after an error it is as it was.
func carryOut(c *config.Config) ([]config.Change, error) {
	path := c.Global.ConfigChangesQueue
	changes, err := read(path)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	edited, err := c.Edit(changes)
	if err != nil {
		return nil, fmt.Errorf("changes in %s, which wait until this is repaired or the file is removed: %w", path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(edited)) {
		if err := replace(name, edited[name]); err != nil {
			return nil, fmt.Errorf("change of the configuration: %w", err)
		}
	}
	return changes, durable.Remove(path)
}

// replace gives a file new content, and leaves its mode, and its owner if it can. What a symbolic
// link leads to is replaced, and not the link.
func replace(path string, content []byte) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := durable.MakeDirectory(filepath.Dir(path)); err != nil {
			return err
		}
		return durable.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return err
	}
	file, err := durable.NewReplacement(path, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return errors.Join(err, file.Abort())
	}
	if err := keepOwner(file.Temporary(), info); err != nil {
		return errors.Join(err, file.Abort())
	}
	return file.Commit()
}

// keepOwner gives a file the owner and group of the one that it replaces, as far as
// this user may. Whoever may write the directory may be the owner as well.
func keepOwner(path string, old fs.FileInfo) error {
	owner, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	err := os.Chown(path, int(owner.Uid), int(owner.Gid))
	if errors.Is(err, fs.ErrPermission) {
		err = os.Chown(path, -1, int(owner.Gid))
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// read returns the changes in the queue; none when there is no queue.
func read(path string) ([]config.Change, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(content)) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var changes []config.Change
	if err := json.Unmarshal(content, &changes); err != nil {
		return nil, sdk.Errorf(sdk.Corrupt, "queue of changes %s: %w; nothing is changed before it is repaired or removed", path, err)
	}
	return changes, nil
}

func write(path string, changes []config.Change) error {
	content, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	if err := durable.MakeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	return durable.WriteFile(path, append(content, '\n'), 0o600)
}
