package removal

import (
	"context"
	"iter"
	"path"
	"slices"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hooks"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/sdk/wal"
)

// deleteData removes a backup's objects from all sinks. That an optional sink
// which fails keeps its copy is noted: the copy goes when the sink is back.
func (r *run) deleteData(ctx context.Context, id catalogue.BackupID) error {
	for _, sink := range r.server.BackupSinks() {
		err := sinks.Clear(ctx, r.server, sink, id)
		switch {
		case err != nil && sink.Optional && ctx.Err() == nil:
			r.server.Logger.Warn("an optional sink keeps its copy of a backup that was deleted, until barman cron or sync-sink finds it back", "backup", id, "sink", sink.Label, "error", err)
			err = r.server.Catalogue.NoteLag(catalogue.Lag{
				Sink: sink.Label, Backup: id, Lacks: catalogue.LacksDeletion, Since: time.Now().UTC(), Reason: err.Error(),
			})
		case err == nil:
			err = r.server.Catalogue.ClearLag(sink.Label, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// preview adds to the report of a dry run which WAL would go, all in one listing.
func (r *run) preview(ctx context.Context) error {
	if !slices.ContainsFunc(r.releases, func(release catalogue.Release) bool { return release.Reason == "" }) {
		return nil
	}
	sink, err := r.server.Engine.OpenSink(ctx, r.server.ForStages(), r.server.WALLine().Sinks[0])
	if err != nil {
		return err
	}
	defer sink.Close()
	for name, err := range walIn(ctx, sink) {
		if err != nil {
			return err
		}
		behind := true
		for i, release := range r.releases {
			if release.Includes(name) {
				r.report[i].count(name)
				behind = false
				break
			}
			behind = behind && release.Behind(name)
		}
		if behind {
			return nil
		}
	}
	return nil
}

// walIn yields the files of the WAL archive in ascending order.
func walIn(ctx context.Context, sink *pipeline.Sink) iter.Seq2[wal.Name, error] {
	return func(yield func(wal.Name, error) bool) {
		for object, err := range sink.List(ctx, catalogue.WALFolder+"/") {
			if err != nil {
				yield(wal.Name{}, err)
				return
			}
			name, err := wal.ParseName(path.Base(object.Name))
			if err == nil && object.Name == catalogue.WALObject(name) && !yield(name, nil) {
				return
			}
		}
	}
}

// walAtOnce bounds how many names of WAL files are held in memory.
const walAtOnce = 100_000

// deleteWAL removes the files that are released.
func (r *run) deleteWAL(ctx context.Context, release catalogue.Release, deleted *Deleted) error {
	if release.Reason != "" {
		return nil
	}
	for i, sink := range r.server.WALSinks() {
		err := r.deleteWALFrom(ctx, sink.Stage, release, i == 0, deleted)
		if err != nil && sink.Optional && ctx.Err() == nil {
			r.server.Logger.Warn("an optional sink keeps WAL that was deleted, until barman cron or sync-sink finds it back", "sink", sink.Label, "error", err)
			err = r.server.Catalogue.NoteLag(catalogue.Lag{Sink: sink.Label, Lacks: catalogue.LacksWAL, Since: time.Now().UTC(), Reason: err.Error()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteWALFrom removes them from one sink. What was deleted from the first one
// is added to the report.
func (r *run) deleteWALFrom(ctx context.Context, stage pipeline.Stage, release catalogue.Release, first bool, deleted *Deleted) error {
	sink, err := r.server.Engine.OpenSink(ctx, r.server.ForStages(), stage)
	if err != nil {
		return err
	}
	defer sink.Close()
	after := wal.Name{}
	for {
		files, err := released(ctx, sink, release, after)
		if err != nil || len(files) == 0 {
			return err
		}
		after = files[len(files)-1]
		more := len(files) == walAtOnce
		if !first {
			err = sink.Delete(ctx, objects(files))
		} else if files, err = r.deleteArchived(ctx, sink, files); err == nil {
			deleted.count(files...)
		}
		if err != nil || !more {
			return err
		}
	}
}

// released are the next files that are released.
func released(ctx context.Context, sink *pipeline.Sink, release catalogue.Release, after wal.Name) ([]wal.Name, error) {
	var files []wal.Name
	for name, err := range walIn(ctx, sink) {
		if err != nil {
			return nil, err
		}
		if release.Behind(name) || len(files) == walAtOnce {
			break
		}
		if release.Includes(name) && (after.Kind == 0 || catalogue.WALObject(name) > catalogue.WALObject(after)) {
			files = append(files, name)
		}
	}
	return files, nil
}

// deleteArchived removes files from the sink that is read from, and returns those
// that no hook objected to. xlog.db forgets them first: it must not list what is
// gone.
func (r *run) deleteArchived(ctx context.Context, sink *pipeline.Sink, files []wal.Name) ([]wal.Name, error) {
	files, told := r.agreed(ctx, files)
	if err := r.server.Catalogue.ForgetWAL(ctx, among(files)); err != nil {
		return nil, err
	}
	err := sink.Delete(ctx, objects(files))
	for _, values := range told {
		r.walHooks.After(ctx, values, err)
	}
	return files, err
}

func objects(files []wal.Name) []string {
	names := make([]string, len(files))
	for i, name := range files {
		names[i] = catalogue.WALObject(name)
	}
	return names
}

func among(files []wal.Name) func(wal.Name) bool {
	gone := make(map[string]bool, len(files))
	for _, name := range files {
		gone[name.String()] = true
	}
	return func(name wal.Name) bool { return gone[name.String()] }
}

// agreed are the files that no hook objects to, which are told to the caller,
// and what hooks are told of each of them.
func (r *run) agreed(ctx context.Context, files []wal.Name) (agreed []wal.Name, told []map[string]string) {
	agreed = slices.DeleteFunc(files, func(name wal.Name) bool {
		if r.walHooks.Configured() {
			values := r.aboutWAL(name)
			if err := r.walHooks.Before(ctx, values); err != nil {
				r.server.Logger.Warn("a WAL file is not deleted, as a hook objects", "file", name, "error", err)
				return true
			}
			told = append(told, values)
		}
		if r.options.File != nil {
			r.options.File(name)
		}
		return false
	})
	return agreed, told
}

func (r *run) aboutWAL(name wal.Name) map[string]string {
	record, err := r.server.Catalogue.RecordOf(name)
	if err != nil {
		record = catalogue.WALRecord{Name: name} // it is in a store elsewhere
	}
	return hooks.AboutWAL(r.server.Catalogue.WALPath(name), record)
}
