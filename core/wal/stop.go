package wal

import (
	"context"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/processes"
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
	return pid, processes.Stop(ctx, s.Catalogue, catalogue.Process{Task: catalogue.LockReceiveWAL, PID: pid})
}
