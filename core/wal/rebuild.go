package wal

import (
	"context"
	"errors"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
)

// RebuildIndex writes xlog.db anew from the files of the archive. It waits until
// nobody archives, and keeps others from it: a file that is stored and not yet
// recorded would get two lines. tell is called with how many files were looked
// at; it may be nil.
func RebuildIndex(ctx context.Context, s *server.Server, tell func(files int)) (report catalogue.RebuildReport, err error) {
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return catalogue.RebuildReport{}, err
	}
	lock, err := s.Catalogue.LockWait(ctx, catalogue.LockArchiveWAL)
	if err != nil {
		return catalogue.RebuildReport{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return s.Catalogue.Rebuild(ctx, tell)
}
