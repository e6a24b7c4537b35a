package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/wal"
)

// MinimumVersion is the oldest supported server, as server_version_num.
const MinimumVersion = 100000

// Tablespace is one with a directory of its own: neither pg_default nor
// pg_global.
type Tablespace struct {
	Name     string
	OID      uint32
	Location string // absolute path on the server
}

// Facts is what a server says about itself. What the user may not read is left
// zero and listed in Unknown: with pg_read_all_settings nothing is.
type Facts struct {
	VersionNum int    // server_version_num, for instance 150004
	Version    string // server_version, for instance "15.4 (Debian 15.4-1)"
	SystemID   string // system identifier of the cluster, decimal digits

	InRecovery bool         // true on a standby
	LSN        wal.LSN      // written so far; on a standby, replayed so far
	Timeline   wal.Timeline // the timeline of LSN

	DataDirectory string
	ConfigFile    string
	HBAFile       string
	IdentFile     string
	// IncludedFiles are the files other than ConfigFile that supply settings,
	// sorted; postgresql.auto.conf is one of them once it sets something.
	IncludedFiles []string
	Tablespaces   []Tablespace // in order of OID

	BlockSize   int // bytes
	SegmentSize wal.SegmentSize
	// DataChecksums and SummarizeWAL are "on" or "off"; SummarizeWAL is empty
	// before PostgreSQL 17.
	DataChecksums string
	SummarizeWAL  string

	WALLevel                string // "minimal", "replica" or "logical"
	ArchiveMode             string // "off", "on" or "always"
	ArchiveCommand          string // "(disabled)" while ArchiveMode is "off"
	ArchiveLibrary          string // PostgreSQL 15+
	SynchronousStandbyNames string

	MaxWALSenders       int
	FreeWALSenders      int
	MaxReplicationSlots int
	FreeSlots           int

	// Unknown names what could not be read, by the server's name for it.
	Unknown []string
}

// Major is the major version: 15 for 15.4.
func (f Facts) Major() int { return f.VersionNum / 10000 }

// ShortVersion is Version without what the packager added: "15.4".
func (f Facts) ShortVersion() string {
	version, _, _ := strings.Cut(f.Version, " ")
	return version
}

// Knows tells whether a fact, by the server's name for it, could be read.
func (f Facts) Knows(name string) bool { return !slices.Contains(f.Unknown, name) }

// Supported is nil for a server that is new enough, else an Invalid error.
func (f Facts) Supported() error {
	if f.VersionNum >= MinimumVersion {
		return nil
	}
	return sdk.Errorf(sdk.Invalid, "unsupported version: PostgreSQL server is too old (%s < %d)", f.Version, MinimumVersion/10000)
}

const settingsSQL = `SELECT name, setting, coalesce(unit, '') FROM pg_settings WHERE name IN (
	'server_version_num', 'server_version', 'data_directory', 'config_file', 'hba_file', 'ident_file', 'block_size',
	'wal_block_size', 'wal_segment_size', 'data_checksums', 'summarize_wal', 'wal_level', 'archive_mode', 'archive_command',
	'archive_library', 'synchronous_standby_names', 'max_wal_senders', 'max_replication_slots')`

// A user without pg_read_all_settings sees no source files at all.
const sourceFilesSQL = `SELECT DISTINCT sourcefile FROM pg_settings WHERE sourcefile IS NOT NULL ORDER BY 1`

const tablespacesSQL = `SELECT spcname, oid, pg_tablespace_location(oid) FROM pg_tablespace
	WHERE pg_tablespace_location(oid) <> '' ORDER BY oid`

// pg_stat_replication has a row for every WAL sender, whatever the user may see
// of its columns.
const stateSQL = `SELECT pg_is_in_recovery(),
	coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')::text,
	CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
	(SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_replication_slots)`

// The control file is behind on a standby that has just followed a promotion,
// the WAL receiver is not there on one fed from an archive: the highest counts.
const controlSQL = `SELECT s.system_identifier::text, greatest(c.timeline_id, r.min_recovery_end_timeline,
	(SELECT max(received_tli) FROM pg_stat_wal_receiver))
	FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r`

// Facts asks the server everything in one round trip.
func (c *Conn) Facts(ctx context.Context) (Facts, error) {
	facts, err := c.facts(ctx)
	return facts, c.endpoint.explained("read the server's facts", err)
}

func (c *Conn) facts(ctx context.Context) (f Facts, err error) {
	var batch pgx.Batch
	for _, sql := range []string{settingsSQL, sourceFilesSQL, tablespacesSQL, stateSQL, controlSQL} {
		batch.Queue(sql)
	}
	results := c.pg.SendBatch(ctx, &batch)
	defer func() {
		if closing := results.Close(); err == nil && !isDenied(closing) {
			err = closing
		}
	}()

	settings, err := readSettings(results)
	if err != nil {
		return f, err
	}
	if err := f.fill(settings); err != nil {
		return f, err
	}
	if err := f.readFiles(results, settings); err != nil {
		return f, err
	}
	if err := f.readTablespaces(results); err != nil {
		return f, err
	}
	if err := f.readState(results); err != nil {
		return f, err
	}
	return f, f.readControl(results) // last: a denied statement of a batch takes those behind it along
}

func (f *Facts) readFiles(results pgx.BatchResults, settings settings) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	files, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if !f.Knows("config_file") {
		f.Unknown = append(f.Unknown, "sourcefile")
		return nil
	}
	f.IncludedFiles = slices.DeleteFunc(files, func(file string) bool { return file == settings.text("config_file") })
	return nil
}

func (f *Facts) readTablespaces(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	f.Tablespaces, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Tablespace])
	return err
}

func (f *Facts) readState(results pgx.BatchResults) error {
	var lsn, timeline string
	var senders, slots int
	if err := results.QueryRow().Scan(&f.InRecovery, &lsn, &timeline, &senders, &slots); err != nil {
		return err
	}
	f.FreeWALSenders = max(0, f.MaxWALSenders-senders)
	f.FreeSlots = max(0, f.MaxReplicationSlots-slots)
	var err error
	if f.LSN, err = wal.ParseLSN(lsn); err != nil {
		return err
	}
	if timeline == "" {
		return nil
	}
	f.Timeline, err = parseTimeline(timeline, 16)
	return err
}

func (f *Facts) readControl(results pgx.BatchResults) error {
	var timeline int64
	err := results.QueryRow().Scan(&f.SystemID, &timeline)
	if isDenied(err) { // somebody revoked it from PUBLIC; IDENTIFY_SYSTEM still tells both
		f.Unknown = append(f.Unknown, "system_identifier")
		if f.InRecovery {
			f.Unknown = append(f.Unknown, "timeline")
		}
		return nil
	}
	if err == nil && f.InRecovery {
		f.Timeline = wal.Timeline(timeline)
	}
	return err
}

// parseTimeline reads a timeline number; the server prints it in hexadecimal
// within WAL file names, in decimal elsewhere.
func parseTimeline(text string, base int) (wal.Timeline, error) {
	timeline, err := strconv.ParseUint(text, base, 32)
	if err != nil {
		return 0, fmt.Errorf("timeline %q: %w", text, errors.Unwrap(err))
	}
	return wal.Timeline(timeline), nil
}

func isDenied(err error) bool {
	server := serverError(err)
	return server != nil && server.Code == "42501"
}
