package wal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Pushed is a file that PostgreSQL's archive_command names. It is PostgreSQL's:
// it is read, and neither moved nor removed.
const Pushed Origin = "archive_command"

// Push archives one file, which archive_command names, and returns when it is
// durable in every required sink and recorded: Archived, or Known when the
// archive had it already. The report has the optional sinks that did not take it.
//
// It keeps everybody else who archives waiting, and waits for them, for a minute
// at the most: so the archive holds the file once and xlog.db one line of it,
// whoever else brings it at the same time, and rebuilding xlog.db cannot come in
// between. A run of the archiver that takes longer makes it fail, and PostgreSQL
// tries again.
//
// Errors: Invalid for a file that is no WAL, not complete, or of another cluster,
// and for a server that is inactive; Exists when another file is archived under
// its name; Busy when the wait was in vain; NotFound without the file; else that
// of the sink, which is named.
func Push(ctx context.Context, s *server.Server, path string) (_ Outcome, _ Report, err error) {
	if !s.Config.Active {
		return "", Report{}, sdk.Errorf(sdk.Invalid, "server %q is inactive and archives no WAL files", s.Name())
	}
	q, err := pushed(path)
	if err != nil {
		return "", Report{}, err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return "", Report{}, err
	}
	r := newRun(s, ArchiveOptions{})
	defer r.hooks.Close()
	// Starting the plugins takes longer than all that comes before they have
	// something to do.
	r.openEarly(ctx)
	lock, err := lockArchive(ctx, s)
	if err != nil {
		return "", Report{}, errors.Join(err, r.closeWriters())
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := errors.Join(r.archiveAll(ctx, q), r.closeWriters()); err != nil {
		return "", r.report, err
	}
	if r.report.Known > 0 {
		return Known, r.report, nil
	}
	return Archived, r.report, nil
}

// pushed is a queue of one file.
func pushed(path string) (*queue, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	if _, err := wal.ParseName(base); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%s cannot be archived: %w", path, err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, sdk.Errorf(sdk.NotFound, "WAL file to archive: %w", err)
	}
	names := []string{base}
	return &queue{directories: []*directory{{path: filepath.Dir(path), origin: Pushed, names: names, held: names}}}, nil
}

// refuse is what becomes of a pushed file that the archive cannot take: it stays
// with PostgreSQL, which tries again.
func (r *run) refuse(f *file, suffix, reason string) error {
	kind := sdk.Invalid
	if suffix == suffixDuplicate {
		kind = sdk.Exists
	}
	return sdk.Errorf(kind, "server %q cannot archive %s: %s", r.server.Name(), f.path(), reason)
}
