package wal

import (
	"context"
	"errors"
	"path"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk/wal"
)

// RebuildIndex writes xlog.db anew from the files of the archive. It waits until
// nobody archives, and keeps others from it: a file that is stored and not yet
// recorded would get two lines. tell is called with how many files were looked
// at; it may be nil. Of an archive elsewhere the first sink is asked, which does not
// tell how its files are compressed.
func RebuildIndex(ctx context.Context, s *server.Server, tell func(files int)) (report catalogue.RebuildReport, err error) {
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return catalogue.RebuildReport{}, err
	}
	lock, err := s.Catalogue.LockWait(ctx, catalogue.LockArchiveWAL)
	if err != nil {
		return catalogue.RebuildReport{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if s.WALStoredElsewhere() {
		return rebuildFromStore(ctx, s, tell)
	}
	return s.Catalogue.Rebuild(ctx, tell)
}

func rebuildFromStore(ctx context.Context, s *server.Server, tell func(int)) (catalogue.RebuildReport, error) {
	sink, err := s.Engine.OpenSink(ctx, s.ForStages(), s.WALSinks()[0].Stage)
	if err != nil {
		return catalogue.RebuildReport{}, err
	}
	defer sink.Close()
	return s.Catalogue.RebuildFrom(ctx, func(yield func(catalogue.WALRecord, error) bool) {
		files := 0
		for object, err := range sink.List(ctx, catalogue.WALFolder+"/") {
			if err != nil {
				yield(catalogue.WALRecord{}, err)
				return
			}
			if files++; tell != nil {
				tell(files)
			}
			name, err := wal.ParseName(path.Base(object.Name))
			if err != nil || object.Name != catalogue.WALObject(name) || object.Size <= 0 {
				continue
			}
			if !yield(catalogue.WALRecord{Name: name, Size: object.Size, ModTime: object.ModTime}, nil) {
				return
			}
		}
	})
}
