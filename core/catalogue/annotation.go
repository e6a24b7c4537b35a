package catalogue

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Annotation is the name of a note on a backup, kept in a file of its own.
type Annotation string

const (
	// AnnotationKeep says that a backup is kept whatever the policy: KeepFull or
	// KeepStandalone.
	AnnotationKeep Annotation = "keep"
	// AnnotationDelete says that the deletion of a backup has begun.
	AnnotationDelete Annotation = "delete_this"
)

const (
	// KeepFull keeps a backup with all WAL from its begin on.
	KeepFull = "full"
	// KeepStandalone keeps a backup with the WAL that it needs itself.
	KeepStandalone = "standalone"
	// Deleting is the content of AnnotationDelete.
	Deleting = "delete"
)

// annotationsName is the directory of a backup's notes before Barman 3.13.3.
const annotationsName = "annotations"

// maxAnnotation is far above what an annotation holds.
const maxAnnotation = 4096

// Annotation returns a note on a backup; empty if there is none.
func (s *Server) Annotation(id BackupID, name Annotation) (string, error) {
	if _, err := ParseBackupID(string(id)); err != nil {
		return "", s.wrap(err)
	}
	for _, path := range s.annotationPaths(id, name) {
		content, err := readFile(path, maxAnnotation)
		if kindOf(err) == sdk.NotFound {
			continue
		}
		if err != nil {
			return "", s.errorf(kindOf(err), "backup %s: %w", id, err)
		}
		if text := strings.TrimSpace(string(content)); text != "" {
			return text, nil
		}
	}
	return "", nil
}

// Annotate makes a note on a backup durable, in place of an earlier one. It is
// where backup.info is written: meta/<id>-<name> in a catalogue that has meta/,
// else base/<id>/annotations/<name>. A backup that does not exist is an error of
// kind NotFound.
func (s *Server) Annotate(id BackupID, name Annotation, text string) error {
	if _, err := s.Get(id); err != nil && sdk.KindOf(err) != sdk.Corrupt {
		return err
	}
	meta, err := s.hasMeta()
	if err != nil {
		return s.wrap(err)
	}
	paths := s.annotationPaths(id, name)
	path := paths[1]
	if meta {
		path = paths[0]
	}
	if err := durable.MakeDirectory(filepath.Dir(path)); err != nil {
		return s.errorf(kindOf(err), "annotate backup %s: %w", id, err)
	}
	if err := durable.WriteFile(path, []byte(text), fileMode); err != nil {
		return s.errorf(kindOf(err), "annotate backup %s: %w", id, err)
	}
	return nil
}

// RemoveAnnotation removes a note durably; a missing one is no error.
func (s *Server) RemoveAnnotation(id BackupID, name Annotation) error {
	if _, err := ParseBackupID(string(id)); err != nil {
		return s.wrap(err)
	}
	var errs []error
	for _, path := range s.annotationPaths(id, name) {
		found, err := exists(path)
		if err == nil && found {
			err = durable.Remove(path)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return s.errorf(kindOf(err), "backup %s: remove the annotation %s: %w", id, name, err)
	}
	return nil
}

// annotationPaths are where a note may be: where releases from 3.13 on write,
// and where earlier ones do.
func (s *Server) annotationPaths(id BackupID, name Annotation) [2]string {
	return [2]string{
		filepath.Join(s.metaDirectory(), string(id)+"-"+string(name)),
		filepath.Join(s.Directory(id), annotationsName, string(name)),
	}
}
