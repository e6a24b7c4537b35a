package backupapi

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/replication"
	"github.com/barman-go/barman/sdk/wal"
)

const (
	// firstWithNewNames is the first version whose functions are called
	// pg_backup_start and pg_backup_stop.
	firstWithNewNames = 15
	// firstWithIdleSessions is the first version that may end sessions that have
	// nothing to do.
	firstWithIdleSessions = 14
)

// DefaultKeepAlive is how often a session says something while files are copied.
const DefaultKeepAlive = time.Minute

// Session is a connection on which one backup is made. It is for one goroutine
// at a time.
type Session struct {
	conn *replication.Conn
}

// Connect opens a connection that no timeout of the server ends. The caller
// closes it. Errors are those of package replication.
func Connect(ctx context.Context, conninfo sdk.Secret, applicationName string) (*Session, error) {
	conn, err := replication.ConnectSQL(ctx, conninfo, applicationName)
	if err != nil {
		return nil, err
	}
	settings := "SET client_encoding = 'UTF8'; SET search_path = pg_catalog; SET standard_conforming_strings = on; SET statement_timeout = 0"
	if conn.Major() >= firstWithIdleSessions {
		settings += "; SET idle_session_timeout = 0"
	}
	if _, err := conn.Query(ctx, settings); err != nil {
		conn.Close()
		return nil, err
	}
	return &Session{conn: conn}, nil
}

// Close ends the connection. A backup that was started and not stopped is over,
// as if it had never begun.
func (s *Session) Close() { s.conn.Close() }

// String names the connection in messages.
func (s *Session) String() string { return s.conn.String() }

// Server is what must be known of a server to copy its files.
type Server struct {
	// Major is the major version: 10 to 18 and later.
	Major int
	// SystemID identifies the cluster.
	SystemID string
	// Standby: the server is in recovery.
	Standby bool
	// DataDirectory, ConfigFile, HBAFile and IdentFile are absolute paths on the
	// server.
	DataDirectory, ConfigFile, HBAFile, IdentFile string
	// Tablespaces are those with a directory of their own, in order of OID.
	Tablespaces []sdk.Tablespace
	// Names are the names of the tablespaces, by their OID.
	Names map[uint32]string
}

const serverSQL = `SELECT (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery(),
	current_setting('data_directory'), current_setting('config_file'), current_setting('hba_file'), current_setting('ident_file')`

const tablespacesSQL = `SELECT oid, pg_tablespace_location(oid), spcname FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '' ORDER BY oid`

// Server asks the server where its files are. After Start the answer holds for
// the backup: a tablespace that is made later is made again by the WAL.
func (s *Session) Server(ctx context.Context) (Server, error) {
	found := Server{Major: s.conn.Major(), Names: map[uint32]string{}}
	rows, err := s.conn.Query(ctx, serverSQL)
	if err != nil {
		return found, err
	}
	if len(rows) != 1 || len(rows[0]) != 6 {
		return found, s.unknownForm("the server's directories")
	}
	row := rows[0]
	found.SystemID, found.Standby = row[0], row[1] == "t"
	found.DataDirectory, found.ConfigFile, found.HBAFile, found.IdentFile = row[2], row[3], row[4], row[5]
	if rows, err = s.conn.Query(ctx, tablespacesSQL); err != nil {
		return found, err
	}
	for _, row := range rows {
		oid, err := strconv.ParseUint(row[0], 10, 32)
		if err != nil {
			return found, s.unknownForm("tablespaces")
		}
		found.Tablespaces = append(found.Tablespaces, sdk.Tablespace{OID: uint32(oid), Location: row[1]})
		found.Names[uint32(oid)] = row[2]
	}
	return found, nil
}

// StartOptions say how a backup begins.
type StartOptions struct {
	// Label is written into backup_label; it must not have control characters.
	Label string
	// Fast makes the checkpoint at once, rather than spread over
	// checkpoint_completion_target, which may take minutes.
	Fast bool
}

// Begin is where a backup began.
type Begin struct {
	// LSN is where its WAL begins.
	LSN wal.LSN
	// Time is the server's time right after the start: what is written to files
	// later than that is written during the backup.
	Time time.Time
}

const clockSQL = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// Start begins the backup with a checkpoint, on a standby with a restartpoint.
// It returns when that is done. Errors: Invalid for a label that is not usable
// and a server whose wal_level or full_page_writes allow no backup, Denied
// without the grants.
func (s *Session) Start(ctx context.Context, options StartOptions) (Begin, error) {
	if strings.ContainsFunc(options.Label, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return Begin{}, sdk.Errorf(sdk.Invalid, "backup label %q has control characters", options.Label)
	}
	function, exclusive := "pg_backup_start", ""
	if s.conn.Major() < firstWithNewNames {
		function, exclusive = "pg_start_backup", ", false"
	}
	rows, err := s.conn.Query(ctx, fmt.Sprintf("SELECT %s(%s, %t%s)", function, replication.QuoteLiteral(options.Label), options.Fast, exclusive))
	if err != nil {
		return Begin{}, explain("begin a backup", err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return Begin{}, s.unknownForm(function)
	}
	begin := Begin{}
	if begin.LSN, err = wal.ParseLSN(rows[0][0]); err != nil {
		return Begin{}, err
	}
	begin.Time, err = s.clock(ctx)
	return begin, err
}

func (s *Session) clock(ctx context.Context) (time.Time, error) {
	rows, err := s.conn.Query(ctx, clockSQL)
	if err != nil {
		return time.Time{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return time.Time{}, s.unknownForm("the server's clock")
	}
	micros, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return time.Time{}, s.unknownForm("the server's clock")
	}
	return time.UnixMicro(micros), nil
}

// During runs copy while the session is held: it says something every
// keepAlive, and when the server ends the session, the context of copy ends and
// what is returned says why, with the kind Unavailable. copy must return when its
// context ends.
func (s *Session) During(ctx context.Context, keepAlive time.Duration, copy func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	held := make(chan error, 1)
	go func() {
		err := s.hold(ctx, cmp.Or(keepAlive, DefaultKeepAlive))
		if err != nil {
			cancel(err)
		}
		held <- err
	}()
	err := copy(ctx)
	cancel(nil)
	if lost := <-held; lost != nil {
		return sdk.Errorf(sdk.Unavailable, "the connection that held the backup was lost, so that the server ended the backup: %w", lost)
	}
	return err
}

// hold keeps the session alive until ctx ends.
func (s *Session) hold(ctx context.Context, keepAlive time.Duration) error {
	for ctx.Err() == nil {
		if err := s.conn.Idle(ctx, keepAlive); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		// Outlives ctx: a statement that is cancelled half way could break what it is to keep.
		within, done := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
		_, err := s.conn.Query(within, "SELECT 1")
		done()
		if err != nil {
			return err
		}
	}
	return nil
}

// answerTime is how long a server may take to answer "SELECT 1" before it counts
// as gone.
const answerTime = 30 * time.Second

// End is what a backup's stop tells.
type End struct {
	// Timeline is the timeline on which the backup began.
	Timeline wal.Timeline
	// LSN is where its WAL ends.
	LSN wal.LSN
	// Time is the server's time right after the stop.
	Time time.Time
	// Label is the content of the file backup_label, which belongs into the copy of
	// the data directory.
	Label string
	// TablespaceMap is the content of the file tablespace_map; empty without
	// tablespaces. With that file PostgreSQL links the tablespaces to where they
	// were on this server: it belongs into a copy only if that is wanted.
	TablespaceMap string
}

// Stop ends the backup. It does not wait for the server's archiver: that the WAL
// is there is for the caller to see. A primary switches WAL, so that the segment
// in which the backup ends is archived next; a standby does not.
func (s *Session) Stop(ctx context.Context) (End, error) {
	call := "pg_backup_stop(false)"
	if s.conn.Major() < firstWithNewNames {
		call = "pg_stop_backup(false, false)"
	}
	rows, err := s.conn.Query(ctx, "SELECT lsn, labelfile, spcmapfile FROM "+call)
	if err != nil {
		return End{}, explain("end the backup", err)
	}
	if len(rows) != 1 || len(rows[0]) != 3 {
		return End{}, s.unknownForm(call)
	}
	end := End{Label: rows[0][1], TablespaceMap: rows[0][2]}
	if end.LSN, err = wal.ParseLSN(rows[0][0]); err != nil {
		return End{}, err
	}
	if end.Timeline, err = timelineOf(end.Label); err != nil {
		return End{}, err
	}
	end.Time, err = s.clock(ctx)
	return end, err
}

// timelineOf reads the timeline from a backup_label, whose first line names the
// first WAL file: "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)".
func timelineOf(label string) (wal.Timeline, error) {
	first, _, _ := strings.Cut(label, "\n")
	_, file, found := strings.Cut(first, "(file ")
	name, err := wal.ParseName(strings.TrimSuffix(file, ")"))
	if !found || err != nil || name.Kind != wal.KindSegment || name.Timeline == 0 || !strings.HasPrefix(first, "START WAL LOCATION: ") {
		return 0, sdk.Errorf(sdk.Corrupt, "the server's backup_label begins with %.100q, which names no WAL file", first)
	}
	return name.Timeline, nil
}

// explain says what was being done, and leaves the kind as it is.
func explain(doing string, err error) error {
	return sdk.Errorf(sdk.KindOf(err), "%s: %w", doing, err)
}

func (s *Session) unknownForm(what string) error {
	return fmt.Errorf("%s: %s: the answer has an unknown form", s.conn, what)
}
