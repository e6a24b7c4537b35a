package catalogue

import (
	"errors"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// xlogDB returns the index in use and how many columns its lines have: the one
// named after the server if Barman 3.13 or later made it, else the one that
// earlier releases and this program keep, and which those releases can read.
func (s *Server) xlogDB() (path string, columns int, err error) {
	named := filepath.Join(s.layout.XlogDBDirectory, s.layout.Name+"-xlog.db")
	found, err := exists(named)
	if err != nil {
		return "", 0, s.wrap(err)
	}
	if found {
		return named, 5, nil
	}
	return filepath.Join(s.layout.WALsDirectory, "xlog.db"), 4, nil
}

// WALRecords yields the lines of xlog.db in the order of the file, which is
// that of archiving; one name may come twice. A damaged line is an error of
// kind Corrupt with file and line, after which the next line follows. Where
// there is no xlog.db, the records are derived from the files of the archive.
//
// It takes no lock: an append is one write, and a line that is being written
// is not yielded.
func (s *Server) WALRecords() iter.Seq2[WALRecord, error] {
	return func(yield func(WALRecord, error) bool) {
		path, _, err := s.xlogDB()
		if err != nil {
			yield(WALRecord{}, err)
			return
		}
		f, _, err := openRegular(path)
		if errors.Is(err, fs.ErrNotExist) {
			s.fileRecords()(yield)
			return
		}
		if err != nil {
			yield(WALRecord{}, s.wrap(err))
			return
		}
		goOn := true
		for r, err := range readRecords(f) {
			if err != nil {
				err = s.recordError(path, err)
			}
			if goOn = yield(r, err); !goOn {
				break
			}
		}
		if err := f.Close(); err != nil && goOn {
			yield(WALRecord{}, s.wrap(err))
		}
	}
}

func (s *Server) recordError(path string, err error) error {
	var damaged *lineError
	if errors.As(err, &damaged) {
		return s.errorf(sdk.Corrupt, "%s, %w: barman rebuild-xlogdb %s writes the file anew from the WAL archive", path, err, s.layout.Name)
	}
	return s.errorf(kindOf(err), "read %s: %w", path, err)
}

// HasRecord reports whether xlog.db has a line for the file. An archiver that
// finds its file archived already asks this: its predecessor may have died
// between storing the file and recording it. Damaged lines are passed over,
// WALRecords reports them. Cost: it reads the whole index.
func (s *Server) HasRecord(name wal.Name) (bool, error) {
	for r, err := range s.WALRecords() {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return false, err
		}
		if err == nil && r.Name.String() == name.String() {
			return true, nil
		}
	}
	return false, nil
}

// RecordOf derives the record of a file in the archive from the file itself:
// size, time, and the algorithms by which its content begins.
func (s *Server) RecordOf(name wal.Name) (record WALRecord, err error) {
	f, info, err := openRegular(s.WALPath(name))
	if err != nil {
		return WALRecord{}, s.wrap(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	record = WALRecord{Name: name, Size: info.Size(), ModTime: info.ModTime()}
	record.Compression, record.Encryption, err = identify(f)
	if err != nil {
		return WALRecord{}, s.errorf(kindOf(err), "read %s: %w", s.WALPath(name), err)
	}
	return record, nil
}

// fileRecords yields the record of every file of the archive that belongs in
// xlog.db. An error ends it.
func (s *Server) fileRecords() iter.Seq2[WALRecord, error] {
	return func(yield func(WALRecord, error) bool) {
		for file, err := range s.WALFiles() {
			if err != nil {
				yield(WALRecord{}, err)
				return
			}
			if file.Name.Kind == wal.KindPartial {
				continue
			}
			record, err := s.RecordOf(file.Name)
			if sdk.KindOf(err) == sdk.NotFound {
				continue // deleted since the directory was listed
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}
