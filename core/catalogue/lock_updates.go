package catalogue

import (
	"context"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/barman-go/barman/sdk"
)

// LockUpdates takes the lock that whoever changes the configuration of servers
// holds, that of Barman in Python. It waits until ctx ends, which is Busy.
func LockUpdates(ctx context.Context, lockDirectory string) (*Lock, error) {
	path := filepath.Join(lockDirectory, ".config-update.lock")
	for {
		lock, err := tryLock(path, (*flock.Flock).TryLock)
		switch {
		case err != nil:
			return nil, sdk.Errorf(kindOf(err), "lock for changes of the configuration: %w", err)
		case lock != nil:
			return lock, nil
		}
		select {
		case <-ctx.Done():
			return nil, sdk.Errorf(sdk.Busy, "another process changes the configuration (%s): wait for it to end, and try again", path)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
