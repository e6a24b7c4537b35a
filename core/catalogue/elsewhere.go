package catalogue

import (
	"cmp"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sync"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// indexed is what is known of an archive elsewhere: a hash of each name that its
// index lists. What the index gets meanwhile is added, without reading it anew.
type indexed struct {
	mu    sync.Mutex
	file  fs.FileInfo // the index that was read; nil for none
	end   int64       // up to where
	seed  maphash.Seed
	names map[uint64]struct{}
}

func (r *indexed) has(s *Server, name wal.Name) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(s); err != nil || r.file == nil {
		return false, err
	}
	_, found := r.names[maphash.String(r.seed, name.String())]
	return found, nil
}

// refresh reads what of the index was not read yet.
func (r *indexed) refresh(s *Server) (err error) {
	path, _, err := s.xlogDB()
	if err != nil {
		return err
	}
	f, info, err := openRegular(path)
	if kindOf(err) == sdk.NotFound {
		r.file, r.names = nil, nil
		return nil
	}
	if err != nil {
		return s.wrap(err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = s.wrap(closeErr)
		}
	}()
	if r.file == nil || !os.SameFile(r.file, info) || info.Size() < r.end {
		r.end, r.seed, r.names = 0, maphash.MakeSeed(), map[uint64]struct{}{}
	}
	r.file = info
	if info.Size() == r.end {
		return nil
	}
	end, _, err := completeEnd(f, info.Size())
	if err != nil {
		return s.errorf(kindOf(err), "read %s: %w", path, err)
	}
	if _, err := f.Seek(r.end, io.SeekStart); err != nil {
		return s.wrap(err)
	}
	for record, err := range readRecords(io.LimitReader(f, end-r.end)) {
		if err != nil {
			if err = s.recordError(path, err); sdk.KindOf(err) == sdk.Corrupt {
				continue // such a line is told of where the index is read as a whole
			}
			return err
		}
		r.names[maphash.String(r.seed, record.Name.String())] = struct{}{}
	}
	r.end = end
	return nil
}

// recordedFiles yields what the index lists, in the order of an archive. It skips
// the directories that sort before first.
func (s *Server) recordedFiles(first string) iter.Seq2[WALFile, error] {
	return func(yield func(WALFile, error) bool) {
		var names []wal.Name
		for record, err := range s.WALRecords() {
			switch directory := record.Name.HashDir(); {
			case err != nil && sdk.KindOf(err) != sdk.Corrupt:
				yield(WALFile{}, err)
				return
			case err != nil, directory != "" && directory < first:
			default:
				names = append(names, record.Name)
			}
		}
		slices.SortFunc(names, func(a, b wal.Name) int { return cmp.Compare(WALObject(a), WALObject(b)) })
		for _, name := range slices.CompactFunc(names, func(a, b wal.Name) bool { return WALObject(a) == WALObject(b) }) {
			if !yield(WALFile{Name: name, Path: s.WALPath(name)}, nil) {
				return
			}
		}
	}
}

// newestRecorded is NewestPerTimeline and LatestTimeline by the index.
func (s *Server) newestRecorded() (newest map[wal.Timeline]wal.Name, latest wal.Timeline, err error) {
	newest = map[wal.Timeline]wal.Name{}
	for record, err := range s.WALRecords() {
		if err != nil {
			if sdk.KindOf(err) == sdk.Corrupt {
				continue
			}
			return nil, 0, err
		}
		name := record.Name
		if name.Kind == wal.KindSegment || name.Kind == wal.KindHistory {
			latest = max(latest, name.Timeline)
		}
		if before, found := newest[name.Timeline]; name.Kind == wal.KindSegment && (!found || compareNames(name, before) > 0) {
			newest[name.Timeline] = name
		}
	}
	return newest, latest, nil
}
