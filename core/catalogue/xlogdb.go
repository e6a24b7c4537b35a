package catalogue

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
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
// there is no xlog.db, the records are derived from the files of the archive, if
// that is on this machine.
//
// It takes no lock: an append is one write, and a line that is being written
// is not yielded.
func (s *Server) WALRecords() iter.Seq2[WALRecord, error] {
	return s.recordsFrom(func(*os.File, fs.FileInfo) error { return nil })
}

// recentSize is how much of xlog.db counts as recent: some four thousand lines.
const recentSize = 256 << 10

// RecentRecords yields the last lines of xlog.db, some thousands, as WALRecords
// does all of them. Its cost does not depend on the size of the archive, as long
// as there is an xlog.db.
func (s *Server) RecentRecords() iter.Seq2[WALRecord, error] {
	return s.recordsFrom(func(f *os.File, info fs.FileInfo) error {
		if info.Size() <= recentSize {
			return nil
		}
		if _, err := f.Seek(info.Size()-recentSize, io.SeekStart); err != nil {
			return err
		}
		return toNextLine(f)
	})
}

// toNextLine moves a file behind the line that it is in.
func toNextLine(f *os.File) error {
	piece := make([]byte, maxRecordSize)
	n, err := f.Read(piece)
	if err != nil {
		return err
	}
	// Without a newline the rest of the line is a damaged one.
	after := bytes.IndexByte(piece[:n], '\n') + 1
	_, err = f.Seek(int64(after-n), io.SeekCurrent)
	return err
}

// recordsFrom yields the lines of xlog.db from where position puts it.
func (s *Server) recordsFrom(position func(*os.File, fs.FileInfo) error) iter.Seq2[WALRecord, error] {
	return func(yield func(WALRecord, error) bool) {
		path, _, err := s.xlogDB()
		if err != nil {
			yield(WALRecord{}, err)
			return
		}
		f, info, err := openRegular(path)
		if errors.Is(err, fs.ErrNotExist) {
			if !s.layout.WALElsewhere {
				s.fileRecords()(yield)
			}
			return
		}
		if err != nil {
			yield(WALRecord{}, s.wrap(err))
			return
		}
		if err := position(f, info); err != nil {
			yield(WALRecord{}, s.wrap(errors.Join(err, f.Close())))
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

// HasRecord reports whether xlog.db has a line for the file. Damaged lines are
// passed over, WALRecords reports them. It looks among the recent lines first;
// for an older file, or one without a line, it reads the whole index.
func (s *Server) HasRecord(name wal.Name) (bool, error) {
	for _, records := range []iter.Seq2[WALRecord, error]{s.RecentRecords(), s.WALRecords()} {
		for r, err := range records {
			if err != nil && sdk.KindOf(err) != sdk.Corrupt {
				return false, err
			}
			if err == nil && r.Name.String() == name.String() {
				return true, nil
			}
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
	record.Compression, record.Encryption, err = s.identify(f)
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
