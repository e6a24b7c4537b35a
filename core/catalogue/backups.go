package catalogue

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	infoName   = "backup.info"
	infoSuffix = "-backup.info"
)

// Entry is one backup in a listing: what its backup.info says, or why that
// cannot be read.
type Entry struct {
	ID BackupID
	// Backup is nil if and only if Err is not.
	Backup *Backup
	Err    error
}

// Entries yields the backups in ascending order of their IDs. A damaged
// backup.info is an Entry with an Err; the error beside an entry means that the
// directory itself cannot be read, and ends the listing. Cost: one directory
// listing, then one small file for each backup, read when it is its turn.
func (s *Server) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		ids, err := s.IDs()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, id := range ids {
			b, err := s.Get(id)
			if sdk.KindOf(err) == sdk.NotFound {
				continue // deleted since the directory was listed
			}
			if !yield(Entry{ID: id, Backup: b, Err: err}, nil) {
				return
			}
		}
	}
}

// IDs returns the IDs of all backups in ascending order: the directories below
// BasebackupsDirectory that hold a backup.info, and the files of meta/.
func (s *Server) IDs() ([]BackupID, error) {
	var ids []BackupID
	base, err := readNames(s.layout.BasebackupsDirectory)
	if err != nil {
		return nil, s.wrap(err)
	}
	for _, name := range base {
		id := BackupID(name)
		if !id.Valid() {
			continue
		}
		registered, err := exists(filepath.Join(s.Directory(id), infoName))
		// What cannot be looked into is listed, so that Get can say why.
		if registered || err != nil || refuseLink(s.Directory(id)) != nil {
			ids = append(ids, id)
		}
	}
	meta, err := readNames(s.metaDirectory())
	if err != nil {
		return nil, s.wrap(err)
	}
	for _, name := range meta {
		if id, ok := strings.CutSuffix(name, infoSuffix); ok && BackupID(id).Valid() {
			ids = append(ids, BackupID(id))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Get reads one backup. It is an error of kind NotFound when there is none of
// that ID, and of kind Corrupt, with file and line, when it cannot be read.
func (s *Server) Get(id BackupID) (*Backup, error) {
	if _, err := ParseBackupID(string(id)); err != nil {
		return nil, s.wrap(err)
	}
	path, err := s.infoPathForReading(id)
	if err != nil {
		return nil, s.wrap(err)
	}
	content, err := readFile(path, maxInfoSize)
	if err != nil {
		if kindOf(err) == sdk.NotFound {
			return nil, s.errorf(sdk.NotFound, "there is no backup %s: list-backups shows which there are", id)
		}
		return nil, s.errorf(kindOf(err), "backup %s: %w", id, err)
	}
	b, err := parseInfo(content)
	if unknown := new(unknownFieldError); errors.As(err, &unknown) {
		return nil, s.errorf(sdk.Corrupt, "backup %s: %s, %w; use the version that wrote it, or a newer barman", id, path, err)
	}
	if err != nil {
		return nil, s.errorf(sdk.Corrupt, "backup %s: %s, %w; put a copy from before the damage in its place, or correct that line", id, path, err)
	}
	b.ID = id
	return b, nil
}

// Save makes what is known of a backup durable: backup.info holds the old
// content or the new one, whatever happens. A backup that cannot be represented
// in the file is an error of kind Invalid, and changes nothing.
//
// The file is base/<id>/backup.info, or meta/<id>-backup.info in a catalogue
// that has meta/ because Barman 3.13 or later has written to it.
func (s *Server) Save(b *Backup) error {
	if _, err := ParseBackupID(string(b.ID)); err != nil {
		return s.wrap(err)
	}
	content, err := formatInfo(b)
	if err != nil {
		return s.errorf(sdk.Invalid, "backup %s: %w", b.ID, err)
	}
	if len(content) > maxInfoSize {
		return s.errorf(sdk.Invalid, "backup %s: %s has %s, more than can be read again", b.ID, infoName, PrettySize(int64(len(content))))
	}
	path, err := s.infoPathForWriting(b.ID)
	if err == nil {
		err = durable.WriteFile(path, content, fileMode)
	}
	if err != nil {
		return s.errorf(kindOf(err), "save backup %s: %w", b.ID, err)
	}
	return nil
}

// Create registers a new backup, EMPTY, with the ID of now, and its directory.
// If that ID is taken, by a backup that failed within the second, it is that of
// one of the next few seconds.
func (s *Server) Create(now time.Time) (*Backup, error) {
	const attempts = 10
	if err := durable.MakeDirectory(s.layout.BasebackupsDirectory); err != nil {
		return nil, s.wrap(err)
	}
	for i := range attempts {
		id := NewBackupID(now.Add(time.Duration(i) * time.Second))
		taken, err := exists(s.metaInfoPath(id))
		if err != nil {
			return nil, s.wrap(err)
		}
		if taken {
			continue
		}
		err = os.Mkdir(s.Directory(id), directoryMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, s.errorf(kindOf(err), "create backup %s: %w", id, err)
		}
		b := &Backup{ID: id, Server: s.layout.Name, State: StateEmpty, SegmentSize: wal.DefaultSegmentSize}
		if err := errors.Join(durable.SyncDirectory(s.layout.BasebackupsDirectory), s.Save(b)); err != nil {
			return nil, err
		}
		return b, nil
	}
	return nil, s.errorf(sdk.Exists, "backup %s and the %d after it exist already: check the host's clock", NewBackupID(now), attempts-1)
}

// Directory returns where the backup's files are, base/<id>.
func (s *Server) Directory(id BackupID) string {
	return filepath.Join(s.layout.BasebackupsDirectory, filepath.Base(string(id)))
}

// DataDirectory returns where the copy of the data directory, or the tar files,
// are: data, or pgdata in a backup of before Barman 1.4.
func (s *Server) DataDirectory(id BackupID) (string, error) {
	old := filepath.Join(s.Directory(id), "pgdata")
	found, err := exists(old)
	if err != nil {
		return "", s.wrap(err)
	}
	if found {
		return old, nil
	}
	return filepath.Join(s.Directory(id), "data"), nil
}

// TablespaceDirectory returns where the copy of a tablespace is. An OID that b
// does not have is an error of kind NotFound.
func (s *Server) TablespaceDirectory(b *Backup, oid uint32) (string, error) {
	if !slices.ContainsFunc(b.Tablespaces, func(ts Tablespace) bool { return ts.OID == oid }) {
		return "", s.errorf(sdk.NotFound, "backup %s has no tablespace %d", b.ID, oid)
	}
	data, err := s.DataDirectory(b.ID)
	if err != nil {
		return "", err
	}
	name := strconv.FormatUint(uint64(oid), 10)
	if filepath.Base(data) == "pgdata" {
		return filepath.Join(data, "pg_tblspc", name), nil
	}
	return filepath.Join(s.Directory(b.ID), name), nil
}

func (s *Server) metaDirectory() string { return filepath.Join(s.layout.BackupDirectory, "meta") }

func (s *Server) metaInfoPath(id BackupID) string {
	return filepath.Join(s.metaDirectory(), string(id)+infoSuffix)
}

// InfoPath returns where a backup's backup.info is.
func (s *Server) InfoPath(id BackupID) (string, error) {
	path, err := s.infoPathForReading(id)
	if err != nil {
		return "", s.wrap(err)
	}
	return path, nil
}

// infoPathForReading prefers meta/, where newer releases of Barman write and
// leave the file in base/ as it was.
func (s *Server) infoPathForReading(id BackupID) (string, error) {
	meta := s.metaInfoPath(id)
	found, err := exists(meta)
	if err != nil {
		return "", err
	}
	if found {
		return meta, nil
	}
	return filepath.Join(s.Directory(id), infoName), refuseLink(s.Directory(id))
}

func (s *Server) infoPathForWriting(id BackupID) (string, error) {
	meta, err := s.hasMeta()
	if err != nil {
		return "", err
	}
	if meta {
		return s.metaInfoPath(id), nil
	}
	if err := refuseLink(s.Directory(id)); err != nil {
		return "", err
	}
	return filepath.Join(s.Directory(id), infoName), durable.MakeDirectory(s.Directory(id))
}

// hasMeta tells whether Barman 3.13 or later has written to the catalogue.
func (s *Server) hasMeta() (bool, error) {
	info, err := os.Stat(s.metaDirectory())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

// refuseLink returns an error if path is a symbolic link: what lies behind it
// is not in the catalogue. A missing path is none.
func refuseLink(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return sdk.Errorf(sdk.Corrupt, "%s is a symbolic link: a backup is a directory of its own; move or mount the directory there", path)
	}
	return nil
}

// readNames lists a directory in order; one that does not exist is empty.
func readNames(path string) ([]string, error) {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}
