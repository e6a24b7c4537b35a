package catalogue

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Append records files that are in the archive, durably and in this order. It
// waits for the index's lock. When it returns an error no line was added; the
// next call, or Rebuild, makes up for it.
//
// A torn line at the end, from a crash during an append, is first replaced by
// the record of the file it was about. A missing xlog.db is built from the
// files of the archive.
func (s *Server) Append(ctx context.Context, records ...WALRecord) (err error) {
	if len(records) == 0 {
		return nil
	}
	lock, err := s.LockWait(ctx, LockXlogDB)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	path, columns, err := s.xlogDB()
	if err != nil {
		return err
	}
	lines, err := formatRecords(columns, records)
	if err != nil {
		return s.errorf(sdk.Invalid, "%s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return s.rebuildWith(ctx, path, columns, records)
	}
	if err != nil {
		return s.errorf(kindOf(err), "record WAL files: %w", err)
	}
	if err := errors.Join(s.appendTo(f, columns, lines), f.Close()); err != nil {
		return s.errorf(kindOf(err), "record WAL files in %s: %w", path, err)
	}
	return nil
}

func formatRecords(columns int, records []WALRecord) ([]byte, error) {
	var lines bytes.Buffer
	for _, r := range records {
		line, err := r.format(columns)
		if err != nil {
			return nil, err
		}
		lines.WriteString(line)
	}
	return lines.Bytes(), nil
}

// appendTo adds lines behind the last complete one. If that goes wrong the file
// is cut back, so that a full disk leaves no torn line behind.
func (s *Server) appendTo(f *os.File, columns int, lines []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return sdk.Errorf(sdk.Corrupt, "it is not a regular file: move it away")
	}
	end, torn, err := completeEnd(f, info.Size())
	if err != nil {
		return err
	}
	repaired, err := s.repairedLine(torn, columns)
	if err != nil {
		return err
	}
	lines = append(repaired, lines...)
	if end < info.Size() {
		if err := f.Truncate(end); err != nil {
			return err
		}
	}
	_, err = f.WriteAt(lines, end)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Truncate(end))
	}
	return nil
}

// completeEnd returns where the last complete line ends and what follows it.
func completeEnd(f *os.File, size int64) (end int64, torn []byte, err error) {
	if size == 0 {
		return 0, nil, nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return size, nil, err
	}
	// A power failure may leave a block of zeros rather than part of a line.
	const most = 1 << 20
	start := max(0, size-most)
	tail := make([]byte, size-start)
	if _, err := f.ReadAt(tail, start); err != nil {
		return 0, nil, err
	}
	newline := bytes.LastIndexByte(tail, '\n')
	if newline < 0 && start > 0 {
		return 0, nil, sdk.Errorf(sdk.Corrupt, "the last %s hold no line: barman rebuild-xlogdb writes the file anew from the WAL archive", PrettySize(most))
	}
	return start + int64(newline) + 1, tail[newline+1:], nil
}

// repairedLine returns the line that a torn one should have been, or nothing if
// it does not tell which file it was about, or that file is gone.
func (s *Server) repairedLine(torn []byte, columns int) ([]byte, error) {
	first, _, found := strings.Cut(string(torn), "\t")
	if !found {
		return nil, nil
	}
	name, err := wal.ParseName(first)
	if err != nil {
		return nil, nil
	}
	record, err := s.RecordOf(name)
	if sdk.KindOf(err) == sdk.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	line, err := record.format(columns)
	return []byte(line), err
}

// RebuildReport tells what Rebuild found in the archive.
type RebuildReport struct {
	Segments, BackupHistories, Histories int
	// Skipped counts what does not belong in xlog.db; SkippedPaths names the
	// first hundred.
	Skipped      int
	SkippedPaths []string
}

// Rebuild replaces xlog.db by what the files of the archive say, in the order
// of their names. It holds the index's lock meanwhile; the caller keeps others
// from archiving. The index is the old one or the new one, whatever happens. tell
// is called with how many files were looked at; it may be nil.
//
// An archive without files whose index lists some is elsewhere than on this
// machine: its index cannot be derived here, which is an error of kind Invalid.
func (s *Server) Rebuild(ctx context.Context, tell func(files int)) (report RebuildReport, err error) {
	lock, err := s.LockWait(ctx, LockXlogDB)
	if err != nil {
		return RebuildReport{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	path, columns, err := s.xlogDB()
	if err != nil {
		return RebuildReport{}, err
	}
	if err := s.derivable(path); err != nil {
		return RebuildReport{}, err
	}
	if report, err = s.rebuild(ctx, path, columns, nil, tell); err != nil {
		return RebuildReport{}, err
	}
	return report, s.wrapped(s.mark())
}

// RebuildFrom is Rebuild for an archive elsewhere, with the records of what is
// stored there, in any order. An error among them leaves the index as it was.
func (s *Server) RebuildFrom(ctx context.Context, stored iter.Seq2[WALRecord, error]) (report RebuildReport, err error) {
	lock, err := s.LockWait(ctx, LockXlogDB)
	if err != nil {
		return RebuildReport{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	path, columns, err := s.xlogDB()
	if err != nil {
		return RebuildReport{}, err
	}
	report, err = s.replaceIndex(path, func(out *bufio.Writer) (RebuildReport, error) {
		var report RebuildReport
		for record, err := range stored {
			if err = errors.Join(err, ctx.Err()); err != nil {
				return report, err
			}
			if !report.count(WALFile{Name: record.Name, Path: record.Name.String()}) {
				continue
			}
			if err := writeRecord(out, record, columns); err != nil {
				return report, err
			}
		}
		return report, nil
	})
	if err != nil {
		return RebuildReport{}, err
	}
	return report, s.wrapped(s.mark())
}

func (s *Server) derivable(path string) error {
	for _, err := range s.WALFiles() {
		return err
	}
	for _, err := range s.WALRecords() {
		if err != nil && sdk.KindOf(err) == sdk.Corrupt {
			continue
		}
		if err != nil {
			return err
		}
		return s.errorf(sdk.Invalid, "%s lists WAL files, and none is in %s: where the archive is not on this machine its index cannot be written anew. "+
			"If the WAL is lost for good, remove the file first", path, s.layout.WALsDirectory)
	}
	return nil
}

// EnsureIndex builds xlog.db where there is none, so that it tells from then on
// which files of the archive were recorded. An empty archive that must not be
// empty is an error of kind Unavailable: its file system is not mounted.
func (s *Server) EnsureIndex(ctx context.Context) (err error) {
	lock, err := s.LockWait(ctx, LockXlogDB)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	path, columns, err := s.xlogDB()
	if err != nil {
		return err
	}
	found, err := exists(path)
	if err == nil && !found {
		err = s.missesArchive()
	}
	if err != nil {
		return s.wrap(err)
	}
	if !found {
		if err := s.rebuildWith(ctx, path, columns, nil); err != nil {
			return err
		}
	}
	return s.wrapped(s.mark())
}

// wrapped is wrap for an error that may be nil.
func (s *Server) wrapped(err error) error {
	if err == nil {
		return nil
	}
	return s.wrap(err)
}

// rebuildWith builds the index of an archive that has none, with the records
// that are to be appended at its end and only there.
func (s *Server) rebuildWith(ctx context.Context, path string, columns int, records []WALRecord) error {
	_, err := s.rebuild(ctx, path, columns, records, nil)
	return err
}

func (s *Server) rebuild(ctx context.Context, path string, columns int, last []WALRecord, tell func(int)) (RebuildReport, error) {
	return s.replaceIndex(path, func(out *bufio.Writer) (RebuildReport, error) {
		return s.writeRecords(ctx, out, columns, last, tell)
	})
}

// replaceIndex puts what write writes in the place of the index, or leaves that as
// it is.
func (s *Server) replaceIndex(path string, write func(*bufio.Writer) (RebuildReport, error)) (RebuildReport, error) {
	failed := func(err error) (RebuildReport, error) {
		return RebuildReport{}, s.errorf(kindOf(err), "rebuild %s: %w", path, err)
	}
	if err := durable.MakeDirectory(filepath.Dir(path)); err != nil {
		return failed(err)
	}
	f, err := durable.NewReplacement(path, fileMode)
	if err != nil {
		return failed(err)
	}
	out := bufio.NewWriterSize(f, 64<<10)
	report, err := write(out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return failed(errors.Join(err, f.Abort()))
	}
	if err := f.Commit(); err != nil {
		return failed(err)
	}
	return report, nil
}

func (s *Server) writeRecords(ctx context.Context, out *bufio.Writer, columns int, last []WALRecord, tell func(int)) (RebuildReport, error) {
	var report RebuildReport
	later := map[string]bool{}
	for _, r := range last {
		later[r.Name.String()] = true
	}
	seen := 0
	var names []wal.Name
	write := func() error {
		records, err := s.recordsOf(ctx, names)
		names = names[:0]
		for _, record := range records {
			if err == nil && record.Name.Kind != 0 {
				err = writeRecord(out, record, columns)
			}
		}
		if tell != nil {
			tell(seen)
		}
		return err
	}
	for file, err := range s.walEntries("") {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return report, err
		}
		if seen++; report.count(file) && !later[file.Name.String()] {
			names = append(names, file.Name)
		}
		if len(names) < recordsAtOnce {
			continue
		}
		if err := write(); err != nil {
			return report, err
		}
	}
	if err := write(); err != nil {
		return report, err
	}
	for _, r := range last {
		if err := writeRecord(out, r, columns); err != nil {
			return report, err
		}
	}
	return report, nil
}

const (
	// recordsAtOnce is how many files are looked at before their lines are written.
	recordsAtOnce = 1024
	// readers is how many of them are looked at side by side: where they are not in
	// memory, each has to wait for the disk.
	readers = 8
)

// recordsOf derives the records of files, in their order. That of a file that has
// gone is the zero record.
func (s *Server) recordsOf(ctx context.Context, names []wal.Name) ([]WALRecord, error) {
	records := make([]WALRecord, len(names))
	group, ctx := errgroup.WithContext(ctx)
	for first := range min(readers, len(names)) {
		group.Go(func() error {
			for i := first; i < len(names); i += readers {
				record, err := s.RecordOf(names[i])
				if err = errors.Join(err, ctx.Err()); err != nil && sdk.KindOf(err) != sdk.NotFound {
					return err
				}
				records[i] = record
			}
			return nil
		})
	}
	return records, group.Wait()
}

// count classifies a file and reports whether it belongs in xlog.db.
func (r *RebuildReport) count(file WALFile) bool {
	switch file.Name.Kind {
	case wal.KindSegment:
		r.Segments++
	case wal.KindBackupHistory:
		r.BackupHistories++
	case wal.KindHistory:
		r.Histories++
	default:
		if base := filepath.Base(file.Path); base == "xlog.db" || strings.HasSuffix(base, "-xlog.db") || strings.HasPrefix(base, ".") {
			return false
		}
		if r.Skipped++; r.Skipped <= 100 {
			r.SkippedPaths = append(r.SkippedPaths, file.Path)
		}
		return false
	}
	return true
}

func writeRecord(out *bufio.Writer, r WALRecord, columns int) error {
	line, err := r.format(columns)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	_, err = out.WriteString(line)
	return err
}
