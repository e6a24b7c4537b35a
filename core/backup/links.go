package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
)

// linkTablespaces makes the links in pg_tblspc that pg_basebackup leaves in a
// backup of plain files, to where the backup has the tablespaces. Through them
// pg_verifybackup finds all files of the manifest, and with it the verify-backup
// of Python Barman. Recovery makes links of its own.
func (r *run) linkTablespaces() error {
	if r.archives || len(r.backup.Tablespaces) == 0 {
		return nil
	}
	directory := filepath.Join(r.server.Catalogue.Directory(r.backup.ID), "data", "pg_tblspc")
	for _, t := range r.backup.Tablespaces {
		oid := fmt.Sprint(t.OID)
		err := os.Symlink(filepath.Join("..", "..", oid), filepath.Join(directory, oid))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the files are not on this machine, or not in the catalogue
		}
		if err != nil {
			return fmt.Errorf("link to the backup's tablespace: %w", err)
		}
	}
	return durable.SyncDirectory(directory)
}
