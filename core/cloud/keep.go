package cloud

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

// put stores a small object in place of an earlier one.
func (s *Store) put(ctx context.Context, name string, content []byte) error {
	writer, err := s.engine.OpenWriter(ctx, pipeline.Line{Server: s.server, Sinks: []pipeline.Stage{s.sink}}, pipeline.Observer{})
	if err != nil {
		return err
	}
	o := sdk.Object{Name: name, Kind: sdk.KindFile, Size: int64(len(content)), Replace: true}
	_, err = writer.Put(ctx, o, bytes.NewReader(content))
	return errors.Join(err, writer.Close())
}

// Keep has a backup kept whatever a policy says, catalogue.KeepFull or
// KeepStandalone. Errors: those of Catalogue.Resolve; Invalid for a backup that is
// not complete, Busy for one that is being deleted.
func (s *Store) Keep(ctx context.Context, reference, how string) error {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	b, c, err := s.resolve(ctx, sink, reference)
	switch {
	case err != nil:
		return err
	case b.State != catalogue.StateDone:
		return sdk.Errorf(sdk.Invalid, "backup %s of server %s is %s: only one that is DONE can be kept", b.ID, s.server.Name, b.State)
	case c.deleting[b.ID]:
		return s.beingDeleted(b.ID)
	}
	keep := catalogue.AnnotationObject(b.ID, catalogue.AnnotationKeep)
	if err := s.put(ctx, keep, []byte(how)); err != nil {
		return err
	}
	// Whoever deletes it notes that first, and looks for this note then: one of the
	// two sees the other.
	begun, err := s.noted(ctx, sink, b.ID, catalogue.AnnotationDelete)
	if err != nil || !begun {
		return err
	}
	return errors.Join(s.beingDeleted(b.ID), sink.Delete(ctx, []string{keep}))
}

func (s *Store) beingDeleted(id catalogue.BackupID) error {
	return sdk.Errorf(sdk.Busy, "backup %s of server %s is being deleted", id, s.server.Name)
}

func (s *Store) resolve(ctx context.Context, sink *pipeline.Sink, reference string) (*catalogue.Backup, *Catalogue, error) {
	c, err := s.read(ctx, sink)
	if err != nil {
		return nil, nil, err
	}
	b, err := c.Resolve(reference)
	return b, c, err
}

// noted tells whether there is a note on a backup.
func (s *Store) noted(ctx context.Context, sink *pipeline.Sink, id catalogue.BackupID, name catalogue.Annotation) (bool, error) {
	object := catalogue.AnnotationObject(id, name)
	for found, err := range sink.List(ctx, object) {
		if err != nil {
			return false, err
		}
		if found.Name == object {
			return true, nil
		}
		if !strings.HasPrefix(found.Name, object) {
			break
		}
	}
	return false, nil
}

// LetGo undoes Keep. A backup that is not kept is no error.
func (s *Store) LetGo(ctx context.Context, reference string) error {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	b, _, err := s.resolve(ctx, sink, reference)
	if err != nil {
		return err
	}
	return sink.Delete(ctx, []string{catalogue.AnnotationObject(b.ID, catalogue.AnnotationKeep)})
}
