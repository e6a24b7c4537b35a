package cloud

import (
	"context"
	"errors"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/recovery"
	"github.com/barman-go/barman/core/stored"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// Target is what a backup to restore is chosen by: the newest that is complete and
// leads there. At most one of Time and LSN is set.
type Target struct {
	Time time.Time
	LSN  wal.LSN
	// Timeline is the one that the backup must be on; 0 for any.
	Timeline wal.Timeline
}

// Auto is the reference that has the target choose a backup.
const Auto = catalogue.ShortcutAuto

// Choose returns the newest backup that leads to a target. An error is of kind
// NotFound.
func (c *Catalogue) Choose(t Target) (*catalogue.Backup, error) {
	var best *catalogue.Backup
	for _, entry := range c.Entries {
		b := entry.Backup
		switch {
		case b == nil, !b.State.CopyDone(), b.EndTime.IsZero():
		case t.Timeline != 0 && b.Timeline != t.Timeline:
		case !t.Time.IsZero() && b.EndTime.After(t.Time):
		case t.LSN != 0 && b.EndLSN > t.LSN:
		case best == nil || b.EndTime.After(best.EndTime):
			best = b
		}
	}
	if best == nil {
		return nil, sdk.Errorf(sdk.NotFound, "no complete backup of server %s in the bucket leads to that target", c.server)
	}
	return best, nil
}

// RestoreRequest is what to restore, and where to.
type RestoreRequest struct {
	// Reference is an ID, a shortcut or a name, or Auto for the Target to choose.
	Reference string
	Target    Target
	// Destination is the data directory to make; it must not exist, or be empty.
	Destination string
	// Tablespaces are new locations by tablespace name.
	Tablespaces map[string]string
	// Jobs is how many archives are fetched and unpacked side by side; 0 leaves it to
	// the machine.
	Jobs int
	// Progress is told how far it is; may be nil.
	Progress func(pipeline.Progress)
	Logger   hclog.Logger
}

// Restore unpacks a backup into a directory on this host and returns it. No WAL is
// fetched and no setting of the server is changed. Until it is complete PostgreSQL
// does not start from the directory; one that was interrupted begins anew.
//
// Errors: those of Catalogue.Resolve and Choose; Invalid for a backup that is not
// complete and for impossible directories; Exists for those that are not empty;
// Corrupt when the bucket's objects are not what was stored.
func (s *Store) Restore(ctx context.Context, request RestoreRequest) (*catalogue.Backup, error) {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	b, err := s.chosen(ctx, sink, request)
	if err != nil {
		return nil, err
	}
	form, known, err := s.locate(ctx, sink, b, request.Logger)
	if err != nil {
		return b, err
	}
	line := pipeline.Line{Server: s.server, Sinks: []pipeline.Stage{s.sink}, Lanes: request.Jobs}
	if line.Lanes == 0 {
		line.Lanes = max(2, runtime.GOMAXPROCS(0))
	}
	line.Lanes = min(line.Lanes, len(form.Selections))
	if form.compressed() {
		line.Transforms = []pipeline.Stage{stored.Decompress}
	}
	return b, recovery.Unpacking{
		What: "backup " + string(b.ID) + " of server " + s.server.Name, Backup: b, Destination: request.Destination, Tablespaces: request.Tablespaces,
		Fill: func(ctx context.Context, target pipeline.Stage) error {
			arrived := arrivals{known: known, names: form.names()}
			err := s.engine.Restore(ctx, line, form.Selections, target, pipeline.Observer{Progress: request.Progress, Receipts: arrived.check})
			if err != nil {
				return ofTarget(err, target)
			}
			return arrived.complete()
		},
	}.Run(ctx)
}

// ofTarget tells what went wrong here from a store that is away: only that may
// pass by itself.
func ofTarget(err error, target pipeline.Stage) error {
	var failure *pipeline.Failure
	if errors.As(err, &failure) && failure.Of(target) && sdk.KindOf(err) == sdk.Unavailable {
		return sdk.Errorf(sdk.Denied, "%w", err)
	}
	return err
}

// chosen finds the backup that is meant.
func (s *Store) chosen(ctx context.Context, sink *pipeline.Sink, request RestoreRequest) (*catalogue.Backup, error) {
	c, err := s.read(ctx, sink)
	if err != nil {
		return nil, err
	}
	if request.Reference == Auto {
		return c.Choose(request.Target)
	}
	b, err := c.Resolve(request.Reference)
	switch {
	case err != nil:
		return nil, err
	case b.Type() == catalogue.TypeSnapshot:
		return nil, sdk.Errorf(sdk.Invalid, "backup %s is a snapshot of volumes, and cannot be restored by this version of barman: use Barman in Python", b.ID)
	case beingDeleted(b):
		return nil, s.busy(b)
	case !b.State.CopyDone():
		return nil, sdk.Errorf(sdk.NotFound, "backup %s of server %s is %s: only a complete one can be restored", b.ID, s.server.Name, b.State)
	}
	return b, nil
}

// layout is what the bucket holds of a backup.
type layout struct{ stored.Form }

// locate lists a backup's archives. What the bucket holds besides is left alone.
func (s *Store) locate(ctx context.Context, sink *pipeline.Sink, b *catalogue.Backup, logger hclog.Logger) (layout, map[string]catalogue.ObjectReceipt, error) {
	directory := catalogue.BackupPrefix(b.ID) + "data"
	var found []sdk.Object
	for object, err := range sink.List(ctx, directory+"/") {
		if err != nil {
			return layout{}, nil, err
		}
		_, suffix, isTar := strings.Cut(path.Base(object.Name), ".tar")
		switch {
		case path.Dir(object.Name) != directory:
		case isTar && suffix != "" && codec.OfSuffix(suffix) == "":
			logger.Warn("an object of a backup is left out, because its compression is not known", "object", object.Name)
		case isTar, path.Base(object.Name) == stored.ManifestName:
			found = append(found, object)
		}
	}
	form, err := stored.Arrange(found, b)
	if err != nil {
		return layout{}, nil, err
	}
	known, err := s.receiptsOf(ctx, sink, b.ID)
	if err != nil {
		return layout{}, nil, err
	}
	l := layout{form}
	for name := range known {
		if name == catalogue.ReceiptsObject(b.ID) {
			continue
		}
		if _, there := l.names()[name]; !there {
			return layout{}, nil, sdk.Errorf(sdk.Corrupt, "%s of backup %s was stored and is missing in the bucket: restore another backup", name, b.ID)
		}
	}
	return l, known, nil
}

// compressed tells whether any archive is.
func (l layout) compressed() bool {
	for _, s := range l.Selections {
		if s.Tar && !strings.HasSuffix(s.Name, ".tar") {
			return true
		}
	}
	return false
}

// names are the objects' names in the bucket, and the ones on their way.
func (l layout) names() map[string]string {
	names := map[string]string{}
	for _, s := range l.Selections {
		names[s.Name] = s.Rename
	}
	return names
}

// arrivals hold what was read of the bucket against what was stored.
type arrivals struct {
	known map[string]catalogue.ObjectReceipt // nil when nobody noted it
	names map[string]string
}

func (a *arrivals) check(receipts []sdk.Receipt) error {
	for _, r := range receipts {
		for stored, name := range a.names {
			if name != r.SourceName {
				continue
			}
			want, noted := a.known[stored]
			if noted && (want.StoredSize != r.SourceSize || want.StoredCRC32C != catalogue.Checksum(r.SourceCRC32C)) {
				return sdk.Errorf(sdk.Corrupt, "%s is not what was stored: the bucket gave %d bytes with the CRC-32C %s, %d with %s were stored; restore another backup",
					stored, r.SourceSize, catalogue.Checksum(r.SourceCRC32C), want.StoredSize, want.StoredCRC32C)
			}
			delete(a.names, stored)
			break
		}
	}
	return nil
}

func (a *arrivals) complete() error {
	for name := range a.names {
		return sdk.Errorf(sdk.Corrupt, "%s did not arrive", name)
	}
	return nil
}
