package catalogue

import (
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// The archive of a server may be a file system of its own. Where that is not
// mounted an empty directory is in its place, and WAL archived there would be
// missing later. So a file outside of the archive tells that there is one.

// markName is the file's name in the server's directory. Programs that do not
// know it pass it over.
const markName = ".wal-archive"

func (s *Server) markPath() string { return filepath.Join(s.layout.BackupDirectory, markName) }

// mark notes that the server has a WAL archive.
func (s *Server) mark() error {
	marked, err := exists(s.markPath())
	if err != nil || marked {
		return err
	}
	text := "This server has a WAL archive in " + s.layout.WALsDirectory + ".\n"
	return durable.WriteFile(s.markPath(), []byte(text), fileMode)
}

// missesArchive refuses to begin a new archive in an empty directory where there
// must be one already: it was marked, or a backup is DONE, which only archived WAL
// makes it. The error is of kind Unavailable.
func (s *Server) missesArchive() error {
	for file, err := range s.WALFiles() {
		if err != nil {
			return err
		}
		if file.Name.Kind != wal.KindPartial {
			return nil
		}
	}
	if s.layout.WALElsewhere {
		return s.missesIndex()
	}
	why := ""
	switch marked, err := exists(s.markPath()); {
	case err != nil:
		return err
	case marked:
		why = "WAL was archived there"
	default:
		done, err := s.anyDone()
		if err != nil || done == "" {
			return err
		}
		why = "backup " + string(done) + " has all of its WAL there"
	}
	return sdk.Errorf(sdk.Unavailable, "the WAL archive %s is empty, though %s: mount its file system. If the archive is lost for good, "+
		"barman rebuild-xlogdb %s begins a new one", s.layout.WALsDirectory, why, s.layout.Name)
}

// missesIndex is missesArchive for an archive elsewhere, of which only the index
// tells what it holds.
func (s *Server) missesIndex() error {
	marked, err := exists(s.markPath())
	if err != nil {
		return err
	}
	done, err := s.anyDone()
	if err != nil || !marked && done == "" {
		return err
	}
	return sdk.Errorf(sdk.Unavailable, "the index of the WAL archive is missing: barman rebuild-xlogdb %s writes it anew from what is stored", s.layout.Name)
}

// anyDone returns a backup whose WAL was archived; empty for none.
func (s *Server) anyDone() (BackupID, error) {
	for entry, err := range s.Entries() {
		if err != nil {
			return "", err
		}
		if entry.Backup != nil && entry.Backup.State == StateDone {
			return entry.ID, nil
		}
	}
	return "", nil
}
