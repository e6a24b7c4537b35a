package files

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Target tells which files are wanted.
type Target string

// The targets are those of Python Barman.
const (
	// Data are the files of the backup itself.
	Data Target = "data"
	// Standalone are Data and the WAL from its begin to its end: all that it takes
	// to start a server from it.
	Standalone Target = "standalone"
	// WAL is the archived WAL from the backup's begin to the next backup's end, or
	// to the newest, with all history files.
	WAL Target = "wal"
	// Full is Data and WAL.
	Full Target = "full"
)

// Targets are all targets.
func Targets() []Target { return []Target{Standalone, Data, WAL, Full} }

// Request is what to list.
type Request struct {
	Backup *catalogue.Backup
	Target Target
	// EmptyDirectories lists directories that hold nothing, too.
	EmptyDirectories bool
}

// List yields absolute paths, in the order in which Python Barman has them: of
// each directory the files in order, then what is below it. What a sink
// elsewhere stores has the path there, if it is a directory of this machine, and
// else the name that the sink knows it by. An error ends the list.
func List(ctx context.Context, s *server.Server, request Request) iter.Seq2[string, error] {
	l := &listing{ctx: ctx, server: s, request: request, backup: request.Backup}
	return func(yield func(string, error) bool) {
		l.yield = yield
		if err := l.all(); err != nil && !errors.Is(err, errEnough) {
			yield("", err)
		}
	}
}

// errEnough tells that the caller wants no more.
var errEnough = errors.New("enough")

type listing struct {
	ctx     context.Context
	server  *server.Server
	request Request
	backup  *catalogue.Backup
	yield   func(string, error) bool
}

func (l *listing) all() error {
	if l.request.Target != WAL {
		if err := l.data(); err != nil {
			return err
		}
	}
	switch l.request.Target {
	case Standalone:
		return l.required()
	case WAL, Full:
		return l.archived()
	}
	return nil
}

func (l *listing) add(path string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if !l.yield(path, nil) {
		return errEnough
	}
	return nil
}

// data lists the backup itself.
func (l *listing) data() error {
	directory := l.server.Catalogue.Directory(l.backup.ID)
	if err := l.below(directory); err != nil {
		return err
	}
	data, err := l.server.Catalogue.DataDirectory(l.backup.ID)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(data); !errors.Is(err, fs.ErrNotExist) || l.server.Engine == nil {
		return err
	}
	return l.elsewhere()
}

// below lists a directory of this machine; one that does not exist is empty.
func (l *listing) below(directory string) error {
	d, err := os.Open(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return denied(err)
	}
	entries, err := d.ReadDir(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	var names, directories []string
	for _, entry := range entries {
		path := filepath.Join(directory, entry.Name())
		switch {
		case entry.IsDir():
			directories = append(directories, path)
		case entry.Type() == fs.ModeSymlink && leadsToDirectory(path):
			// It is neither a file nor followed.
		default:
			names = append(names, path)
		}
	}
	if len(entries) == 0 && l.request.EmptyDirectories {
		return l.add(directory)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := l.add(name); err != nil {
			return err
		}
	}
	for _, below := range directories {
		if err := l.below(below); err != nil {
			return err
		}
	}
	return nil
}

func leadsToDirectory(link string) bool {
	info, err := os.Stat(link)
	return err == nil && info.IsDir()
}

func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &sdk.Error{Kind: sdk.Denied, Err: err}
	}
	return err
}

// elsewhere lists what the first sink stores of the backup, unless that is what
// was listed.
func (l *listing) elsewhere() error {
	first := l.server.BackupSinks()[0]
	if first.Home {
		return nil
	}
	sink, err := l.server.Engine.OpenSink(l.ctx, l.server.ForStages(), first.Stage)
	if err != nil {
		return err
	}
	defer sink.Close()
	for object, err := range sink.List(l.ctx, "base/"+string(l.backup.ID)+"/") {
		if err != nil {
			return err
		}
		if catalogue.Describes(object.Name) {
			continue // the catalogue's own was listed
		}
		if object.Kind == sdk.KindDirectory && !l.request.EmptyDirectories {
			continue
		}
		if err := l.add(first.Path(object.Name)); err != nil {
			return err
		}
	}
	return nil
}

// required lists the WAL from the backup's begin to its end, by the names: it
// may not be archived yet.
func (l *listing) required() error {
	segments, err := l.backup.Segments()
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "server %s: %w", l.server.Name(), err)
	}
	size := l.backup.SegmentSize
	if size == 0 {
		size = wal.DefaultSegmentSize
	}
	for segment := range segments {
		name, err := wal.ParseName(segment.Name(size))
		if err == nil {
			err = l.wal(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// archived lists the WAL that the index of the archive has for the backup. A
// damaged line of the index is told of when all others are listed.
func (l *listing) archived() error {
	begin, err := l.backup.BeginSegment()
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "server %s: %w", l.server.Name(), err)
	}
	next, err := l.nextEnd()
	if err != nil {
		return err
	}
	var damage error
	for record, err := range l.server.Catalogue.WALRecords() {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return err
		}
		if err != nil {
			damage = cmp.Or(damage, err)
			continue
		}
		name := record.Name
		switch {
		case name.Kind == wal.KindHistory:
		case name.Kind != wal.KindSegment, name.Timeline > begin.Timeline, name.String() < l.backup.BeginWAL:
			continue
		case next != "" && name.String() > next:
			return damage
		}
		if err := l.wal(name); err != nil {
			return err
		}
	}
	return damage
}

func (l *listing) wal(name wal.Name) error {
	if l.server.WALStoredElsewhere() {
		return l.add(l.server.WALSinks()[0].Path(catalogue.WALObject(name)))
	}
	return l.add(l.server.Catalogue.WALPath(name))
}

// nextEnd is the end of the next complete backup; empty if there is none.
func (l *listing) nextEnd() (string, error) {
	for entry, err := range l.server.Catalogue.Entries() {
		if err != nil {
			return "", err
		}
		if b := entry.Backup; entry.ID > l.backup.ID && b != nil && b.State.CopyDone() {
			return b.EndWAL, nil
		}
	}
	return "", nil
}
