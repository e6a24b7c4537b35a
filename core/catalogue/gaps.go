package catalogue

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// Gap is a run of segments that a backup needs on its way to the end of a
// timeline, and that are neither archived nor waiting to be.
type Gap struct {
	Timeline wal.Timeline
	// First and Last are names of segments; they are one when Count is 1.
	First, Last string
	Count       uint64
	// Backups are those that need the gap's segments, in ascending order.
	Backups []BackupID
}

// Checked is a run of segments that was looked at, because backups need it.
type Checked struct {
	Timeline    wal.Timeline
	First, Last string
	Count       uint64
}

// Reach is how far a backup can be recovered.
type Reach struct {
	ID BackupID
	// Timeline is the newest that the backup leads to.
	Timeline wal.Timeline
	// Newest is true when nothing is missing between the backup's begin and the
	// newest segment of Timeline.
	Newest bool
	// Usable is true when nothing is missing between the backup's begin and end,
	// without which it cannot be recovered at all.
	Usable bool
	// Missing is the first segment that is missing on the way, empty if Newest.
	Missing string
	// Until is where the WAL ends that recovery can use, on UntilTimeline: at the
	// missing segment, or behind the newest.
	Until         wal.LSN
	UntilTimeline wal.Timeline
}

// Continuity tells whether the WAL that the backups need is all there.
type Continuity struct {
	// Checked are in ascending order; none when there is no backup.
	Checked []Checked
	// Gaps are in ascending order.
	Gaps []Gap
	// Backups are in ascending order.
	Backups []Reach
	// Archived is how many segments the archive holds. Streaming and Incoming are how
	// many wait to be archived; they count as present.
	Archived, Streaming, Incoming int
	// NoHistory are the timelines above 1 that WAL is archived of and whose history
	// is not known: no backup of an older timeline can be led to them.
	NoHistory []wal.Timeline
}

// Missing is the number of segments in all gaps.
func (c Continuity) Missing() uint64 {
	var n uint64
	for _, gap := range c.Gaps {
		n += gap.Count
	}
	return n
}

// ContinuityOptions say what is known beyond the directories.
type ContinuityOptions struct {
	// Timelines are the histories of the archive. Those of files that wait to be
	// archived are added.
	Timelines Timelines
}

// Continuity looks for segments that are missing between the begin of each
// complete backup and the newest segment of every timeline that it can be led to
// (see Timelines.Reachable), and of backups that are kept by themselves, from
// begin to end. Segments that wait in the streaming or incoming directory count
// as present; empty files and partial segments do not.
//
// Damaged backups are passed over and come along as an error of kind Corrupt.
// While others archive or delete, a gap may be seen that is none: look again.
// Cost: a listing of every directory, with the size of every file; a bit for
// each segment is held in memory.
func (s *Server) Continuity(options ContinuityOptions) (Continuity, error) {
	backups, damage := s.needing()
	if damage != nil && sdk.KindOf(damage) != sdk.Corrupt {
		return Continuity{}, damage
	}
	if len(backups) == 0 {
		return Continuity{}, damage
	}
	l := newLookup(backups[0].segmentSize(), options)
	var c Continuity
	if err := l.gather(s, options, &c); err != nil {
		return Continuity{}, err
	}
	for _, b := range backups {
		l.require(b)
	}
	l.judge(&c)
	return c, damage
}

// gather finds out which WAL is there, and counts it. Files move into the archive
// and never back: looked at in this order, none can be missed.
func (l *lookup) gather(s *Server, options ContinuityOptions, c *Continuity) (err error) {
	if c.Streaming, err = l.waiting(s.layout.StreamingDirectory); err != nil {
		return s.wrap(err)
	}
	if c.Incoming, err = l.waiting(s.layout.IncomingDirectory); err != nil {
		return s.wrap(err)
	}
	if s.layout.WALElsewhere {
		c.Archived, err = l.recorded(s)
	} else {
		c.Archived, err = l.archived(s.layout.WALsDirectory)
	}
	return s.wrapped(err)
}

// needing returns the backups that need WAL, in ascending order. Those that
// cannot be read are an error of kind Corrupt.
func (s *Server) needing() ([]needingBackup, error) {
	var backups []needingBackup
	var damage []error
	for entry, err := range s.Entries() {
		switch {
		case err != nil:
			return nil, err
		case entry.Err != nil:
			damage = append(damage, entry.Err)
		case entry.Backup.State.CopyDone():
			b, err := s.needs(entry.Backup)
			if err != nil {
				damage = append(damage, err)
				continue
			}
			backups = append(backups, b)
		}
	}
	if len(damage) > 0 {
		return backups, sdk.Errorf(sdk.Corrupt, "%w", errors.Join(damage...))
	}
	return backups, nil
}

// needingBackup is a backup and the WAL that it needs.
type needingBackup struct {
	*Backup
	begin, end wal.Segment
	alone      bool // it is kept standalone: the WAL behind its end may go

	// lookup.require fills these in.
	timeline wal.Timeline // the newest that it leads to
	way      []stretch    // what recovery reads on the way there
	needs    []stretch    // and on the ways to all others
}

func (s *Server) needs(b *Backup) (needingBackup, error) {
	if _, err := b.Segments(); err != nil { // begin and end contradict each other
		return needingBackup{}, s.wrap(err)
	}
	begin, err := b.BeginSegment()
	if err != nil {
		return needingBackup{}, s.wrap(err)
	}
	end, err := b.EndSegment()
	if err != nil {
		return needingBackup{}, s.wrap(err)
	}
	keep, err := s.Annotation(b.ID, AnnotationKeep)
	return needingBackup{Backup: b, begin: begin, end: end, alone: keep == KeepStandalone}, err
}

// lookup holds what is there against what is needed.
type lookup struct {
	size      wal.SegmentSize
	timelines Timelines
	present   map[wal.Timeline]segmentSet
	backups   []needingBackup
}

func (l *lookup) add(name wal.Name) error {
	segment, err := name.Segment(l.size)
	if err != nil {
		return sdk.Errorf(sdk.Corrupt, "WAL archive: %w: move it away if it is of another cluster", err)
	}
	if l.present[segment.Timeline] == nil {
		l.present[segment.Timeline] = segmentSet{}
	}
	l.present[segment.Timeline].add(segment.Number)
	return nil
}

// waiting adds the segments and histories of a directory that is emptied into
// the archive, and counts the segments. What is there may be anything; the
// archiver judges it.
func (l *lookup) waiting(directory string) (int, error) {
	found := 0
	err := eachFile(directory, func(name wal.Name) error {
		switch name.Kind {
		case wal.KindSegment:
			if l.add(name) == nil {
				found++
			}
		case wal.KindHistory:
			if entries, err := readHistory(filepath.Join(directory, name.String())); err == nil {
				l.timelines[name.Timeline] = entries
			}
		}
		return nil
	})
	return found, err
}

// archived adds the segments of the archive, and counts them.
func (l *lookup) archived(directory string) (int, error) {
	names, err := readNames(directory)
	if err != nil {
		return 0, err
	}
	found := 0
	for _, hashDir := range names {
		if !isHashDir(hashDir) {
			continue
		}
		path := filepath.Join(directory, hashDir)
		if err := checkHashDir(path); err != nil {
			return 0, err
		}
		err := eachFile(path, func(name wal.Name) error {
			if name.Kind != wal.KindSegment || name.HashDir() != hashDir {
				return nil
			}
			found++
			return l.add(name)
		})
		if err != nil {
			return 0, err
		}
	}
	return found, nil
}

// recorded is archived by the index.
func (l *lookup) recorded(s *Server) (int, error) {
	found := 0
	for record, err := range s.WALRecords() {
		if err != nil && sdk.KindOf(err) != sdk.Corrupt {
			return 0, err
		}
		if err != nil || record.Name.Kind != wal.KindSegment {
			continue
		}
		found++
		if err := l.add(record.Name); err != nil {
			return 0, err
		}
	}
	return found, nil
}

// eachFile calls do for the WAL files of a directory, in any order. A file that
// is empty, or no regular one, is none: every file is looked at, because an empty
// one is what a crash leaves of a segment. Memory does not grow with their number.
func eachFile(directory string, do func(wal.Name) error) (err error) {
	d, err := os.Open(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	const atOnce = 1024
	for {
		texts, err := d.Readdirnames(atOnce)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, text := range texts {
			name, parseErr := wal.ParseName(text)
			if parseErr != nil {
				continue
			}
			has, statErr := hasContent(d, text)
			if statErr != nil {
				return fmt.Errorf("stat %s: %w", filepath.Join(directory, text), statErr)
			}
			if !has {
				continue
			}
			if err := do(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
}

// hasContent tells whether a directory has a regular file that is not empty. One
// that was archived from the waiting directory that is being read, so that it is
// found there, or was deleted from the archive, is none.
func hasContent(directory *os.File, name string) (bool, error) {
	var stat unix.Stat_t
	err := unix.Fstatat(int(directory.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Size > 0, err
}

// require notes what a backup needs. Only a timeline that has WAL is a way to
// go; its ancestors must then be whole up to where it left them.
func (l *lookup) require(b needingBackup) {
	end := b.begin.Number // nothing is needed while nothing came
	if b.alone || b.State == StateDone {
		end = b.end.Number + 1
	}
	if newest, any := l.present[b.begin.Timeline].newest(); any && !b.alone {
		end = max(end, newest+1)
	}
	b.timeline = b.begin.Timeline
	b.way = []stretch{{timeline: b.begin.Timeline, first: b.begin.Number, end: end}}
	b.needs = b.way
	if !b.alone {
		l.descend(&b)
	}
	l.backups = append(l.backups, b)
}

// descend adds the ways to younger timelines.
func (l *lookup) descend(b *needingBackup) {
	for _, timeline := range l.timelines.Reachable(b.begin.Timeline, b.EndLSN) {
		newest, any := l.present[timeline].newest()
		if !any {
			continue
		}
		way := l.timelines.way(b.begin, timeline, newest+1, l.size)
		if way[len(way)-1].empty() {
			continue
		}
		b.timeline, b.way = timeline, way
		b.needs = append(slices.Clip(b.needs), way...)
	}
}

// judge finds the gaps and what they mean.
func (l *lookup) judge(c *Continuity) {
	needed := map[wal.Timeline][]stretch{}
	oldest := l.backups[0].begin.Timeline
	for _, b := range l.backups {
		oldest = min(oldest, b.begin.Timeline)
		for _, s := range b.needs {
			if !s.empty() {
				needed[s.timeline] = append(needed[s.timeline], s)
			}
		}
	}
	for _, timeline := range slices.Sorted(maps.Keys(needed)) {
		for _, s := range united(needed[timeline]) {
			c.Checked = append(c.Checked, Checked{
				Timeline: timeline, First: l.name(timeline, s.first), Last: l.name(timeline, s.end-1), Count: s.end - s.first,
			})
			l.gaps(c, s)
		}
	}
	for _, b := range l.backups {
		c.Backups = append(c.Backups, l.reach(b))
	}
	for _, timeline := range slices.Sorted(maps.Keys(l.present)) {
		if _, known := l.timelines[timeline]; timeline > oldest && !known {
			c.NoHistory = append(c.NoHistory, timeline)
		}
	}
}

func (l *lookup) gaps(c *Continuity, s stretch) {
	for first, end := range l.present[s.timeline].missing(s.first, s.end) {
		affected := l.affected(stretch{timeline: s.timeline, first: first, end: end})
		// Neighbours mostly affect the same backups: one list serves them.
		if n := len(c.Gaps); n > 0 && slices.Equal(c.Gaps[n-1].Backups, affected) {
			affected = c.Gaps[n-1].Backups
		}
		c.Gaps = append(c.Gaps, Gap{
			Timeline: s.timeline, First: l.name(s.timeline, first), Last: l.name(s.timeline, end-1), Count: end - first, Backups: affected,
		})
	}
}

func (l *lookup) affected(gap stretch) []BackupID {
	var ids []BackupID
	for _, b := range l.backups {
		if slices.ContainsFunc(b.needs, gap.overlaps) {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// reach follows the way to the newest timeline up to the first gap.
func (l *lookup) reach(b needingBackup) Reach {
	r := Reach{ID: b.ID, Timeline: b.timeline, Newest: true, Until: b.begin.Start(l.size), UntilTimeline: b.begin.Timeline}
	for _, s := range b.way {
		missing, found := l.firstMissing(s)
		if found {
			r.Newest, r.Missing, s.end = false, l.name(s.timeline, missing), missing
		}
		if !s.empty() {
			r.Until, r.UntilTimeline = wal.Segment{Number: s.end}.Start(l.size), s.timeline
		}
		if found {
			break
		}
	}
	_, incomplete := l.firstMissing(stretch{timeline: b.begin.Timeline, first: b.begin.Number, end: b.end.Number + 1})
	r.Usable = !incomplete
	return r
}

func (l *lookup) firstMissing(s stretch) (number uint64, found bool) {
	for first := range l.present[s.timeline].missing(s.first, s.end) {
		return first, true
	}
	return 0, false
}

func (l *lookup) name(timeline wal.Timeline, number uint64) string {
	return wal.Segment{Timeline: timeline, Number: number}.Name(l.size)
}

// united joins stretches of one timeline that overlap or touch.
func united(all []stretch) []stretch {
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(a.first, b.first) })
	joined := all[:1]
	for _, s := range all[1:] {
		if last := &joined[len(joined)-1]; s.first <= last.end {
			last.end = max(last.end, s.end)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}
