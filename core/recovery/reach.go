package recovery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/continuity"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// surveyed is what a server has to recover from: its complete backups, newest
// first, and the WAL that leads on from them.
type surveyed struct {
	server  *server.Server
	backups []*catalogue.Backup
	routes  catalogue.Routes
	unread  []error // history files that cannot be read
}

// survey looks at a server's backups and WAL. Damaged backups are passed over.
func survey(ctx context.Context, s *server.Server, size wal.SegmentSize) (surveyed, error) {
	a := surveyed{server: s}
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return a, err
		}
		if entry.Backup != nil && entry.Backup.State.CopyDone() {
			a.backups = append([]*catalogue.Backup{entry.Backup}, a.backups...)
		}
	}
	if size == 0 && len(a.backups) > 0 {
		size = a.backups[0].SegmentSize
	}
	var timelines catalogue.Timelines
	timelines, a.unread = continuity.Timelines(ctx, s)
	var err error
	a.routes, err = s.Catalogue.Routes(size, catalogue.ContinuityOptions{Timelines: timelines})
	return a, err
}

// timeline is the one that PostgreSQL follows to the target from a backup.
// Without a word on it, that is the latest since version 12, and before it the
// backup's.
func (a surveyed) timeline(t Target, b *catalogue.Backup) wal.Timeline {
	switch {
	case t.Timeline == "current", t.Timeline == "" && b.Version < version12:
		return b.Timeline
	case t.Timeline == "", t.Timeline == "latest":
		return a.routes.Newest(b.Timeline)
	}
	n, err := strconv.ParseUint(t.Timeline, 10, 32)
	if err != nil {
		return b.Timeline // validated before
	}
	return wal.Timeline(n)
}

// obstacle is why a backup cannot be recovered to a target.
type obstacle struct {
	reason string
	// advice is what to do where no other backup is of use; may be empty.
	advice string
}

// judged is what is known of recovering a backup to a target.
type judged struct {
	timeline wal.Timeline
	route    catalogue.Route
	obstacle *obstacle
	warnings []string
}

func (j *judged) refuse(advice, format string, args ...any) {
	j.obstacle = &obstacle{reason: fmt.Sprintf(format, args...), advice: advice}
}

func (j *judged) warn(format string, args ...any) {
	j.warnings = append(j.warnings, fmt.Sprintf(format, args...))
}

// judge holds a target against a backup and the archive. waits tells that
// PostgreSQL will go on asking for WAL that is not there yet, as a standby does.
func (a surveyed) judge(t Target, b *catalogue.Backup, waits bool) (judged, error) {
	var j judged
	if !t.usable(b) {
		what, end := "time "+formatTime(derefTime(t.Time)), formatTime(b.EndTime)
		if t.LSN != "" {
			what, end = "lsn "+t.LSN, b.EndLSN.String()
		}
		j.refuse("", "target %s lies before the end of backup %s (%s)", what, b.ID, end)
		return j, nil
	}
	j.timeline = a.timeline(t, b)
	if !a.routes.Leads(b, j.timeline) {
		a.elsewhere(&j, t, b)
		return j, nil
	}
	var err error
	if j.route, err = a.routes.Follow(b, j.timeline); err != nil {
		return j, sdk.Errorf(sdk.Corrupt, "%w", err)
	}
	a.judgeWAL(&j, t, b, waits)
	return j, nil
}

// elsewhere says why a backup does not lead to a timeline.
func (a surveyed) elsewhere(j *judged, t Target, b *catalogue.Backup) {
	advice := "give --target-tli current to stay on timeline " + timelineText(b.Timeline)
	switch {
	case t.Timeline == "", t.Timeline == "latest":
		j.refuse(advice, "the latest timeline, %d, does not go through the end of backup %s (%s on timeline %d): PostgreSQL would not start", j.timeline, b.ID, b.EndLSN, b.Timeline)
	case j.timeline < b.Timeline:
		j.refuse("", "target timeline %d: backup %s was taken on timeline %d, which came later", j.timeline, b.ID, b.Timeline)
	case !a.routes.Known(j.timeline):
		j.refuse("", "target timeline %d: there is no history file %08X.history in the archive, and backup %s leads to %s only%s",
			j.timeline, uint32(j.timeline), b.ID, timelinesText(a.routes.Reachable(b)), a.unreadText())
	default:
		j.refuse("", "target timeline %d left before the end of backup %s (%s on timeline %d), which leads to %s only",
			j.timeline, b.ID, b.EndLSN, b.Timeline, timelinesText(a.routes.Reachable(b)))
	}
}

func (a surveyed) unreadText() string {
	if len(a.unread) == 0 {
		return ""
	}
	return fmt.Sprintf("; of the history files that there are some cannot be read: %v", a.unread[0])
}

func timelineText(t wal.Timeline) string { return strconv.FormatUint(uint64(t), 10) }

func timelinesText(all []wal.Timeline) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = timelineText(t)
	}
	if len(texts) == 1 {
		return "timeline " + texts[0]
	}
	return "the timelines " + strings.Join(texts, ", ")
}

// judgeWAL refuses a target that WAL is missing on the way to.
func (a surveyed) judgeWAL(j *judged, t Target, b *catalogue.Backup, waits bool) {
	route := j.route
	switch {
	case route.Lacking == "":
	case b.State == catalogue.StateWaitingForWALs && route.Early:
		j.warn("backup %s still waits for WAL: without all segments up to %s the server does not become consistent", b.ID, b.EndWAL)
	case a.unfinished(route.Lacking):
		j.warn("of segment %s, which backup %s needs to become consistent, there is only an unfinished copy: it may not reach far enough", route.Lacking, b.ID)
	default:
		j.refuse("look for it on the PostgreSQL server and its standbys, and copy it into the incoming directory",
			"backup %s cannot become consistent: segment %s, which it needs, is not in the archive", b.ID, route.Lacking)
		return
	}
	if t.Immediate {
		return
	}
	if t.LSN != "" {
		a.judgeLSN(j, t, b, waits)
		return
	}
	if route.Missing != "" {
		a.judgeGap(j, t)
	}
	if t.Time != nil && !waits {
		a.judgeEnd(j, *t.Time)
	}
}

// judgeLSN refuses a position that the WAL does not reach.
func (a surveyed) judgeLSN(j *judged, t Target, b *catalogue.Backup, waits bool) {
	lsn, err := wal.ParseLSN(t.LSN)
	if err != nil || lsn <= j.route.Until {
		return
	}
	upTo := "give a --target-lsn up to " + j.route.Until.String()
	size := b.SegmentSize
	switch {
	case j.route.Missing != "" && !a.unfinished(j.route.Missing):
		j.refuse(upTo, "target lsn %s cannot be reached: segment %s is missing before it, although there is WAL behind it, from %s on", t.LSN, j.route.Missing, j.route.Behind)
	case waits:
		j.warn("target lsn %s lies behind the newest WAL, which ends at %s on timeline %d", t.LSN, j.route.Until, j.route.UntilTimeline)
	case j.route.Missing == "" && a.unfinished(wal.SegmentAt(j.route.UntilTimeline, j.route.Until, size).Name(size)) && lsn <= j.route.Until+wal.LSN(a.size()):
		// What there is of the segment that is being received may reach it.
	case j.route.Missing != "":
		j.warn("of segment %s, which lies before the target, there is only an unfinished copy: recovery may end in it", j.route.Missing)
	default:
		j.refuse(upTo+", or wait for the WAL to be archived", "target lsn %s lies behind the newest WAL, which ends at %s on timeline %d", t.LSN, j.route.Until, j.route.UntilTimeline)
	}
}

// unfinished tells whether there is a part of a segment.
func (a surveyed) unfinished(name string) bool {
	layout := a.server.Catalogue.Layout()
	parsed, err := wal.ParseName(name + partialSuffix)
	if err != nil {
		return false
	}
	for _, path := range []string{
		filepath.Join(layout.StreamingDirectory, name+partialSuffix), filepath.Join(layout.IncomingDirectory, name+partialSuffix), a.server.Catalogue.WALPath(parsed),
	} {
		if info, err := os.Lstat(path); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// judgeGap refuses to lose, without a word, the WAL behind a gap, and to look
// there for a target.
func (a surveyed) judgeGap(j *judged, t Target) {
	route := j.route
	upTo := "give --target-lsn " + route.Until.String() + " to recover what is before the gap"
	gap := fmt.Sprintf("segment %s is missing, although there is WAL behind it, from %s on", route.Missing, route.Behind)
	switch {
	case a.unfinished(route.Missing):
		j.warn("of segment %s there is only an unfinished copy, although there is WAL behind it, from %s on: recovery may end in it", route.Missing, route.Behind)
	case t.Time != nil:
		if behind, known := a.written(route.Behind); known && !behind.After(*t.Time) {
			j.refuse(upTo, "target time %s cannot be reached: %s, of before %s", formatTime(*t.Time), gap, formatTime(behind))
			return
		}
		j.warn("%s: if the target time lies behind the gap, PostgreSQL will not reach it", gap)
	case t.XID != "", t.Name != "":
		j.warn("%s: if the target lies behind the gap, PostgreSQL will not reach it", gap)
	default:
		j.refuse(upTo, "the end of the archive cannot be reached: %s", gap)
	}
}

// judgeEnd warns of a time behind all WAL, and refuses one that is still to come.
func (a surveyed) judgeEnd(j *judged, moment time.Time) {
	if moment.After(time.Now()) {
		j.refuse("leave --target-time away to recover to the end of the archive", "target time %s is still to come", formatTime(moment))
		return
	}
	if j.route.Missing != "" {
		return
	}
	last := wal.Segment{Timeline: j.route.UntilTimeline, Number: wal.SegmentAt(j.route.UntilTimeline, j.route.Until-1, a.size()).Number}.Name(a.size())
	if written, known := a.written(last); known && written.Before(moment) {
		j.warn("the newest whole segment, %s, is of %s: unless a commit after the target time %s is in what was received since, "+
			"PostgreSQL ends with \"recovery ended before configured recovery target was reached\"; then recover again without --target-time",
			last, formatTime(written), formatTime(moment))
	}
}

func (a surveyed) size() wal.SegmentSize { return a.routes.SegmentSize() }

// written is when a segment was finished, as far as its file tells: that keeps
// the time of the file on the PostgreSQL server.
func (a surveyed) written(name string) (time.Time, bool) {
	layout := a.server.Catalogue.Layout()
	parsed, err := wal.ParseName(name)
	if err != nil {
		return time.Time{}, false
	}
	for _, path := range []string{filepath.Join(layout.StreamingDirectory, name), filepath.Join(layout.IncomingDirectory, name), a.server.Catalogue.WALPath(parsed)} {
		if info, err := os.Lstat(path); err == nil {
			return info.ModTime(), true
		}
	}
	return time.Time{}, false
}

// refusal is the error for an obstacle. It names the backup to take instead, or
// says what else to do.
func (a surveyed) refusal(t Target, b *catalogue.Backup, j judged, waits bool) error {
	instead := a.advise(t, b, waits)
	if j.obstacle.advice != "" {
		if instead != "" {
			instead = ", or " + instead
		}
		return sdk.Errorf(sdk.Invalid, "%s: %s%s", j.obstacle.reason, j.obstacle.advice, instead)
	}
	if instead == "" {
		instead = "no other backup of this server leads there; 'barman show-backup' tells which timelines one leads to, 'barman wal-gaps' how far"
		if !t.usable(b) {
			instead = "no backup of this server ends before it"
		}
	}
	return sdk.Errorf(sdk.Invalid, "%s: %s", j.obstacle.reason, instead)
}

// advise names the newest other backup that can be recovered to the target.
func (a surveyed) advise(t Target, but *catalogue.Backup, waits bool) string {
	for _, b := range a.backups {
		if b.ID == but.ID {
			continue
		}
		if j, err := a.judge(t, b, waits); err == nil && j.obstacle == nil {
			return "the nearest usable backup is " + string(b.ID)
		}
	}
	return ""
}

// Choose picks the backup to recover to a target from: the newest that ended
// before it and leads to it. warnings tell of newer ones that were passed over.
// Where a target of another kind lies cannot be known, and it is an error of kind
// Invalid to ask.
func Choose(ctx context.Context, s *server.Server, t Target, standby bool) (chosen *catalogue.Backup, warnings []string, err error) {
	if err := t.validate(); err != nil {
		return nil, nil, err
	}
	if t.XID != "" || t.Name != "" || t.Immediate {
		return nil, nil, sdk.Errorf(sdk.Invalid, "the backup can be chosen for a target time or lsn, a timeline, or the end of the archive: where another target lies cannot be known before; name a backup")
	}
	a, err := survey(ctx, s, 0)
	if err != nil {
		return nil, nil, err
	}
	if len(a.backups) == 0 {
		return nil, nil, sdk.Errorf(sdk.NotFound, "server %s has no complete backup", s.Name())
	}
	var first error
	for _, b := range a.backups {
		j, err := a.judge(t, b, standby)
		switch {
		case err != nil:
			warnings = append(warnings, fmt.Sprintf("backup %s was passed over: %v", b.ID, err))
		case j.obstacle == nil:
			return b, warnings, nil
		case t.usable(b):
			first = firstOf(first, a.refusal(t, b, j, standby))
			warnings = append(warnings, fmt.Sprintf("backup %s was passed over: %s", b.ID, j.obstacle.reason))
		default:
			first = firstOf(first, a.refusal(t, b, j, standby))
		}
	}
	return nil, nil, firstOf(first, sdk.Errorf(sdk.Corrupt, "no backup of server %s can be read to its end", s.Name()))
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
