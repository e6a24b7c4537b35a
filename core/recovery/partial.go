package recovery

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/wal"
	segments "github.com/barman-go/barman/sdk/wal"
)

// settlePartial makes of the copies of an unfinished segment, the received one
// at path and the archived one beside it, either of which may be missing, the
// one that PostgreSQL will read: that which leads further, at its full size.
func (r *run) settlePartial(path string) error {
	archived, found, err := extent(path + partialSuffix)
	if err != nil {
		return err
	}
	if found {
		received, _, err := extent(path)
		if err != nil {
			return err
		}
		if err := keepLonger(path, received, archived); err != nil {
			return err
		}
	}
	return fill(path, int64(cmp.Or(r.request.Backup.SegmentSize, segments.DefaultSegmentSize)))
}

// keepLonger leaves one of two copies at path.
func keepLonger(path string, received, archived int64) error {
	if archived <= received {
		return durable.Remove(path + partialSuffix)
	}
	if err := os.Rename(path+partialSuffix, path); err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(path))
}

// extent is how far a copy of a segment leads. A file that holds no WAL leads
// nowhere.
func extent(path string) (length int64, found bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close() // it was only read from
	length, err = wal.Extent(f)
	var reading *fs.PathError
	if errors.As(err, &reading) {
		return 0, true, err
	}
	return length, true, nil
}

// fill gives a file that is cut short the size of a segment, as PostgreSQL
// demands of every segment that restore_command brings.
func fill(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}
