package wal

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Stop asks the receiver of a server to end, and waits until it has. It returns
// the process that was stopped. Without a receiver it is an error of kind
// NotFound; a receiver that has not ended when ctx does is Busy.
func Stop(ctx context.Context, s *server.Server) (pid int, err error) {
	pid, running, err := Receiving(s)
	if err != nil {
		return 0, err
	}
	if !running {
		return 0, sdk.Errorf(sdk.NotFound, "no WAL receiver of server %q is running", s.Name())
	}
	if pid == os.Getpid() {
		return pid, sdk.Errorf(sdk.Invalid, "the WAL receiver of server %q is this process: interrupt it", s.Name())
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return pid, sdk.Errorf(sdk.Denied, "stop the WAL receiver of server %q, process %d: %w", s.Name(), pid, err)
	}
	const look = 50 * time.Millisecond
	for {
		now, running, err := Receiving(s)
		if err != nil || !running || now != pid {
			return pid, err
		}
		select {
		case <-ctx.Done():
			return pid, sdk.Errorf(sdk.Busy, "the WAL receiver of server %q, process %d, was told to stop and still runs: %w", s.Name(), pid, ctx.Err())
		case <-time.After(look):
		}
	}
}
