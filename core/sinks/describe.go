package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Begin notes, before a backup's first byte is stored, that no sink elsewhere has
// it yet.
func Begin(s *server.Server, id catalogue.BackupID) error {
	return note(s, lag("", id, catalogue.LacksData, "the backup was not finished"), func(string, *catalogue.Lag) bool { return true })
}

// Lost is a sink without some of a backup.
type Lost struct {
	// Sink is the sink's label.
	Sink string
	// Reason is why.
	Reason string
}

// Complete tells the sinks elsewhere of a backup that has just been stored in all
// but the lost ones, of which it notes that. Those that could not be told are added
// to the lost; the error is that of a required one.
func Complete(ctx context.Context, s *server.Server, id catalogue.BackupID, lost []Lost) ([]Lost, error) {
	without := map[string]bool{}
	for _, l := range lost {
		without[l.Sink] = true
		if err := s.Catalogue.NoteLag(lag(l.Sink, id, catalogue.LacksData, l.Reason)); err != nil {
			return lost, err
		}
	}
	told := lag("", id, catalogue.LacksWord, "it was not told that the backup is complete")
	if err := note(s, told, func(sink string, _ *catalogue.Lag) bool { return !without[sink] }); err != nil {
		return lost, err
	}
	return tell(ctx, s, id, lost)
}

// Change carries out a change of what the catalogue says of a backup, and tells the
// sinks elsewhere. That a sink cannot be told now is no error: it is noted, and
// logged.
func Change(ctx context.Context, s *server.Server, id catalogue.BackupID, change func() error) error {
	told := lag("", id, catalogue.LacksWord, "it was not told of a change in the catalogue")
	// That data is missing outweighs it.
	if err := note(s, told, func(_ string, noted *catalogue.Lag) bool { return noted == nil }); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	_, err := tell(ctx, s, id, nil)
	if err != nil {
		s.Logger.Warn("a sink is not told yet of a change in the catalogue", "backup", id, "error", err)
	}
	return nil
}

// Fail removes what a failed backup has stored in sinks elsewhere, and tells them
// that it failed. What cannot be done now stays noted.
func Fail(ctx context.Context, s *server.Server, id catalogue.BackupID) {
	for _, sink := range s.BackupSinks() {
		if sink.Home {
			continue
		}
		err := Clear(ctx, s, sink, id)
		if err == nil {
			err = describeAndClear(ctx, s, sink, id)
		}
		if err != nil {
			s.Logger.Warn("a sink keeps what was copied of a failed backup; barman cron and sync-sink remove it", "backup", id, "sink", sink.Label, "error", err)
		}
	}
}

// note notes what sinks elsewhere may lack of a backup, those that applies is true
// of: it gets the sink's label and what is noted so far.
func note(s *server.Server, l catalogue.Lag, applies func(sink string, noted *catalogue.Lag) bool) error {
	for _, sink := range s.BackupSinks() {
		if sink.Home && !sink.Optional {
			continue
		}
		noted, err := s.Catalogue.LagOf(sink.Label, l.Backup)
		if err != nil {
			return err
		}
		if !applies(sink.Label, noted) {
			continue
		}
		l.Sink = sink.Label
		if err := s.Catalogue.NoteLag(l); err != nil {
			return err
		}
	}
	return nil
}

func lag(sink string, id catalogue.BackupID, lacks catalogue.Lacking, reason string) catalogue.Lag {
	return catalogue.Lag{Sink: sink, Backup: id, Lacks: lacks, Since: time.Now().UTC(), Reason: reason}
}

// tell tells all sinks that have a backup's data.
func tell(ctx context.Context, s *server.Server, id catalogue.BackupID, lost []Lost) ([]Lost, error) {
	var errs []error
	for _, sink := range s.BackupSinks() {
		noted, err := s.Catalogue.LagOf(sink.Label, id)
		if err != nil {
			return lost, err
		}
		if noted == nil || noted.Lacks != catalogue.LacksWord {
			continue
		}
		err = describeAndClear(ctx, s, sink, id)
		switch {
		case err != nil && sink.Optional && ctx.Err() == nil:
			lost = append(lost, Lost{Sink: sink.Label, Reason: err.Error()})
			s.Logger.Warn("an optional sink has a backup's data, and not the newest description", "backup", id, "sink", sink.Label, "error", err)
		case err != nil:
			errs = append(errs, err)
		}
	}
	return lost, errors.Join(errs...)
}

// describeAndClear gives a sink the catalogue's word of a backup, after which it
// lacks nothing.
func describeAndClear(ctx context.Context, s *server.Server, sink server.Sink, id catalogue.BackupID) (err error) {
	// Of two who tell a sink the one that reads the catalogue later must be the last.
	lock, err := s.Catalogue.LockWait(ctx, catalogue.LockSinks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if !sink.Home {
		err = describe(ctx, s, sink, id)
	}
	if err != nil || sink.Home && !sink.Optional {
		return err // the catalogue's own sink is where that is known anyway
	}
	return s.Catalogue.NoteHeld(sink.Label, id)
}

// describe puts the description of a backup beside its data, backup.info last.
func describe(ctx context.Context, s *server.Server, sink server.Sink, id catalogue.BackupID) error {
	b, err := s.Catalogue.Get(id)
	if err != nil {
		return err
	}
	keep, err := s.Catalogue.Annotation(id, catalogue.AnnotationKeep)
	if err != nil {
		return err
	}
	info, err := s.Catalogue.InfoPath(id)
	if err != nil {
		return err
	}
	if keep == "" && b.State == catalogue.StateDone {
		if err := remove(ctx, s, sink, catalogue.AnnotationObject(id, catalogue.AnnotationKeep)); err != nil {
			return err
		}
	}
	w, err := s.Engine.OpenWriter(ctx, s.Only(sink), pipeline.Observer{})
	if err != nil {
		return err
	}
	err = putFile(ctx, w, catalogue.ReceiptsObject(id), filepath.Join(s.Catalogue.Directory(id), catalogue.ReceiptsName))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // another program took it
	}
	if err == nil && keep != "" {
		err = put(ctx, w, catalogue.AnnotationObject(id, catalogue.AnnotationKeep), []byte(keep))
	}
	if err == nil {
		err = putFile(ctx, w, catalogue.InfoObject(id), info)
	}
	return errors.Join(err, w.Close())
}

func putFile(ctx context.Context, w *pipeline.Writer, object, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("description of the backup: %w", err)
	}
	return put(ctx, w, object, content)
}

func put(ctx context.Context, w *pipeline.Writer, object string, content []byte) error {
	_, err := w.Put(ctx, sdk.Object{Name: object, Mode: 0o600, Size: int64(len(content)), Replace: true, Verbatim: true}, bytes.NewReader(content))
	return err
}

func remove(ctx context.Context, s *server.Server, at server.Sink, object string) error {
	sink, err := s.Engine.OpenSink(ctx, s.ForStages(), at.Stage)
	if err != nil {
		return err
	}
	defer sink.Close()
	return sink.Delete(ctx, []string{object})
}
