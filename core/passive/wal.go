package passive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

const (
	// landingDirectory is where files arrive, in the archive and so in its file system.
	landingDirectory = ".sync-wals"
	// batchSize is how many files are copied before they are made durable and
	// recorded.
	batchSize = 256
)

// WALReport tells what was copied of the primary's WAL.
type WALReport struct {
	// Copied are files that came, Known those that were there already.
	Copied, Known int
	// Last is the name of the last file that both have; empty for none.
	Last string
	// Backups are those that waited for WAL, and their states now.
	Backups []*catalogue.Backup
	// Warnings are worth knowing.
	Warnings []string
	Elapsed  time.Duration
}

// SyncWAL copies the WAL that the primary has and this node lacks. Busy while
// another process does.
func SyncWAL(ctx context.Context, s *server.Server) (WALReport, error) {
	begun := time.Now()
	var report WALReport
	p, err := Of(s)
	if err != nil {
		return report, err
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		return report, err
	}
	lock, err := s.Catalogue.Lock(catalogue.LockSyncWAL)
	if err != nil {
		return report, err
	}
	err = p.syncWAL(ctx, &report)
	report.Elapsed = time.Since(begun)
	return report, errors.Join(err, lock.Release())
}

func (p Primary) syncWAL(ctx context.Context, report *WALReport) error {
	landing := filepath.Join(p.server.Catalogue.Layout().WALsDirectory, landingDirectory)
	if err := os.RemoveAll(landing); err != nil { // of a process that was killed
		return sdk.Errorf(sdk.Denied, "%w", err)
	}
	info, err := p.behind(ctx, report)
	if err != nil {
		return err
	}
	var refused []error
	for at := 0; at < len(info.WALs); at += batchSize {
		batch := info.WALs[at:min(at+batchSize, len(info.WALs))]
		differ, err := p.copyBatch(ctx, info, batch, landing, report)
		if err != nil {
			return err
		}
		refused = append(refused, differ...)
	}
	if report.Last = info.LastName; info.LastName != "" {
		if err := savePosition(p.server, Position{Name: info.LastName, Offset: info.LastPosition}); err != nil {
			return err
		}
	}
	return errors.Join(append(refused, p.complete(report))...)
}

// behind asks the primary for what is behind the last file that was copied. When it
// does not know that, everything is compared once.
func (p Primary) behind(ctx context.Context, report *WALReport) (Info, error) {
	after, err := position(p.server)
	if err != nil {
		return Info{}, err
	}
	info, err := p.Info(ctx, after)
	if after.Name != "" && sdk.KindOf(err) == sdk.NotFound {
		report.Warnings = append(report.Warnings, fmt.Sprintf("%v; all of its WAL is looked at again", err))
		info, err = p.Info(ctx, Position{})
	}
	return info, err
}

// copyBatch copies some files and records them. Files that are here with other
// content are errors of kind Exists; the others are copied all the same.
func (p Primary) copyBatch(ctx context.Context, info Info, batch []WALFile, landing string, report *WALReport) (differ []error, err error) {
	records := make([]catalogue.WALRecord, 0, len(batch))
	var list bytes.Buffer
	for _, f := range batch {
		r, err := f.record()
		if err != nil {
			return nil, err
		}
		records = append(records, r)
		list.WriteString(strings.TrimPrefix(catalogue.WALObject(r.Name), catalogue.WALFolder+"/") + "\x00")
	}
	if err := durable.MakeDirectory(landing); err != nil {
		return nil, err
	}
	if err := p.rsync(ctx, info.text("wals_directory"), landing, &list); err != nil {
		return nil, err
	}
	if err := (hostfs.Local{}).Sync(landing); err != nil {
		return nil, err
	}
	var fresh []catalogue.WALRecord
	for _, r := range records {
		placed, err := p.place(landing, r)
		switch {
		case sdk.KindOf(err) == sdk.Exists:
			differ = append(differ, err)
			continue
		case err != nil:
			return differ, err
		case placed:
			report.Copied++
		default:
			report.Known++
			recorded, err := p.server.Catalogue.HasRecord(r.Name)
			if err != nil {
				return differ, err
			}
			if recorded {
				continue
			}
		}
		fresh = append(fresh, r)
	}
	if err := p.syncDirectories(fresh); err != nil {
		return differ, err
	}
	if err := p.server.Catalogue.Append(ctx, fresh...); err != nil {
		return differ, err
	}
	return differ, os.RemoveAll(landing)
}

// place gives a file that has arrived its name in the archive, and tells whether
// it was not there before. One of the same name with other content is set aside and
// an error of kind Exists.
func (p Primary) place(landing string, r catalogue.WALRecord) (bool, error) {
	to := p.server.Catalogue.WALPath(r.Name)
	from := filepath.Join(landing, strings.TrimPrefix(catalogue.WALObject(r.Name), catalogue.WALFolder+"/"))
	info, err := os.Lstat(from)
	if err != nil {
		return false, sdk.Errorf(sdk.Unavailable, "%s did not come from the primary: %w", r.Name, err)
	}
	if !info.Mode().IsRegular() || info.Size() != r.Size {
		return false, sdk.Errorf(sdk.Unavailable, "%s came from the primary with %d bytes, and its index says %d", r.Name, info.Size(), r.Size)
	}
	if err := durable.MakeDirectory(filepath.Dir(to)); err != nil {
		return false, err
	}
	err = durable.RenameNew(from, to)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	same, err := sameContent(from, to)
	if err != nil || same {
		return false, err
	}
	aside := filepath.Join(p.server.Catalogue.Layout().ErrorsDirectory, r.Name.String()+"."+time.Now().UTC().Format("20060102T150405Z")+".duplicate")
	if err := durable.CopyFile(from, aside, 0o600); err != nil {
		return false, err
	}
	return false, sdk.Errorf(sdk.Exists, "%s is in the archive with other content than on the primary: it stays as it is, and the primary's is kept as %s", r.Name, aside)
}

func sameContent(a, b string) (bool, error) {
	left, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer left.Close() // it was only read from
	right, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer right.Close() // the same
	const piece = 256 << 10
	p, q := make([]byte, piece), make([]byte, piece)
	for {
		n, errLeft := io.ReadFull(left, p)
		m, errRight := io.ReadFull(right, q)
		for _, err := range []error{errLeft, errRight} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return false, err
			}
		}
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		if errLeft != nil {
			return true, nil
		}
	}
}

// syncDirectories makes the names of files durable.
func (p Primary) syncDirectories(records []catalogue.WALRecord) error {
	done := map[string]bool{}
	for _, r := range records {
		for _, directory := range []string{filepath.Dir(p.server.Catalogue.WALPath(r.Name)), p.server.Catalogue.Layout().WALsDirectory} {
			if done[directory] {
				continue
			}
			done[directory] = true
			if err := durable.SyncDirectory(directory); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete brings backups up to date that waited for WAL.
func (p Primary) complete(report *WALReport) error {
	var errs []error
	for entry, err := range p.server.Catalogue.Entries() {
		if err != nil {
			return err
		}
		if entry.Backup == nil || entry.Backup.State != catalogue.StateWaitingForWALs {
			continue
		}
		b, err := p.server.Catalogue.CheckBackup(entry.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		report.Backups = append(report.Backups, b)
	}
	return errors.Join(errs...)
}
