package catalogue

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/durable"
)

// WithdrawnName is what backup.info is called in a backup's directory once
// Withdraw has taken the backup out of the catalogue.
const WithdrawnName = "withdrawn.info"

// Withdraw takes a backup out of the catalogue without needing room on its disk,
// for a deletion that is to make room: it is listed no more, and is one of the
// Leftovers, which Remove finishes. One that is not there is no error.
func (s *Server) Withdraw(id BackupID) error {
	if _, err := ParseBackupID(string(id)); err != nil {
		return s.wrap(err)
	}
	paths := s.infoPaths(id)
	names := [2]string{filepath.Join(s.Directory(id), WithdrawnName), s.annotationPaths(id, AnnotationDelete)[0]}
	// The old one first: it would count again without the other.
	for i, path := range paths {
		found, err := exists(path)
		if err == nil && found {
			if err = os.Rename(path, names[i]); err == nil {
				err = durable.SyncDirectory(filepath.Dir(path))
			}
		}
		if err != nil {
			return s.errorf(kindOf(err), "withdraw backup %s: %w", id, err)
		}
	}
	return nil
}

// Leftovers are what is in the catalogue's directories and belongs to no backup,
// in ascending order.
type Leftovers struct {
	// Deleting are backups that were withdrawn, or whose AnnotationDelete is all that
	// is known of them; their data may be there.
	Deleting []BackupID
	// Empty are directories that hold nothing.
	Empty []BackupID
	// Strays are directories that hold something.
	Strays []BackupID
}

// Leftovers looks for what belongs to no backup. While a backup begins, its
// directory may be empty: hold the backup lock before something is done about it.
func (s *Server) Leftovers() (Leftovers, error) {
	listed, err := s.IDs()
	if err != nil {
		return Leftovers{}, err
	}
	var l Leftovers
	names, err := readNames(s.metaDirectory())
	if err != nil {
		return Leftovers{}, s.wrap(err)
	}
	for _, name := range names {
		text, marked := strings.CutSuffix(name, "-"+string(AnnotationDelete))
		if id := BackupID(text); marked && id.Valid() && !slices.Contains(listed, id) {
			l.Deleting = append(l.Deleting, id)
		}
	}
	if names, err = readNames(s.layout.BasebackupsDirectory); err != nil {
		return Leftovers{}, s.wrap(err)
	}
	for _, name := range names {
		id := BackupID(name)
		if _, found := slices.BinarySearch(listed, id); !id.Valid() || found || slices.Contains(l.Deleting, id) {
			continue
		}
		if err := s.leftover(id, &l); err != nil {
			return Leftovers{}, s.wrap(err)
		}
	}
	slices.Sort(l.Deleting)
	return l, nil
}

// leftover tells what the directory of a backup is that is not listed.
func (s *Server) leftover(id BackupID, l *Leftovers) error {
	directory := s.Directory(id)
	if info, err := os.Lstat(directory); err != nil || !info.IsDir() {
		return err
	}
	names, err := readNames(directory)
	if err != nil {
		return err
	}
	marked, err := exists(s.annotationPaths(id, AnnotationDelete)[1])
	if err != nil {
		return err
	}
	switch {
	case marked || slices.Contains(names, WithdrawnName):
		l.Deleting = append(l.Deleting, id)
	case slices.ContainsFunc(names, func(name string) bool { return name != annotationsName && !unfinishedInfo(name) }):
		l.Strays = append(l.Strays, id)
	default:
		l.Empty = append(l.Empty, id)
	}
	return nil
}

// unfinishedInfo tells whether a file is what a killed process left of writing
// backup.info, Barman in Python included.
func unfinishedInfo(name string) bool {
	return durable.IsTemporary(name, infoName) || name == infoName+".tmp"
}

// HasPayload tells whether the directory in which a backup's data is by default
// is there. A snapshot has none.
func (s *Server) HasPayload(b *Backup) (bool, error) {
	if b.Type() == TypeSnapshot {
		return true, nil
	}
	data, err := s.DataDirectory(b.ID)
	if err != nil {
		return false, err
	}
	found, err := exists(data)
	if err != nil {
		return false, s.wrap(err)
	}
	return found, nil
}
