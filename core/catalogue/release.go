package catalogue

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk/wal"
)

// Remaining is a backup that stays when another one is deleted.
type Remaining struct {
	*Backup
	// Keep is its AnnotationKeep; empty if it has none.
	Keep string
}

// Release tells which files of the WAL archive nobody needs any more once a
// backup is deleted. The zero Release includes none.
type Release struct {
	// Reason is why nothing is released; empty if something may be.
	Reason string

	until     string // the first segment that stays
	timelines map[wal.Timeline]bool
	ranges    []walRange
}

// walRange is a backup's own WAL, from its first segment to its last.
type walRange struct{ begin, end string }

// ReleasedWAL decides what WAL goes with b. remaining are all other backups, in
// ascending order of their IDs. Only what lies before the oldest backup is of
// no use: the WAL before b serves the one before it, unless that is kept
// standalone. Then its own WAL is enough for it, but only a policy takes the
// rest away: whoever deletes by hand may not know of it.
func ReleasedWAL(b *Backup, remaining []Remaining, byPolicy bool) Release {
	var next *Backup
	for i := len(remaining) - 1; i >= 0; i-- {
		other := remaining[i]
		switch {
		case !other.State.CopyDone():
		case other.ID > b.ID:
			next = other.Backup
		case other.Keep == KeepStandalone && byPolicy:
		case other.Keep == KeepStandalone:
			return Release{Reason: "backup " + string(other.ID) + ", which is kept standalone, is older"}
		default:
			return Release{Reason: "backup " + string(other.ID) + " is older and needs it"}
		}
	}
	until := b // its own WAL stays: the server may go on from there
	if next != nil {
		until = next
	}
	if !isSegmentName(until.BeginWAL) {
		return Release{Reason: "it is not known where the WAL of backup " + string(until.ID) + " begins"}
	}
	r := Release{until: segmentOf(until.BeginWAL), timelines: map[wal.Timeline]bool{}}
	for _, other := range remaining {
		if other.State == StateFailed || other.Timeline == 0 {
			continue
		}
		if other.Timeline != until.Timeline && !(other.ID < b.ID && other.Keep == KeepStandalone) {
			r.timelines[other.Timeline] = true
		}
		if isSegmentName(other.BeginWAL) && isSegmentName(other.EndWAL) {
			r.ranges = append(r.ranges, walRange{segmentOf(other.BeginWAL), segmentOf(other.EndWAL)})
		}
	}
	return r
}

func isSegmentName(text string) bool {
	name, err := wal.ParseName(text)
	return err == nil && name.Kind == wal.KindSegment
}

// segmentOf is the part of a WAL file's name that names a segment, in a form
// that sorts.
func segmentOf(name string) string {
	const digits = 24
	return strings.ToUpper(name[:min(digits, len(name))])
}

// Includes tells whether a file is released. History files are small and never
// are.
func (r Release) Includes(name wal.Name) bool {
	if r.until == "" || name.Kind == 0 || name.Kind == wal.KindHistory {
		return false
	}
	segment := segmentOf(name.String())
	if segment >= r.until || r.timelines[name.Timeline] {
		return false
	}
	for _, own := range r.ranges {
		if segment >= own.begin && segment <= own.end {
			return false
		}
	}
	return true
}

// ForgetWAL takes the lines of files that are about to be deleted out of
// xlog.db, durably. Lines that cannot be read stay.
func (s *Server) ForgetWAL(ctx context.Context, gone func(wal.Name) bool) (err error) {
	lock, err := s.LockWait(ctx, LockXlogDB)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	path, _, err := s.xlogDB()
	if err != nil {
		return err
	}
	old, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.errorf(kindOf(err), "forget WAL files: %w", err)
	}
	defer old.Close()
	replacement, err := durable.NewReplacement(path, fileMode)
	if err != nil {
		return s.errorf(kindOf(err), "forget WAL files: %w", err)
	}
	if err := copyLines(replacement, old, gone); err != nil {
		return s.errorf(kindOf(err), "forget WAL files in %s: %w", path, errors.Join(err, replacement.Abort()))
	}
	if err := replacement.Commit(); err != nil {
		return s.errorf(kindOf(err), "forget WAL files in %s: %w", path, err)
	}
	return nil
}

func copyLines(to io.Writer, from io.Reader, gone func(wal.Name) bool) error {
	lines, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		record, damaged := parseRecord(strings.TrimSuffix(line, "\n"))
		if damaged != nil || !gone(record.Name) {
			if _, err := out.WriteString(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return out.Flush()
		}
	}
}

// Remove removes a backup from the catalogue: what is left of its directory, its
// notes, and its backup.info, before which it is listed still. Its payload must
// be gone from the sinks. A backup that does not exist is no error.
func (s *Server) Remove(id BackupID) error {
	if _, err := ParseBackupID(string(id)); err != nil {
		return s.wrap(err)
	}
	if err := s.remove(id); err != nil {
		return s.errorf(kindOf(err), "remove backup %s: %w", id, err)
	}
	return nil
}

func (s *Server) remove(id BackupID) error {
	directory := s.Directory(id)
	if err := refuseLink(directory); err != nil {
		return err
	}
	names, err := readNames(directory)
	if err != nil {
		return err
	}
	for _, name := range names {
		// As long as it is listed, the note says that it is being deleted.
		if name == infoName || name == annotationsName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	for _, path := range []string{filepath.Join(directory, infoName), s.metaInfoPath(id)} {
		if found, err := exists(path); err != nil || !found {
			if err != nil {
				return err
			}
			continue
		}
		if err := durable.Remove(path); err != nil {
			return err
		}
	}
	for _, name := range []Annotation{AnnotationKeep, AnnotationDelete} {
		if err := s.RemoveAnnotation(id, name); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(directory); err != nil {
		return err
	}
	return durable.SyncDirectory(s.layout.BasebackupsDirectory)
}
