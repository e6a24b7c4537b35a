package recovery

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/fetch"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// copyReceived copies the segments that were received and are not archived yet,
// the unfinished one included: what was streamed is the difference between some
// and no loss. It returns the names they have in directory, and whether they are
// whole.
func (r *run) copyReceived(directory string) (map[string]bool, error) {
	const attempts = 100
	copied := map[string]bool{} // by whether they are whole
	for range attempts {
		names, err := r.receivedWAL()
		if err != nil {
			return nil, err
		}
		vanished := false
		for _, name := range names {
			as, partial := strings.CutSuffix(name, partialSuffix)
			if whole, done := copied[as]; whole || partial && done {
				continue
			}
			from := filepath.Join(r.server.Catalogue.Layout().StreamingDirectory, name)
			err := durable.CopyFile(from, filepath.Join(directory, as), 0o600)
			if errors.Is(err, fs.ErrNotExist) {
				vanished = true
				continue
			}
			if err != nil {
				return nil, err
			}
			copied[as] = !partial
		}
		if !vanished {
			return copied, nil
		}
		// It was finished, which gave it another name, or archived: look again.
	}
	return nil, sdk.Errorf(sdk.Unavailable, "the files in %s change faster than they can be copied: try again", r.server.Catalogue.Layout().StreamingDirectory)
}

// copyDelivered copies what archive_command has delivered and nobody could
// archive yet: another process is at it, or the archive takes nothing. It adds
// to the names of copied, which are of whole segments or not.
func (r *run) copyDelivered(ctx context.Context, directory string, copied map[string]bool) error {
	if !r.server.Config.WAL.Archive {
		return nil
	}
	entries, err := os.ReadDir(r.server.Catalogue.Layout().IncomingDirectory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return sdk.Errorf(sdk.Denied, "delivered WAL: %w", err)
	}
	for _, entry := range entries {
		name, err := wal.ParseName(entry.Name())
		if err != nil || name.Kind == wal.KindBackupHistory || r.precedes(name) {
			continue
		}
		as, partial := strings.CutSuffix(entry.Name(), partialSuffix)
		whole, known := copied[as]
		if whole {
			continue
		}
		path := filepath.Join(directory, entry.Name())
		if partial {
			err = r.copyDecoded(entry.Name(), path)
		} else {
			err = r.fetch(ctx, name, path)
		}
		switch sdk.KindOf(err) {
		case sdk.NotFound, sdk.Unavailable, sdk.Corrupt:
			r.warn("%s was delivered, cannot be archived and is of no use for recovery: %v", entry.Name(), err)
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case partial && known:
			err = r.settlePartial(filepath.Join(directory, as))
		case partial:
			err = os.Rename(path, filepath.Join(directory, as))
		}
		if err != nil {
			return err
		}
		copied[as] = !partial
	}
	return durable.SyncDirectory(directory)
}

// fetch copies one file, decompressed if need be.
func (r *run) fetch(ctx context.Context, name wal.Name, path string) error {
	file, err := durable.NewReplacement(path, 0o600)
	if err != nil {
		return err
	}
	if _, err := fetch.Write(ctx, r.server, fetch.Request{Name: name}, file); err != nil {
		return errors.Join(err, file.Abort())
	}
	return file.Commit()
}

// copyDecoded copies a delivered partial segment, decompressed if need be: not
// the archived one of the same name, which may be another.
func (r *run) copyDecoded(name, path string) error {
	from, err := os.Open(filepath.Join(r.server.Catalogue.Layout().IncomingDirectory, name))
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "%w", err)
	}
	defer from.Close() // it was only read from
	plain, _, err := codec.Decoded(from)
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "%w", err)
	}
	defer plain.Close() // the same
	file, err := durable.NewReplacement(path, 0o600)
	if err != nil {
		return err
	}
	content := &reading{io.LimitReader(plain, int64(wal.MaxSegmentSize))}
	if _, err := io.Copy(file, content); err != nil {
		return errors.Join(err, file.Abort())
	}
	return file.Commit()
}

// reading gives the errors of a file that cannot be read their kind, by which
// they differ from those of the file that is written.
type reading struct{ io.Reader }

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = sdk.Errorf(sdk.Unavailable, "%w", err)
	}
	return n, err
}

// precedes tells whether a file is of WAL before the backup's begin.
func (r *run) precedes(name wal.Name) bool {
	begin, err := wal.ParseName(r.request.Backup.BeginWAL)
	return err == nil && name.Kind != wal.KindHistory && name.Timeline <= begin.Timeline && name.String()[8:24] < begin.String()[8:24]
}

// receivedWAL lists the files being received, whole segments before partial ones.
func (r *run) receivedWAL() ([]string, error) {
	entries, err := os.ReadDir(r.server.Catalogue.Layout().StreamingDirectory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, sdk.Errorf(sdk.Denied, "received WAL: %w", err)
	}
	var names []string
	for _, entry := range entries {
		name, err := wal.ParseName(entry.Name())
		if err != nil || !entry.Type().IsRegular() || name.Kind == wal.KindBackupHistory {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.Size() == 0 {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, sdk.Errorf(sdk.Denied, "received WAL: %w", err)
		}
		names = append(names, entry.Name()) // also one that has just gone: it is looked for again
	}
	slices.Sort(names) // a name comes before the same with a suffix
	return names, nil
}
