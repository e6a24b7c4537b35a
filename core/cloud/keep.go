package cloud

import (
	"bytes"
	"context"
	"errors"

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
	b, err := s.resolve(ctx, sink, reference)
	if err == nil {
		err = s.done(b)
	}
	if err != nil {
		return err
	}
	if err := s.put(ctx, keepObject(b.ID), []byte(how)); err != nil {
		return err
	}
	// Whoever deletes it says so in backup.info first, and looks for this note then: one
	// of the two sees the other.
	now, err := s.resolve(ctx, sink, string(b.ID))
	if err == nil {
		err = s.done(now)
	}
	if err != nil {
		return errors.Join(err, sink.Delete(ctx, []string{keepObject(b.ID)}))
	}
	return nil
}

// done tells why a backup cannot be kept.
func (s *Store) done(b *catalogue.Backup) error {
	switch {
	case beingDeleted(b):
		return s.busy(b)
	case b.State != catalogue.StateDone:
		return sdk.Errorf(sdk.Invalid, "backup %s of server %s is %s: only one that is DONE can be kept", b.ID, s.server.Name, b.State)
	}
	return nil
}

// busy is the error of whoever wants a backup that is being deleted.
func (s *Store) busy(b *catalogue.Backup) error {
	return sdk.Errorf(sdk.Busy, "backup %s of server %s is being deleted", b.ID, s.server.Name)
}

func (s *Store) resolve(ctx context.Context, sink *pipeline.Sink, reference string) (*catalogue.Backup, error) {
	c, err := s.read(ctx, sink)
	if err != nil {
		return nil, err
	}
	return c.Resolve(reference)
}

// save stores a backup's backup.info in place of an earlier one.
func (s *Store) save(ctx context.Context, b *catalogue.Backup) error {
	content, err := catalogue.FormatInfo(b)
	if err != nil {
		return err
	}
	return s.put(ctx, catalogue.InfoObject(b.ID), content)
}

// kept tells whether there is a note that a backup is kept.
func (s *Store) kept(ctx context.Context, sink *pipeline.Sink, id catalogue.BackupID) (bool, error) {
	for found, err := range sink.List(ctx, keepObject(id)) {
		if err != nil || found.Name == keepObject(id) {
			return err == nil, err
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
	b, err := s.resolve(ctx, sink, reference)
	if err != nil {
		return err
	}
	return sink.Delete(ctx, []string{keepObject(b.ID)})
}

// keepObject is the name of the note that a backup is kept.
func keepObject(id catalogue.BackupID) string {
	return catalogue.AnnotationObject(id, catalogue.AnnotationKeep)
}
