package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
)

// text writes the sections of Barman 3.17's show-backup.
func (b shownBackup) text(w io.Writer, st style) {
	fmt.Fprintf(w, "Backup %s:\n", b.backup.ID)
	for i, section := range b.sections() {
		indent, width := "  ", 23
		if i > 0 {
			fmt.Fprintln(w)
		}
		if section.title != "" {
			fmt.Fprintf(w, "  %s:\n", section.title)
			indent, width = "    ", 21
		}
		for _, r := range section.rows {
			fmt.Fprintf(w, "%s%-*s: %s\n", indent, width, r.label, r.value)
		}
	}
	if b.backup.Error != "" && !b.backup.State.CopyDone() {
		fmt.Fprintf(w, "  %-23s: %s\n", "Error", b.backup.Error)
	}
	if len(b.timelines) > 0 && b.backup.State.CopyDone() {
		fmt.Fprintf(w, "\n%s\n", st.notice("WARNING: "+severalTimelines))
	}
}

// severalTimelines says that figures are about the backup's own timeline.
const severalTimelines = "WAL information is inaccurate due to multiple timelines interacting with this backup"

// reachable are the younger timelines that the backup can be led to, in decimal.
func (b shownBackup) reachable() []string {
	var texts []string
	for _, timeline := range b.timelines {
		texts = append(texts, strconv.FormatUint(uint64(timeline), 10))
	}
	return texts
}

type section struct {
	title string
	rows  []row
}

type row struct{ label, value string }

// add adds a row when there is something to show.
func (s *section) add(label, value string) {
	if value != "" {
		s.rows = append(s.rows, row{label, value})
	}
}

func (b shownBackup) sections() []section {
	all := []section{b.general()}
	if server := b.serverInformation(); len(server.rows) > 0 {
		all = append(all, server)
	}
	if !b.backup.State.CopyDone() {
		return all
	}
	if snapshots := b.snapshots(); len(snapshots.rows) > 0 {
		all = append(all, snapshots)
	}
	if len(b.backup.Tablespaces) > 0 {
		tablespaces := section{title: "Tablespaces"}
		for _, t := range b.backup.Tablespaces {
			tablespaces.rows = append(tablespaces.rows, row{t.Name, fmt.Sprintf("%s (oid: %d)", t.Location, t.OID)})
		}
		all = append(all, tablespaces)
	}
	if b.alone {
		return append(all, b.base())
	}
	all = append(all, b.base(), b.archive(), b.surroundings())
	if len(b.sinks) > 0 {
		places := section{title: "Sinks"}
		for _, sink := range b.sinks {
			places.rows = append(places.rows, row{sink.Sink, sink.String()})
		}
		all = append(all, places)
	}
	return all
}

func (b shownBackup) general() section {
	var s section
	s.add("Backup Name", b.backup.Name)
	s.add("Server Name", b.server)
	s.add("System Id", b.backup.SystemID)
	s.add("Status", string(b.backup.State))
	if !b.backup.State.CopyDone() {
		return s
	}
	s.add("PostgreSQL Version", strconv.Itoa(b.backup.Version))
	s.add("PGDATA directory", b.backup.PGData)
	if b.backup.ClusterSize != nil {
		s.add("Estimated Cluster Size", catalogue.PrettySize(*b.backup.ClusterSize))
	}
	return s
}

func (b shownBackup) serverInformation() section {
	s := section{title: "Server information"}
	s.add("Checksums", b.backup.DataChecksums)
	s.add("WAL summarizer", b.backup.SummarizeWAL)
	return s
}

func (b shownBackup) base() section {
	s := section{title: "Base backup information"}
	s.add("Backup Method", b.backup.Mode)
	s.add("Encryption", b.backup.Encryption)
	if b.backup.Mode == catalogue.ModePostgres {
		s.add("Backup Type", string(b.backup.Type()))
	}
	s.add("Backup Size", b.sizeText())
	if b.backup.Compression != catalogue.Uncompressed {
		s.add("Backup Compression", b.backup.Compression)
	}
	if !b.alone {
		s.add("WAL Size", catalogue.PrettySize(b.wal.Size))
	}
	if saved, ok := b.saved(); ok {
		s.add("Resources saved", fmt.Sprintf("%s (%s)", catalogue.PrettySize(saved), b.savedPart(saved)))
	}
	s.add("Timeline", strconv.FormatUint(uint64(b.backup.Timeline), 10))
	s.add("Begin WAL", b.backup.BeginWAL)
	s.add("End WAL", b.backup.EndWAL)
	if !b.alone {
		s.add("Number of WALs", strconv.Itoa(b.wal.Count))
		s.add("WAL compression ratio", percent(b.wal.CompressionRatio()))
	}
	s.add("Begin time", timestamp(b.backup.BeginTime))
	s.add("End time", timestamp(b.backup.EndTime))
	s.add("Copy time", b.copyTimeText())
	if rate, ok := b.throughput(); ok {
		text := catalogue.PrettySize(int64(rate)) + "/s"
		if jobs := b.workers(); jobs > 1 {
			text += fmt.Sprintf(" (%d jobs)", jobs)
		}
		s.add("Estimated throughput", text)
	}
	s.add("Begin Offset", offset(b.backup.BeginOffset))
	s.add("End Offset", offset(b.backup.EndOffset))
	s.add("Begin LSN", b.backup.BeginLSN.String())
	s.add("End LSN", b.backup.EndLSN.String())
	return s
}

// sizeText is the size of the backup, with that of the WAL that it needs if that is
// known.
func (b shownBackup) sizeText() string {
	size := sizeOf(b.backup.Size)
	switch {
	case !b.alone:
		return fmt.Sprintf("%s (%s with WALs)", catalogue.PrettySize(size), catalogue.PrettySize(size+b.wal.Size))
	case b.backup.Size == nil:
		return ""
	}
	return catalogue.PrettySize(size)
}

func (b shownBackup) archive() section {
	s := section{title: "WAL information"}
	s.add("Number of files", strconv.Itoa(b.wal.UntilNextCount))
	s.add("Disk usage", catalogue.PrettySize(b.wal.UntilNextSize))
	s.add("WAL rate", walRate(b.wal))
	s.add("Compression ratio", percent(b.wal.UntilNextCompressionRatio()))
	s.add("Last available", b.wal.Last)
	s.add("Reachable timelines", strings.Join(b.reachable(), ", "))
	return s
}

func (b shownBackup) surroundings() section {
	s := section{title: "Catalog information"}
	s.add("Retention Policy", b.retentionText())
	s.add("Previous Backup", b.previousText())
	s.add("Next Backup", b.nextText())
	if b.backup.ParentID != "" {
		s.add("Root Backup", string(b.chain[0]))
		s.add("Parent Backup", string(b.backup.ParentID))
		s.add("Backup chain size", strconv.Itoa(len(b.chain)))
	}
	if len(b.backup.ChildrenIDs) > 0 {
		s.add("Children Backup(s)", strings.Join(b.children(), ", "))
	}
	return s
}

func (b shownBackup) children() []string {
	var ids []string
	for _, id := range b.backup.ChildrenIDs {
		ids = append(ids, string(id))
	}
	return ids
}

// snapshots tells what Barman in Python noted of the disks that it took snapshots
// of: the provider, what concerns all of them, and then each.
func (b shownBackup) snapshots() section {
	s := section{title: "Snapshot information"}
	info := b.backup.SnapshotsInfo
	s.add("provider", textOf(info, "provider"))
	s.addAll(info, "provider_info")
	list, _ := info.Get("snapshots")
	items, _ := list.(catalogue.List)
	for _, item := range items {
		snapshot, ok := item.(catalogue.Dict)
		if !ok {
			continue
		}
		s.addAll(snapshot, "provider")
		if mount, ok := dictOf(snapshot, "mount"); ok {
			s.add("Mount point", textOf(mount, "mount_point"))
			s.add("Mount options", textOf(mount, "mount_options"))
		}
	}
	return s
}

// addAll adds what a dictionary within another one has, in the order of its keys.
func (s *section) addAll(of catalogue.Dict, key string) {
	inner, _ := dictOf(of, key)
	sorted := slices.Clone(inner)
	slices.SortFunc(sorted, func(a, b catalogue.DictEntry) int { return cmp.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
	for _, entry := range sorted {
		if name := fmt.Sprint(entry.Key); entry.Value != nil {
			s.add(name, fmt.Sprint(entry.Value))
		}
	}
}

func dictOf(d catalogue.Dict, key string) (catalogue.Dict, bool) {
	value, _ := d.Get(key)
	inner, ok := value.(catalogue.Dict)
	return inner, ok
}

// textOf returns a value for people; empty if there is none.
func textOf(d catalogue.Dict, key string) string {
	value, found := d.Get(key)
	if !found || value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// retentionNotEnforced is what holds while no policy deletes anything.
const retentionNotEnforced = "not enforced"

// retentionText is what the policy says of the backup.
func (b shownBackup) retentionText() string {
	if b.verdict == "" {
		return retentionNotEnforced
	}
	return string(b.verdict)
}

func (b shownBackup) previousText() string {
	if b.previous == "" {
		return "- (this is the oldest base backup)"
	}
	return string(b.previous)
}

func (b shownBackup) nextText() string {
	if b.next == "" {
		return "- (this is the latest base backup)"
	}
	return string(b.next)
}

// saved is how much of the backup is shared with earlier ones.
func (b shownBackup) saved() (int64, bool) {
	switch b.backup.Type() {
	case catalogue.TypeRsync, catalogue.TypeIncremental:
	default:
		return 0, false
	}
	whole := b.backup.Size
	if b.backup.Type() == catalogue.TypeIncremental {
		whole = b.backup.ClusterSize
	}
	if whole == nil || b.backup.DeduplicatedSize == nil {
		return 0, false
	}
	return *whole - *b.backup.DeduplicatedSize, true
}

func (b shownBackup) savedPart(saved int64) string {
	whole := saved + *b.backup.DeduplicatedSize
	if whole == 0 {
		return "0.00%"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(saved)/float64(whole))
}

func (b shownBackup) copyTime() (time.Duration, bool) {
	return seconds(b.backup.CopyStats, "copy_time")
}

func (b shownBackup) analysisTime() time.Duration {
	d, _ := seconds(b.backup.CopyStats, "analysis_time")
	return d
}

func (b shownBackup) copyTimeText() string {
	d, known := b.copyTime()
	if !known {
		return ""
	}
	text := catalogue.PrettyDuration(d)
	if startup := b.analysisTime(); startup >= time.Second {
		text += " + " + catalogue.PrettyDuration(startup) + " startup"
	}
	return text
}

func (b shownBackup) throughput() (float64, bool) {
	d, known := b.copyTime()
	if !known || d <= 0 || b.backup.DeduplicatedSize == nil {
		return 0, false
	}
	return float64(*b.backup.DeduplicatedSize) / d.Seconds(), true
}

func (b shownBackup) workers() int {
	n, known := b.backup.CopyStats.Float("number_of_workers")
	if !known {
		return 1
	}
	return int(n)
}

func walRate(w catalogue.WALStatistics) string {
	if w.PerSecond() <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f/hour", 3600*w.PerSecond())
}

func seconds(stats catalogue.Dict, key string) (time.Duration, bool) {
	const most = 1e9 // it may have been edited by hand
	s, known := stats.Float(key)
	if !known || s < 0 || s > most {
		return 0, false
	}
	return time.Duration(s * float64(time.Second)), true
}

func percent(part float64) string {
	if part <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f%%", 100*part)
}

func offset(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// timestamp shows a moment as backup.info does, with microseconds if there are
// any.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02 15:04:05-07:00")
	}
	return t.Format("2006-01-02 15:04:05.000000-07:00")
}
