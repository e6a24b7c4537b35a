package sinks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Imported is what became of a backup that a sink describes.
type Imported struct {
	ID    catalogue.BackupID `json:"backup_id"`
	State catalogue.State    `json:"status"`
}

// Import takes into the catalogue the backups that one sink describes and the
// catalogue does not know, for a catalogue that was lost: their description only,
// their data stays where it is. Those whose deletion is noted are passed over. A
// description that cannot be read is no obstacle to the others: the error joins
// what could not be imported. label is that of the sink; empty stands for the
// first that is not the server's directory.
//
// Errors: Busy while a backup or a deletion of the server is under way; Invalid
// when there is no such sink.
func Import(ctx context.Context, s *server.Server, label string, dryRun bool) (imported []Imported, err error) {
	from, err := importable(s, label)
	if err != nil {
		return nil, err
	}
	if !dryRun {
		if err := s.Catalogue.CreateDirectories(); err != nil {
			return nil, err
		}
		lock, err := s.Catalogue.Lock(catalogue.LockBackup)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, lock.Release()) }()
	}
	sink, err := s.Engine.OpenSink(ctx, s.ForStages(), from.Stage)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	described, err := describedIn(ctx, sink)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, d := range described {
		_, err := s.Catalogue.Get(d.id)
		if sdk.KindOf(err) != sdk.NotFound {
			continue // known, though perhaps damaged: that is for somebody to look at
		}
		noted, err := s.Catalogue.LagOf(from.Label, d.id)
		if err != nil {
			return imported, err
		}
		if noted != nil && noted.Lacks == catalogue.LacksDeletion {
			continue
		}
		b, err := d.importInto(ctx, s, sink, from, dryRun)
		if err != nil {
			errs = append(errs, fmt.Errorf("backup %s: %w", d.id, err))
			continue
		}
		imported = append(imported, Imported{ID: b.ID, State: b.State})
	}
	return imported, errors.Join(errs...)
}

func importable(s *server.Server, label string) (server.Sink, error) {
	i := slices.IndexFunc(s.BackupSinks(), func(sink server.Sink) bool {
		return !sink.Home && (label == "" || sink.Label == label)
	})
	switch {
	case i < 0 && label == "":
		return server.Sink{}, sdk.Errorf(sdk.Invalid, "the backups of server %q go to its own directory alone: there is no sink elsewhere to read the catalogue from", s.Name())
	case i < 0:
		return server.Sink{}, sdk.Errorf(sdk.Invalid, "server %q has no sink %q elsewhere than in its own directory to read the catalogue from", s.Name(), label)
	}
	return s.BackupSinks()[i], nil
}

// description names what describes a backup in a sink.
type description struct {
	id             catalogue.BackupID
	receipts, keep bool
}

// describedIn lists the backups that a sink describes.
func describedIn(ctx context.Context, sink *pipeline.Sink) ([]description, error) {
	found := map[catalogue.BackupID]*description{}
	complete := map[catalogue.BackupID]bool{}
	for object, err := range sink.List(ctx, catalogue.BackupsFolder+"/") {
		if err != nil {
			return nil, err
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(object.Name, catalogue.BackupsFolder+"/"), "/")
		id := catalogue.BackupID(text)
		if !id.Valid() || !catalogue.Describes(object.Name) {
			continue
		}
		if found[id] == nil {
			found[id] = &description{id: id}
		}
		switch object.Name {
		case catalogue.InfoObject(id):
			complete[id] = true
		case catalogue.ReceiptsObject(id):
			found[id].receipts = true
		case catalogue.AnnotationObject(id, catalogue.AnnotationKeep):
			found[id].keep = true
		}
	}
	var all []description
	for id, d := range found {
		if complete[id] {
			all = append(all, *d)
		}
	}
	slices.SortFunc(all, func(a, b description) int { return cmp.Compare(a.id, b.id) })
	return all, nil
}

// importInto makes a backup known, backup.info last.
func (d description) importInto(ctx context.Context, s *server.Server, sink *pipeline.Sink, from server.Sink, dryRun bool) (*catalogue.Backup, error) {
	var content bytes.Buffer
	if err := read(ctx, sink, catalogue.InfoObject(d.id), catalogue.MaxInfo, &content); err != nil {
		return nil, err
	}
	b, err := catalogue.ParseInfo(d.id, content.Bytes())
	if err != nil || dryRun {
		return b, err
	}
	directory := s.Catalogue.Directory(d.id)
	if err := durable.MakeDirectory(directory); err != nil {
		return nil, err
	}
	if d.receipts {
		if err := d.importReceipts(ctx, s, sink); err != nil {
			return nil, err
		}
	}
	if d.keep {
		var text bytes.Buffer
		object := catalogue.AnnotationObject(d.id, catalogue.AnnotationKeep)
		if err := read(ctx, sink, object, maxNote, &text); err != nil {
			return nil, err
		}
		path := filepath.Join(directory, filepath.FromSlash(strings.TrimPrefix(object, catalogue.BackupPrefix(d.id))))
		if err := errors.Join(durable.MakeDirectory(filepath.Dir(path)), durable.WriteFile(path, text.Bytes(), 0o600)); err != nil {
			return nil, err
		}
	}
	if !from.Home && b.State.CopyDone() {
		if err := s.Catalogue.NoteHeld(from.Label, d.id); err != nil {
			return nil, err
		}
	}
	return b, s.Catalogue.Save(b)
}

// maxNote is far above what a note on a backup holds.
const maxNote = 4096

func (d description) importReceipts(ctx context.Context, s *server.Server, sink *pipeline.Sink) error {
	r, err := durable.NewReplacement(filepath.Join(s.Catalogue.Directory(d.id), catalogue.ReceiptsName), 0o600)
	if err != nil {
		return err
	}
	// There are as many lines as the backup has objects.
	if err := read(ctx, sink, catalogue.ReceiptsObject(d.id), 1<<40, r); err != nil {
		return errors.Join(err, r.Abort())
	}
	return r.Commit()
}

// read copies an object of at most limit bytes.
func read(ctx context.Context, sink *pipeline.Sink, object string, limit int64, to io.Writer) error {
	return sink.Read(ctx, []host.Selection{{Name: object, Verbatim: true}}, 1, func(_ context.Context, _ sdk.Object, content io.Reader) error {
		n, err := io.Copy(to, io.LimitReader(content, limit+1))
		if err == nil && n > limit {
			err = sdk.Errorf(sdk.Corrupt, "%s has more than %d bytes, which this kind of object never has", object, limit)
		}
		return err
	})
}
