package catalogue

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// Measure returns how many bytes the files of a backup have, and how many of
// them are in files that no other backup shares by a hard link. Metadata of the
// catalogue beside the data counts as well, as it does in Barman.
func (s *Server) Measure(id BackupID) (size, deduplicated int64, err error) {
	if _, err := ParseBackupID(string(id)); err != nil {
		return 0, 0, s.wrap(err)
	}
	err = filepath.WalkDir(s.Directory(id), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Nlink <= 1 {
			deduplicated += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0, 0, s.errorf(kindOf(err), "measure backup %s: %w", id, err)
	}
	return size, deduplicated, nil
}
