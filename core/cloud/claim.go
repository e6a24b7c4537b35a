package cloud

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// maxClaims bounds the search for an ID that is free.
const maxClaims = 30

// claim takes an ID for a backup that begins, so that of two that begin in the same
// second one waits for the next. The claim is the backup's object of receipts, which
// are written when it is complete.
func (s *Store) claim(ctx context.Context, begun time.Time, r *receipts) (catalogue.BackupID, error) {
	for attempt := range maxClaims {
		if attempt > 0 {
			begun = begun.Truncate(time.Second).Add(time.Second)
			select {
			case <-time.After(time.Until(begun)):
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}
		id := catalogue.NewBackupID(begun)
		taken, err := s.used(ctx, id)
		if err != nil {
			return "", err
		}
		if taken {
			continue
		}
		err = s.putNew(ctx, catalogue.ReceiptsObject(id), r.text())
		if sdk.KindOf(err) != sdk.Exists {
			return id, err
		}
	}
	return "", sdk.Errorf(sdk.Busy, "%d backups of server %s have begun, one each second", maxClaims, s.server.Name)
}

// used tells whether there is anything of a backup of this ID.
func (s *Store) used(ctx context.Context, id catalogue.BackupID) (bool, error) {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return false, err
	}
	defer sink.Close()
	for _, err := range sink.List(ctx, catalogue.BackupPrefix(id)) {
		return err == nil, err
	}
	return false, nil
}

// putNew stores a small object unless there is one of that name, which is an error
// of kind Exists.
func (s *Store) putNew(ctx context.Context, name string, content []byte) error {
	writer, err := s.engine.OpenWriter(ctx, pipeline.Line{Server: s.server, Sinks: []pipeline.Stage{s.sink}}, pipeline.Observer{})
	if err != nil {
		return err
	}
	_, err = writer.Put(ctx, sdk.Object{Name: name, Kind: sdk.KindFile, Size: int64(len(content))}, bytes.NewReader(content))
	return errors.Join(err, writer.Close())
}

// abandoned is how long nothing has come of a backup whose process was surely
// killed.
const abandoned = 7 * 24 * time.Hour

// sweep removes what killed backups have left: objects of an ID that was claimed,
// of which nothing has come for long, and that has no backup.info. What time it is
// the store says, by the claim of the backup that runs.
func (s *Store) sweep(ctx context.Context, running catalogue.BackupID) error {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	type remains struct {
		names           []string
		newest          time.Time
		claimed, listed bool
	}
	var now time.Time
	left := map[catalogue.BackupID]*remains{}
	for object, err := range sink.List(ctx, catalogue.BackupsFolder+"/") {
		if err != nil {
			return err
		}
		id, rest := ownerOf(object.Name)
		if id == "" {
			continue
		}
		r := left[id]
		if r == nil {
			r = &remains{}
			left[id] = r
		}
		r.names = append(r.names, object.Name)
		r.claimed = r.claimed || rest == catalogue.ReceiptsName
		r.listed = r.listed || rest == infoOf || rest == keepOf
		if object.ModTime.After(r.newest) {
			r.newest = object.ModTime
		}
		if object.Name == catalogue.ReceiptsObject(running) {
			now = object.ModTime
		}
	}
	var errs []error
	for _, r := range left {
		if r.claimed && !r.listed && !r.newest.IsZero() && now.Sub(r.newest) > abandoned {
			errs = append(errs, sink.Delete(ctx, r.names))
		}
	}
	return errors.Join(errs...)
}
