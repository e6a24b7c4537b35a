package wal

import (
	"context"
	"time"

	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// poll is the time between two looks at the directories.
const poll = 200 * time.Millisecond

// WaitFor archives WAL until a file of the given name is in the archive. timeout
// 0 waits until ctx ends. Another process may archive at the same time.
//
// Errors: Unavailable when the file did not come in time, else those of Archive
// but Busy.
func WaitFor(ctx context.Context, s *server.Server, name string, timeout time.Duration, options ArchiveOptions) error {
	wanted, err := wal.ParseName(name)
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "wait for WAL: %w", err)
	}
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for ask := true; ; {
		report, err := Archive(ctx, s, options)
		if err != nil && sdk.KindOf(err) != sdk.Busy {
			return err
		}
		found, err := archived(s, wanted, ask || err != nil || report.Archived+report.Known > 0)
		if found || err != nil {
			return err
		}
		ask = false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return sdk.Errorf(sdk.Unavailable, "WAL file %s of server %s was not archived within %s: see that archive_command or the WAL receiver works "+
				"(barman check %s), and that the server writes WAL (barman switch-wal %s)", name, s.Name(), timeout, s.Name(), s.Name())
		case <-ticker.C:
		}
	}
}

// archived tells whether the archive has a file. Where the first sink is not on
// this machine only xlog.db knows, which is looked at when it may have changed.
func archived(s *server.Server, name wal.Name, changed bool) (bool, error) {
	found, err := s.Catalogue.HasWAL(name)
	if found || err != nil || !changed {
		return found, err
	}
	return s.Catalogue.HasRecord(name)
}
