package catalogue

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// WALFile is a file that is in the WAL archive.
type WALFile struct {
	Name wal.Name
	Path string
}

// WALPath returns where the archive keeps a file: below a directory named after
// its first 16 digits, history files at the top. Compression and encryption
// leave no trace in the name.
func (s *Server) WALPath(name wal.Name) string {
	return filepath.Join(s.layout.WALsDirectory, name.HashDir(), filepath.Base(name.String()))
}

// Where every sink has the base backups and the WAL archive.
const (
	BackupsFolder = "base"
	WALFolder     = "wals"
)

// WALObject is the name of a WAL file in every sink.
func WALObject(name wal.Name) string {
	return path.Join(WALFolder, name.HashDir(), path.Base(name.String()))
}

// HasWAL reports whether the archive has a file. An empty one counts as
// missing: no WAL file is empty, compressed or not. Of an archive elsewhere the
// index tells.
func (s *Server) HasWAL(name wal.Name) (bool, error) {
	if s.layout.WALElsewhere {
		return s.indexed.has(s, name)
	}
	info, err := os.Lstat(s.WALPath(name))
	if err != nil {
		if found, existsErr := exists(s.WALPath(name)); existsErr == nil && !found {
			return false, nil
		}
		return false, s.wrap(err)
	}
	return info.Mode().IsRegular() && info.Size() > 0, nil
}

// HasSegment is HasWAL for a segment.
func (s *Server) HasSegment(segment wal.Segment, size wal.SegmentSize) (bool, error) {
	name, err := wal.ParseName(segment.Name(size))
	if err != nil {
		return false, s.wrap(err)
	}
	return s.HasWAL(name)
}

// MissingSegments yields the segments from a backup's begin to its end that the
// archive does not have, in ascending order. An error ends it.
func (s *Server) MissingSegments(b *Backup) iter.Seq2[wal.Name, error] {
	return func(yield func(wal.Name, error) bool) {
		segments, err := b.Segments()
		if err != nil {
			yield(wal.Name{}, s.wrap(err))
			return
		}
		for segment := range segments {
			name, err := wal.ParseName(segment.Name(b.segmentSize()))
			archived := false
			if err == nil {
				archived, err = s.HasWAL(name)
			}
			if archived {
				continue
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}

// WALFiles yields the files of the archive in ascending order of directory and
// name, as they are on disk: history files, segments, partial segments and
// backup history files. Whatever else lies there is passed over. An error ends
// the listing. One directory at a time is held in memory. Of an archive elsewhere
// it yields what the index lists; then all names are.
func (s *Server) WALFiles() iter.Seq2[WALFile, error] {
	return s.walFilesFrom("")
}

// walFilesFrom skips the directories that sort before first.
func (s *Server) walFilesFrom(first string) iter.Seq2[WALFile, error] {
	if s.layout.WALElsewhere {
		return s.recordedFiles(first)
	}
	return func(yield func(WALFile, error) bool) {
		for entry, err := range s.walEntries(first) {
			if err != nil {
				yield(WALFile{}, err)
				return
			}
			if entry.Name.Kind != 0 && !yield(entry, nil) {
				return
			}
		}
	}
}

// walEntries also yields what is no WAL file, with a zero Name.
func (s *Server) walEntries(first string) iter.Seq2[WALFile, error] {
	return func(yield func(WALFile, error) bool) {
		names, err := readNames(s.layout.WALsDirectory)
		if err != nil {
			yield(WALFile{}, s.wrap(err))
			return
		}
		for _, name := range names {
			path := filepath.Join(s.layout.WALsDirectory, name)
			switch {
			case isHashDir(name):
				if name < first {
					continue
				}
				if !s.hashDirEntries(name, yield) {
					return
				}
			default:
				n, err := wal.ParseName(name)
				if err != nil || n.Kind != wal.KindHistory {
					n = wal.Name{}
				}
				if !yield(WALFile{Name: n, Path: path}, nil) {
					return
				}
			}
		}
	}
}

func (s *Server) hashDirEntries(dir string, yield func(WALFile, error) bool) bool {
	path := filepath.Join(s.layout.WALsDirectory, dir)
	names, err := readHashDir(path)
	if err != nil {
		yield(WALFile{}, s.wrap(err))
		return false
	}
	for _, name := range names {
		n, err := wal.ParseName(name)
		if err != nil || n.HashDir() != dir {
			n = wal.Name{}
		}
		if !yield(WALFile{Name: n, Path: filepath.Join(path, name)}, nil) {
			return false
		}
	}
	return true
}

// readHashDir lists one directory of the archive.
func readHashDir(path string) ([]string, error) {
	if err := checkHashDir(path); err != nil {
		return nil, err
	}
	return readNames(path)
}

// checkHashDir refuses what is there in place of a directory of the archive: a
// link would show files of elsewhere as archived. That nothing is there is fine.
func checkHashDir(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return sdk.Errorf(sdk.Corrupt, "%s is not a directory: move it away, and put the WAL files that belong there in its place", path)
	}
	return nil
}

// isHashDir accepts 16 digits in the form Name.HashDir returns.
func isHashDir(name string) bool {
	n, err := wal.ParseName(name + "00000000")
	return err == nil && n.HashDir() == name
}

// NewestPerTimeline returns the last complete segment of each timeline that
// the archive has. Cost: the listing of one directory for each timeline, as a rule.
func (s *Server) NewestPerTimeline() (map[wal.Timeline]wal.Name, error) {
	if s.layout.WALElsewhere {
		newest, _, err := s.newestRecorded()
		return newest, err
	}
	dirs, err := readNames(s.layout.WALsDirectory)
	if err != nil {
		return nil, s.wrap(err)
	}
	newest := map[wal.Timeline]wal.Name{}
	for i := len(dirs) - 1; i >= 0; i-- {
		if !isHashDir(dirs[i]) {
			continue
		}
		n, err := wal.ParseName(dirs[i] + "00000000")
		if err != nil {
			return nil, s.wrap(err)
		}
		if _, found := newest[n.Timeline]; found {
			continue
		}
		names, err := readHashDir(filepath.Join(s.layout.WALsDirectory, dirs[i]))
		if err != nil {
			return nil, s.wrap(err)
		}
		for j := len(names) - 1; j >= 0; j-- {
			n, err := wal.ParseName(names[j])
			if err != nil || n.Kind != wal.KindSegment || n.HashDir() != dirs[i] {
				continue
			}
			has, err := s.HasWAL(n)
			if err != nil {
				return nil, err
			}
			if has {
				newest[n.Timeline] = n
				break
			}
		}
	}
	return newest, nil
}

// LatestTimeline returns the highest timeline the archive knows of, by its
// history files and segments; zero if it is empty.
func (s *Server) LatestTimeline() (wal.Timeline, error) {
	if s.layout.WALElsewhere {
		_, latest, err := s.newestRecorded()
		return latest, err
	}
	names, err := readNames(s.layout.WALsDirectory)
	if err != nil {
		return 0, s.wrap(err)
	}
	var latest wal.Timeline
	for _, name := range names {
		if n, err := wal.ParseName(name); err == nil && n.Kind == wal.KindHistory {
			latest = max(latest, n.Timeline)
		}
	}
	newest, err := s.NewestPerTimeline()
	if err != nil {
		return 0, err
	}
	for tli := range newest {
		latest = max(latest, tli)
	}
	return latest, nil
}

// compareNames orders by timeline, log and segment, whatever the case of the
// digits.
func compareNames(a, b wal.Name) int {
	return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.Log, b.Log), cmp.Compare(a.Seg, b.Seg))
}
