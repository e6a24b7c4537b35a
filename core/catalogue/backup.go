package catalogue

import (
	"fmt"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk/wal"
)

// State tells how far a backup is.
type State string

const (
	// StateEmpty: registered, nothing done yet.
	StateEmpty State = "EMPTY"
	// StateStarted: PostgreSQL was told, the copy is running, or was when its
	// process died.
	StateStarted State = "STARTED"
	// StateWaitingForWALs: the copy is complete and durable, WAL it needs is not
	// in the archive yet.
	StateWaitingForWALs State = "WAITING_FOR_WALS"
	// StateDone: the copy and all WAL from its begin to its end are there.
	StateDone State = "DONE"
	// StateFailed: cannot be restored; Backup.Error says why.
	StateFailed State = "FAILED"
	// StateSyncing: being copied from another Barman.
	StateSyncing State = "SYNCING"
)

// Valid reports whether s is one of the states.
func (s State) Valid() bool {
	switch s {
	case StateEmpty, StateStarted, StateWaitingForWALs, StateDone, StateFailed, StateSyncing:
		return true
	}
	return false
}

// CopyDone reports whether the copy itself is complete: the backup can be
// restored if the WAL is there.
func (s State) CopyDone() bool { return s == StateWaitingForWALs || s == StateDone }

// Unfinished tells whether the backup is being taken, or its process was killed.
func (s State) Unfinished() bool { return s == StateEmpty || s == StateStarted }

// Values of Backup.Mode.
const (
	ModePostgres        = "postgres"
	ModeRsyncConcurrent = "rsync-concurrent"
	ModeRsyncExclusive  = "rsync-exclusive"
)

// Tablespace is one tablespace besides the two that PostgreSQL keeps in its
// data directory.
type Tablespace struct {
	Name string
	OID  uint32
	// Location is its directory on the server. It comes from the catalogue and
	// is as trustworthy as that.
	Location string
}

// Uncompressed is the Compression of a backup whose tar files can be unpacked as
// they are, or for Python Barman not at all. It takes one without Compression for
// plain files, and would recover the archives themselves.
const Uncompressed = "none"

// Backup is what the catalogue knows of one backup, the content of its
// backup.info. A zero value or nil means that it is not known (yet).
type Backup struct {
	ID     BackupID
	Server string // server_name
	Name   string // backup_name, given by the user
	State  State
	Error  string // why it failed, one line

	Mode        string
	Compression string // of the tar files made by the server or by pg_basebackup, or Uncompressed
	SystemID    string
	Version     int // server_version_num, such as 150020
	Timeline    wal.Timeline
	SegmentSize wal.SegmentSize

	PGData        string
	ConfigFile    string
	HBAFile       string
	IdentFile     string
	IncludedFiles []string
	Tablespaces   []Tablespace

	BeginTime, EndTime time.Time
	BeginLSN, EndLSN   wal.LSN
	// BeginWAL and EndWAL name the first and last segment a restore needs. For an
	// end on a segment boundary EndWAL is the segment before it.
	BeginWAL, EndWAL       string
	BeginOffset, EndOffset *int64
	Label                  string // content of the backup_label file

	Size             *int64 // bytes of all files
	DeduplicatedSize *int64 // bytes of the files not shared with another backup
	CopyStats        Dict
	SnapshotsInfo    Dict

	// The fields below came after Barman 3.4, which refuses to read a file that
	// has them. They are written if they were in the file that was read, or are
	// set.
	DataChecksums string
	SummarizeWAL  string
	ParentID      BackupID
	ChildrenIDs   []BackupID
	ClusterSize   *int64
	Encryption    string

	present map[string]bool
}

// Type tells how a backup was made.
type Type string

// Types of backups.
const (
	TypeFull        Type = "full"
	TypeIncremental Type = "incremental"
	TypeRsync       Type = "rsync"
	TypeSnapshot    Type = "snapshot"
)

// Type derives the type from mode and parent.
func (b *Backup) Type() Type {
	switch {
	case strings.HasPrefix(b.Mode, "snapshot"):
		return TypeSnapshot
	case strings.HasPrefix(b.Mode, "rsync"):
		return TypeRsync
	case b.ParentID != "":
		return TypeIncremental
	}
	return TypeFull
}

// Full reports whether the backup needs no other and is made of files.
func (b *Backup) Full() bool {
	t := b.Type()
	return t == TypeFull || t == TypeRsync
}

// Fail marks the backup as failed: action is what was being done, as in
// "copying files", and only the first line of cause is kept.
func (b *Backup) Fail(action string, cause error) {
	first, _, _ := strings.Cut(strings.TrimSpace(cause.Error()), "\n")
	b.State = StateFailed
	b.Error = oneLine(fmt.Sprintf("failure %s (%s)", action, oneLine(first)))
}

// oneLine makes text fit for a line of backup.info.
func oneLine(s string) string {
	const most = 4096
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.TrimSpace(s)
}

// BeginSegment returns the first segment a restore needs.
func (b *Backup) BeginSegment() (wal.Segment, error) {
	return b.segment("begin_wal", b.BeginWAL)
}

// EndSegment returns the last segment a restore needs.
func (b *Backup) EndSegment() (wal.Segment, error) {
	return b.segment("end_wal", b.EndWAL)
}

func (b *Backup) segment(field, name string) (wal.Segment, error) {
	if name == "" {
		return wal.Segment{}, fmt.Errorf("backup %s is %s and has no %s", b.ID, b.State, field)
	}
	s, err := wal.ParseSegment(name, b.segmentSize())
	if err != nil {
		return wal.Segment{}, fmt.Errorf("backup %s, %s: %w", b.ID, field, err)
	}
	return s, nil
}

func (b *Backup) segmentSize() wal.SegmentSize {
	if b.SegmentSize == 0 {
		return wal.DefaultSegmentSize
	}
	return b.SegmentSize
}
