package catalogue

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/durable"
)

// withdrawnName is what backup.info is called in a backup's directory once
// Withdraw has taken the backup out of the catalogue.
const withdrawnName = "withdrawn.info"

// Withdraw takes a backup out of the catalogue without needing room on its disk,
// for a deletion that is to make room: it is listed no more, and is a remnant
// that Remove finishes. One that is not there is no error.
func (s *Server) Withdraw(id BackupID) error {
	if _, err := ParseBackupID(string(id)); err != nil {
		return s.wrap(err)
	}
	paths := s.infoPaths(id)
	names := [2]string{filepath.Join(s.Directory(id), withdrawnName), s.annotationPaths(id, AnnotationDelete)[0]}
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

// Leftovers are what is in the catalogue's directories and belongs to no backup.
type Leftovers struct {
	// Remnants are backups whose deletion was interrupted when they were not listed
	// any more; Remove finishes it.
	Remnants []BackupID
	// Strays are directories that hold something and have no backup.info.
	Strays []BackupID
}

// Leftovers looks for what belongs to no backup, in ascending order. While a
// backup begins, its directory may look like a remnant: hold the backup lock
// before something is done about it.
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
			l.Remnants = append(l.Remnants, id)
		}
	}
	if names, err = readNames(s.layout.BasebackupsDirectory); err != nil {
		return Leftovers{}, s.wrap(err)
	}
	for _, name := range names {
		id := BackupID(name)
		if _, found := slices.BinarySearch(listed, id); !id.Valid() || found || slices.Contains(l.Remnants, id) {
			continue
		}
		switch remnant, err := s.isRemnant(id); {
		case err != nil:
			return Leftovers{}, s.wrap(err)
		case remnant:
			l.Remnants = append(l.Remnants, id)
		default:
			l.Strays = append(l.Strays, id)
		}
	}
	slices.Sort(l.Remnants)
	return l, nil
}

// isRemnant tells whether what is left of a backup that is not listed says that
// it was deleted: a note, or nothing at all.
func (s *Server) isRemnant(id BackupID) (bool, error) {
	directory := s.Directory(id)
	if info, err := os.Lstat(directory); err != nil || !info.IsDir() {
		return false, err
	}
	names, err := readNames(directory)
	if err != nil {
		return false, err
	}
	if slices.Contains(names, withdrawnName) {
		return true, nil
	}
	if marked, err := exists(s.annotationPaths(id, AnnotationDelete)[1]); err != nil || marked {
		return marked, err
	}
	return !slices.ContainsFunc(names, func(name string) bool { return name != annotationsName && !durable.IsTemporary(name, infoName) }), nil
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
