package sinks

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/wal"
)

// wal gives one sink the WAL that it lacks.
func (y *syncing) wal(ctx context.Context, to server.Sink) error {
	noted, err := y.server.Catalogue.LagOf(to.Label, "")
	if err != nil || noted == nil && y.options.Noted {
		return err
	}
	if y.unneeded, err = unneededWAL(y.server); err != nil {
		return err
	}
	for _, from := range y.sources(y.server.WALSinks(), to) {
		if err := y.copyWAL(ctx, from, to); err != nil {
			if !from.Optional {
				return err
			}
			y.problem(err)
		}
	}
	if noted == nil || y.options.DryRun || y.options.From != "" {
		return nil
	}
	return y.settleWAL(ctx, to)
}

// settleWAL makes sure that a sink lacks no WAL, while none is archived: until
// then an archiver may do without it.
func (y *syncing) settleWAL(ctx context.Context, to server.Sink) (err error) {
	lock, err := y.server.Catalogue.LockWait(ctx, catalogue.LockArchiveWAL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	for _, from := range y.sources(y.server.WALSinks(), to) {
		if from.Optional {
			continue
		}
		if err := y.copyWAL(ctx, from, to); err != nil {
			return err
		}
		return y.server.Catalogue.ClearLag(to.Label, "")
	}
	return y.server.Catalogue.ClearLag(to.Label, "") // the only one that has to have everything
}

// unneededWAL is the WAL that serves no backup any more: it is not copied, and goes
// from a sink that has kept it while it was deleted elsewhere. There is none while
// what a backup needs is not known.
func unneededWAL(s *server.Server) (catalogue.Release, error) {
	var all []catalogue.Remaining
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return catalogue.Release{}, err
		}
		if entry.Err != nil {
			return catalogue.Release{}, nil
		}
		keep, err := s.Catalogue.Annotation(entry.ID, catalogue.AnnotationKeep)
		if err != nil {
			return catalogue.Release{}, err
		}
		all = append(all, catalogue.Remaining{Backup: entry.Backup, Keep: keep})
	}
	return catalogue.UnneededWAL(all), nil
}

const (
	// namedAtOnce bounds how many names of WAL files are held in memory.
	namedAtOnce = 100_000
	// sentAtOnce bounds how many are named to the plugins at once.
	sentAtOnce = 500
	// attempts is how often a copy is tried again that finds files which were not
	// there when it began: an archiver may have stored them.
	attempts = 3
)

// copyWAL copies the files that one sink has and another has not.
func (y *syncing) copyWAL(ctx context.Context, from, to server.Sink) error {
	for failed := 0; ; {
		missing, stale, err := y.compareWAL(ctx, from, to)
		if err != nil {
			return err
		}
		if from.Optional || to.Home {
			stale = nil // what is missing there was not deleted for sure; and from the catalogue's archive others delete
		}
		if y.options.DryRun {
			y.countWAL(missing)
			y.now.WAL.Removed += len(stale)
			return nil
		}
		if len(stale) > 0 {
			if err := y.removeWAL(ctx, to, stale); err != nil {
				return err
			}
		}
		err = y.send(ctx, from, to, missing)
		switch {
		case err == nil && len(missing) < namedAtOnce:
			return nil
		case err == nil:
		case sdk.KindOf(err) != sdk.Exists:
			return err
		default:
			if failed++; failed == attempts {
				return err
			}
		}
	}
}

func (y *syncing) send(ctx context.Context, from, to server.Sink, missing []sdk.Object) error {
	for part := range slices.Chunk(missing, sentAtOnce) {
		var selections []host.Selection
		for _, object := range part {
			selections = append(selections, host.Selection{Name: object.Name, Verbatim: true})
		}
		if err := y.server.Engine.Restore(ctx, y.server.Only(from), selections, y.server.Only(to).Sinks[0], y.observe(nil)); err != nil {
			return err
		}
		y.countWAL(part)
	}
	return nil
}

func (y *syncing) countWAL(files []sdk.Object) {
	for _, file := range files {
		y.now.WAL.Files++
		y.now.WAL.Bytes += max(file.Size, 0)
	}
}

func (y *syncing) removeWAL(ctx context.Context, at server.Sink, names []string) error {
	sink, err := y.server.Engine.OpenSink(ctx, y.server.ForStages(), at.Stage)
	if err != nil {
		return err
	}
	defer sink.Close()
	if err := sink.Delete(ctx, names); err != nil {
		return err
	}
	y.now.WAL.Removed += len(names)
	return nil
}

// compareWAL lists the first files that one sink has and another has not, and those
// that only the other has and nobody needs. What both have with different sizes is
// compared.
func (y *syncing) compareWAL(ctx context.Context, from, to server.Sink) (missing []sdk.Object, stale []string, err error) {
	source, err := y.server.Engine.OpenSink(ctx, y.server.ForStages(), from.Stage)
	if err != nil {
		return nil, nil, err
	}
	defer source.Close()
	target, err := y.server.Engine.OpenSink(ctx, y.server.ForStages(), to.Stage)
	if err != nil {
		return nil, nil, err
	}
	defer target.Close()
	next, stop := iter.Pull2(walObjects(ctx, target))
	defer stop()
	has, err, more := next()
	for wanted, failed := range walObjects(ctx, source) {
		for more && err == nil && has.Name < wanted.Name {
			if y.isUnneeded(has.Name) && len(stale) < namedAtOnce {
				stale = append(stale, has.Name)
			}
			has, err, more = next()
		}
		if err = errors.Join(failed, err); err != nil {
			return nil, nil, err
		}
		switch {
		case y.isUnneeded(wanted.Name):
		case !more || has.Name > wanted.Name:
			missing = append(missing, wanted)
		case has.Size != wanted.Size:
			if err := differ(ctx, source, target, wanted.Name); err != nil {
				y.problem(err)
			}
		}
		if len(missing) == namedAtOnce {
			break
		}
	}
	return missing, stale, err
}

func (y *syncing) isUnneeded(object string) bool {
	name, err := wal.ParseName(path.Base(object))
	return err == nil && y.unneeded.Includes(name)
}

// walObjects yields what a sink has of the archive, in ascending order.
func walObjects(ctx context.Context, sink *pipeline.Sink) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		for object, err := range sink.List(ctx, catalogue.WALFolder+"/") {
			if err != nil {
				yield(sdk.Object{}, err)
				return
			}
			name, err := wal.ParseName(path.Base(object.Name))
			if err == nil && object.Name == catalogue.WALObject(name) && !yield(object, nil) {
				return
			}
		}
	}
}

// differ returns an error if two sinks have different WAL under one name. It may
// be compressed in different ways.
func differ(ctx context.Context, a, b *pipeline.Sink, name string) error {
	left, err := digest(ctx, a, name)
	if err != nil {
		return err
	}
	right, err := digest(ctx, b, name)
	if err != nil || left == right {
		return err
	}
	return sdk.Errorf(sdk.Exists, "%s is there with other content than elsewhere, and is not replaced: find out which of them is right", strings.TrimPrefix(name, catalogue.WALFolder+"/"))
}

func digest(ctx context.Context, sink *pipeline.Sink, name string) (sum [sha256.Size]byte, err error) {
	err = sink.Read(ctx, []host.Selection{{Name: name}}, 1, func(_ context.Context, _ sdk.Object, stored io.Reader) error {
		input := codec.NewInput(stored)
		plain, _, err := codec.Decoded(input)
		if err != nil {
			return errors.Join(err, input.Err())
		}
		defer plain.Close()
		hash := sha256.New()
		if _, err := io.Copy(hash, plain); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, input)
		copy(sum[:], hash.Sum(nil))
		return err
	})
	return sum, err
}
