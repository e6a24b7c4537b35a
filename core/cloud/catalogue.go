package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Catalogue is what a bucket knew of a server's backups at one moment.
type Catalogue struct {
	// Entries are the backups in ascending order of their IDs, those whose
	// backup.info is damaged included. What has no backup.info is none: a backup is
	// being taken, or was when that was interrupted.
	Entries []catalogue.Entry

	server string
	keep   map[catalogue.BackupID]string
}

// Catalogue reads all that the bucket knows of the server's backups: one listing
// and a small object for each. A server that nothing is known of has no backups.
func (s *Store) Catalogue(ctx context.Context) (*Catalogue, error) {
	sink, err := s.engine.OpenSink(ctx, s.server, s.sink)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	return s.read(ctx, sink)
}

// readingLanes is how many small objects are read side by side.
const readingLanes = 4

// read reads the catalogue, anew when somebody deletes what was listed.
func (s *Store) read(ctx context.Context, sink *pipeline.Sink) (*Catalogue, error) {
	const attempts = 5
	var err error
	for range attempts {
		var c *Catalogue
		if c, err = s.readOnce(ctx, sink); err == nil || sdk.KindOf(err) != sdk.NotFound || errors.As(err, new(*listingError)) {
			return c, err
		}
	}
	return nil, err
}

// listingError is an error of the listing itself: what was not found is the bucket.
type listingError struct{ error }

func (e *listingError) Unwrap() error { return e.error }

func (s *Store) readOnce(ctx context.Context, sink *pipeline.Sink) (*Catalogue, error) {
	names, err := descriptions(ctx, sink)
	if err != nil {
		return nil, &listingError{err}
	}
	found, err := readSmall(ctx, sink, names)
	if err != nil {
		return nil, err
	}
	c := &Catalogue{server: s.server.Name, keep: map[catalogue.BackupID]string{}}
	for _, name := range names { // in order
		id, rest := ownerOf(name)
		switch rest {
		case infoOf:
			b, err := catalogue.ParseInfo(id, found[name])
			c.Entries = append(c.Entries, catalogue.Entry{ID: id, Backup: b, Err: err})
		case keepOf:
			c.keep[id] = note(found[name])
		}
	}
	return c, nil
}

// note is the first line of an annotation.
func note(content []byte) string {
	first, _, _ := strings.Cut(strings.TrimSpace(string(content)), "\n")
	return strings.TrimSpace(first)
}

// What describes a backup, by the names behind its prefix.
const (
	infoOf = "backup.info"
	keepOf = "annotations/" + string(catalogue.AnnotationKeep)
)

// ownerOf splits the name of an object into a backup's ID and the rest; the ID is
// empty when it is no backup's.
func ownerOf(name string) (catalogue.BackupID, string) {
	rest, below := strings.CutPrefix(name, catalogue.BackupsFolder+"/")
	id, rest, within := strings.Cut(rest, "/")
	if !below || !within || !catalogue.BackupID(id).Valid() {
		return "", ""
	}
	return catalogue.BackupID(id), rest
}

// descriptions lists what describes backups, and leaves out their data.
func descriptions(ctx context.Context, sink *pipeline.Sink) ([]string, error) {
	var names []string
	for object, err := range sink.List(ctx, catalogue.BackupsFolder+"/") {
		if err != nil {
			return nil, err
		}
		if _, rest := ownerOf(object.Name); rest == infoOf || rest == keepOf {
			names = append(names, object.Name)
		}
	}
	return names, nil
}

// readSmall reads objects whole that have a few kilobytes.
func readSmall(ctx context.Context, sink *pipeline.Sink, names []string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(names))
	if len(names) == 0 {
		return found, nil
	}
	selections := make([]host.Selection, len(names))
	for i, name := range names {
		selections[i].Name = name
	}
	var mu sync.Mutex
	err := sink.Read(ctx, selections, min(readingLanes, len(names)), func(_ context.Context, o sdk.Object, r io.Reader) error {
		var content bytes.Buffer
		if _, err := io.Copy(&content, io.LimitReader(r, catalogue.MaxInfo+1)); err != nil {
			return err
		}
		if content.Len() > catalogue.MaxInfo {
			return sdk.Errorf(sdk.Corrupt, "%s has more than %d bytes", o.Name, catalogue.MaxInfo)
		}
		mu.Lock()
		defer mu.Unlock()
		found[o.Name] = content.Bytes()
		return nil
	})
	return found, err
}

// Keep is how a backup is kept, empty if it is not.
func (c *Catalogue) Keep(id catalogue.BackupID) string { return c.keep[id] }

// Verdict is what a list shows of how a backup is kept.
func (c *Catalogue) Verdict(id catalogue.BackupID) string {
	switch c.keep[id] {
	case "":
		return ""
	case catalogue.KeepStandalone:
		return string(retention.KeptStandalone)
	}
	return string(retention.KeptFull)
}

// Damaged are the backups whose backup.info cannot be read.
func (c *Catalogue) Damaged() []catalogue.Entry {
	var damaged []catalogue.Entry
	for _, entry := range c.Entries {
		if entry.Err != nil {
			damaged = append(damaged, entry)
		}
	}
	return damaged
}

// Find returns the backup of an ID, false if there is none.
func (c *Catalogue) Find(id catalogue.BackupID) (catalogue.Entry, bool) {
	for _, entry := range c.Entries {
		if entry.ID == id {
			return entry, true
		}
	}
	return catalogue.Entry{}, false
}

// UnknownIDError says that there is no backup of an ID.
type UnknownIDError struct {
	ID     catalogue.BackupID
	Server string
}

func (e *UnknownIDError) Error() string {
	return "there is no backup " + string(e.ID) + " of server " + e.Server + " in the bucket"
}

// Unwrap makes its kind NotFound.
func (e *UnknownIDError) Unwrap() error { return &sdk.Error{Kind: sdk.NotFound, Err: errNoBackup} }

var errNoBackup = errors.New("no such backup")

// Resolve finds the backup that is meant by an ID, a shortcut or a name. A name
// that no complete backup has may be that of one that failed.
//
// Errors: *UnknownIDError; of kind Corrupt when the backup cannot be read, NotFound,
// and Invalid for a name that several have.
func (c *Catalogue) Resolve(reference string) (*catalogue.Backup, error) {
	if id := catalogue.BackupID(reference); id.Valid() {
		entry, found := c.Find(id)
		if !found {
			return nil, &UnknownIDError{id, c.server}
		}
		return entry.Backup, entry.Err
	}
	b, err := catalogue.Meant(reference, c.Entries)
	if sdk.KindOf(err) != sdk.NotFound {
		return b, err
	}
	for _, entry := range slices.Backward(c.Entries) {
		if entry.Backup != nil && entry.Backup.Name == reference {
			return entry.Backup, nil
		}
	}
	text := "barman-cloud-backup-list shows which there are"
	if damaged := c.Damaged(); len(damaged) > 0 {
		text = "some cannot be read: " + damaged[0].Err.Error()
	}
	return nil, sdk.Errorf(sdk.NotFound, "no backup of server %s in the bucket is meant by %q: %s", c.server, reference, text)
}
