package catalogue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
	// Doubtful is true when something is wrong with what is known of a backup.
	Doubtful bool

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
	if next == nil {
		next = b // its own WAL stays: the server may go on from there
	}
	return releasedBefore(next, remaining)
}

// UnneededWAL decides what WAL is of no use to anybody because it is older than
// the first backup: the server may have delivered it long before that was taken.
// backups are all there are, in ascending order of their IDs.
func UnneededWAL(backups []Remaining) Release {
	for _, b := range backups {
		if b.State.CopyDone() {
			return releasedBefore(b.Backup, backups)
		}
	}
	return Release{Reason: "there is no complete backup"}
}

// releasedBefore releases the WAL before a backup, but for what the other ones
// may need.
func releasedBefore(first *Backup, others []Remaining) Release {
	if reason := first.doubtfulBegin(); reason != "" {
		return Release{Reason: reason, Doubtful: first.State != StateFailed}
	}
	r := Release{until: segmentOf(first.BeginWAL), timelines: map[wal.Timeline]bool{}}
	for _, other := range others {
		if other.State == StateFailed || other.ID == first.ID {
			continue
		}
		alone := other.ID < first.ID && other.Keep == KeepStandalone
		if other.Timeline != 0 && other.Timeline != first.Timeline && !alone {
			r.timelines[other.Timeline] = true
		}
		if !isSegmentName(other.BeginWAL) {
			continue
		}
		if !alone { // whatever the order of their IDs
			r.until = min(r.until, segmentOf(other.BeginWAL))
		}
		if isSegmentName(other.EndWAL) {
			r.ranges = append(r.ranges, walRange{segmentOf(other.BeginWAL), segmentOf(other.EndWAL)})
		}
	}
	return r
}

// doubtfulBegin tells what speaks against releasing the WAL before a backup:
// backup.info may have been edited by hand, and WAL that was deleted does not come
// back. It is empty if all that is known of the begin agrees.
func (b *Backup) doubtfulBegin() string {
	if !isSegmentName(b.BeginWAL) {
		return fmt.Sprintf("it is not known where the WAL of backup %s begins", b.ID)
	}
	begin, err := b.BeginSegment()
	if err == nil && b.State.CopyDone() {
		_, err = b.Segments()
	}
	switch {
	case err != nil:
		return fmt.Sprintf("where the WAL of backup %s begins is in doubt: %v", b.ID, err)
	case b.Timeline != 0 && b.Timeline != begin.Timeline:
		return fmt.Sprintf("where the WAL of backup %s begins is in doubt: its timeline is %d and begin_wal %s", b.ID, b.Timeline, b.BeginWAL)
	case b.BeginLSN != 0:
		// On a boundary either segment may be meant.
		at := wal.SegmentAt(begin.Timeline, b.BeginLSN, b.segmentSize())
		if at.Number != begin.Number && at.Number != begin.Number+1 {
			return fmt.Sprintf("where the WAL of backup %s begins is in doubt: begin_xlog is %s and begin_wal %s", b.ID, b.BeginLSN, b.BeginWAL)
		}
	}
	return ""
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

// Behind tells whether neither a file nor any that sorts after it is released.
func (r Release) Behind(name wal.Name) bool {
	return name.Kind != wal.KindHistory && segmentOf(name.String()) >= r.until
}

// Includes tells whether a file is released. History files are small and never
// are.
func (r Release) Includes(name wal.Name) bool {
	if name.Kind == 0 || name.Kind == wal.KindHistory {
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
		if name == infoName || name == annotationsName || name == WithdrawnName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	for _, path := range s.infoPaths(id) {
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
	// From here on it is one of the Leftovers.
	if err := os.RemoveAll(directory); err != nil {
		return err
	}
	if found, err := exists(s.layout.BasebackupsDirectory); err == nil && found {
		if err := durable.SyncDirectory(s.layout.BasebackupsDirectory); err != nil {
			return err
		}
	}
	for _, name := range []Annotation{AnnotationKeep, AnnotationDelete} {
		if err := s.RemoveAnnotation(id, name); err != nil {
			return err
		}
	}
	return nil
}

// infoPaths are where a backup's backup.info may be: where releases before 3.13
// write it, and where later ones do.
func (s *Server) infoPaths(id BackupID) [2]string {
	return [2]string{filepath.Join(s.Directory(id), infoName), s.metaInfoPath(id)}
}
