package postgres

import (
	"context"
	"fmt"

	"github.com/barman-go/barman/sdk"
)

// Check is one row of 'barman check'.
type Check struct {
	Name string
	OK   bool
	Hint string // may be empty; on a good row it is information
	// Details are lines below the row; few rows have any.
	Details []string
}

// CheckRequest says what to check a server for.
type CheckRequest struct {
	Server            string // its name in the configuration, for hints
	Conninfo          string
	StreamingConninfo string // empty when no streaming connection is configured
	// WALConninfo and WALStreamingConninfo lead to the host that WAL is received
	// from, and that has the slot; empty when that is the server itself.
	WALConninfo, WALStreamingConninfo string
	PrimaryConninfo                   string // leads to the primary of a standby; may be empty
	Slot                              string // empty when no replication slot is configured
	Archiver                          bool   // archive_command is to deliver WAL
	StreamingArchiver                 bool   // WAL is to be streamed
	StoredSystemID                    string // the system identifier of the backups so far; empty before the first one
	IdentityFile                      string // where StoredSystemID was read, for the hint
}

// CheckReport holds the rows in the order of 'barman check', which prints rows
// that are not PostgreSQL's between these groups.
type CheckReport struct {
	// Version is the server's, such as "15.4"; empty when it could not be asked or
	// is not supported.
	Version string
	// DataDirectory is where the server's files are, there; empty when it could not
	// be asked.
	DataDirectory string
	PostgreSQL    []Check // connections, privileges, settings, slot
	Identity      []Check // system identifier
	FileArchiver  []Check // empty when the archiver is off, or without a connection
}

// All is every row in order.
func (r CheckReport) All() []Check {
	all := append([]Check{}, r.PostgreSQL...)
	return append(append(all, r.Identity...), r.FileArchiver...)
}

// CheckServer connects to a server and checks it. It has no error: whatever goes
// wrong is a failed row.
func CheckServer(ctx context.Context, request CheckRequest) CheckReport {
	conn, err := Connect(ctx, request.Conninfo, defaultApplicationName)
	if err != nil {
		return unreachable(request, err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written, and the rows tell of a lost connection
	facts, err := conn.Facts(ctx)
	if err == nil {
		err = facts.Supported()
	}
	if err != nil {
		return unreachable(request, err)
	}

	report := CheckReport{Version: facts.ShortVersion(), DataDirectory: facts.DataDirectory, PostgreSQL: []Check{{Name: "PostgreSQL", OK: true}, checkPrivileges(ctx, conn)}}
	streamed := ""
	if request.StreamingConninfo != "" {
		var row Check
		row, streamed = checkStreaming(ctx, request.StreamingConninfo)
		report.PostgreSQL = append(report.PostgreSQL, row)
	}
	report.PostgreSQL = append(report.PostgreSQL, checkWALLevel(facts))
	if request.PrimaryConninfo != "" {
		report.PostgreSQL = append(report.PostgreSQL, checkPrimary(ctx, request.PrimaryConninfo, facts)...)
	}
	switch {
	case request.WALConninfo != "":
		report.PostgreSQL = append(report.PostgreSQL, checkWALHost(ctx, request, facts.SystemID)...)
	case request.Slot != "":
		report.PostgreSQL = append(report.PostgreSQL, checkSlot(ctx, conn, request)...)
	}
	if request.StreamingConninfo != "" {
		report.PostgreSQL = append(report.PostgreSQL, checkFreeSender(facts))
	}
	report.Identity = []Check{checkIdentity(request, facts.SystemID, streamed)}
	if request.Archiver {
		report.FileArchiver = checkArchiver(ctx, conn, facts)
	}
	return report
}

func unreachable(request CheckRequest, err error) CheckReport {
	return CheckReport{
		PostgreSQL: []Check{{Name: "PostgreSQL", Hint: err.Error()}},
		Identity:   []Check{checkIdentity(request, "", "")},
	}
}

func checkPrivileges(ctx context.Context, conn *Conn) Check {
	const failing = "no access to backup functions"
	privileges, err := conn.Privileges(ctx)
	switch {
	case err != nil:
		return Check{Name: failing, Hint: err.Error()}
	case !privileges.Backup():
		return Check{Name: failing, Hint: "privileges for PostgreSQL backup functions are required (see documentation)"}
	}
	return Check{Name: "superuser or standard user with backup privileges", OK: true}
}

// checkStreaming also returns the system identifier at the other end.
func checkStreaming(ctx context.Context, conninfo string) (Check, string) {
	row := Check{Name: "PostgreSQL streaming"}
	replication, err := ConnectReplication(ctx, conninfo, defaultApplicationName)
	if err != nil {
		row.Hint = err.Error()
		return row, ""
	}
	defer replication.Close() //nolint:errcheck // nothing was written
	system, err := replication.IdentifySystem(ctx)
	if err != nil {
		row.Hint = err.Error()
		return row, ""
	}
	row.OK = true
	return row, system.ID
}

// checkWALHost checks the host that WAL is received from, for instance a standby.
// The names of its rows tell them from those of the server.
func checkWALHost(ctx context.Context, request CheckRequest, systemID string) []Check {
	rows := walHostRows(ctx, request, systemID)
	for i := range rows {
		rows[i].Name += " (WAL streaming)"
	}
	return rows
}

func walHostRows(ctx context.Context, request CheckRequest, systemID string) []Check {
	conn, err := Connect(ctx, request.WALConninfo, defaultApplicationName)
	if err != nil {
		return []Check{{Name: "PostgreSQL", Hint: err.Error()}}
	}
	defer conn.Close() //nolint:errcheck // nothing was written, and the rows tell of a lost connection
	facts, err := conn.Facts(ctx)
	if err == nil {
		err = facts.Supported()
	}
	if err != nil {
		return []Check{{Name: "PostgreSQL", Hint: err.Error()}}
	}
	streaming, streamed := checkStreaming(ctx, request.WALStreamingConninfo)
	rows := []Check{checkMonitoring(ctx, conn), streaming, checkWALLevel(facts), checkSameCluster(systemID, facts.SystemID, streamed)}
	if request.Slot != "" {
		rows = append(rows, checkSlot(ctx, conn, request)...)
	}
	return rows
}

func checkMonitoring(ctx context.Context, conn *Conn) Check {
	const failing = "no access to monitoring functions"
	privileges, err := conn.Privileges(ctx)
	switch {
	case err != nil:
		return Check{Name: failing, Hint: err.Error()}
	case !privileges.Superuser && !privileges.Monitoring:
		return Check{Name: failing, Hint: "privileges for PostgreSQL monitoring functions are required (see documentation)"}
	}
	return Check{Name: "has monitoring privileges", OK: true}
}

// checkSameCluster makes sure that WAL is received from the cluster that is
// backed up. An identifier that could not be read is empty.
func checkSameCluster(backedUp string, received ...string) Check {
	row := Check{Name: "systemid coherence", OK: true}
	for _, id := range received {
		if backedUp != "" && id != "" && id != backedUp {
			row.OK = false
			row.Hint = fmt.Sprintf("conninfo leads to the system Id %s, wal_conninfo or wal_streaming_conninfo to %s: make all name the same cluster", backedUp, id)
		}
	}
	return row
}

func checkWALLevel(facts Facts) Check {
	if facts.WALLevel == "minimal" {
		return Check{Name: "wal_level", Hint: "please set it to a higher level than 'minimal'"}
	}
	return Check{Name: "wal_level", OK: true}
}

// checkSlot gives no row for a slot that is neither wanted nor in anyone's way.
func checkSlot(ctx context.Context, conn *Conn, request CheckRequest) []Check {
	row := Check{Name: "replication slot"}
	slot, err := conn.Slot(ctx, request.Slot)
	missing := sdk.KindOf(err) == sdk.NotFound
	if !request.StreamingArchiver && err == nil {
		return unwantedSlot(slot)
	}
	switch {
	case missing && !request.StreamingArchiver:
		return nil
	case missing:
		row.Hint = fmt.Sprintf("replication slot '%s' doesn't exist. Please execute 'barman receive-wal --create-slot %s'", request.Slot, request.Server)
	case err != nil:
		row.Hint = err.Error()
	case slot.Lost():
		row.Hint = fmt.Sprintf("slot '%s' has lost WAL that was not received yet (see max_slot_wal_keep_size): drop and create it again "+
			"with 'barman receive-wal --drop-slot %s' and '--create-slot', then take a new backup", slot.Name, request.Server)
	case slot.RestartLSN == 0:
		row.Hint = fmt.Sprintf("slot '%s' not initialised: is 'receive-wal' running?", slot.Name)
	case !slot.Active:
		row.Hint = fmt.Sprintf("slot '%s' not active: is 'receive-wal' running?", slot.Name)
	default:
		row.OK = true
	}
	return []Check{row}
}

// unwantedSlot warns of a slot that keeps WAL for nobody and fills the server's
// disk.
func unwantedSlot(slot Slot) []Check {
	state := "initialised"
	switch {
	case slot.Active:
		state = "active"
	case slot.RestartLSN == 0:
		return nil
	}
	return []Check{{
		Name: "replication slot", OK: true,
		Hint: fmt.Sprintf("WARNING: slot '%s' is %s but not required by the current config", slot.Name, state),
	}}
}

// checkFreeSender counts before any streaming connection of this check: a backup
// needs a WAL sender besides that of the WAL receiver.
func checkFreeSender(facts Facts) Check {
	row := Check{Name: "free WAL sender", OK: facts.FreeWALSenders > 0}
	row.Hint = fmt.Sprintf("%d of %d available", facts.FreeWALSenders, facts.MaxWALSenders)
	if !row.OK {
		row.Hint += ": raise max_wal_senders and restart the server"
	}
	return row
}

// checkIdentity protects the catalogue from backups of another cluster.
func checkIdentity(request CheckRequest, connected, streamed string) Check {
	row := Check{Name: "systemid coherence"}
	current := connected
	if current == "" {
		current = streamed
	}
	switch {
	case connected != "" && streamed != "" && connected != streamed:
		row.Hint = fmt.Sprintf("conninfo leads to the system Id %s, streaming_conninfo to %s: make both name the same server", connected, streamed)
	case current == "":
		row.OK, row.Hint = true, "no system Id available"
	case request.StoredSystemID == "":
		row.OK, row.Hint = true, "no system Id stored on disk"
	case current != request.StoredSystemID:
		row.Hint = fmt.Sprintf("the system Id of the connected PostgreSQL server changed, stored in \"%s\"", request.IdentityFile)
	default:
		row.OK = true
	}
	return row
}

func checkArchiver(ctx context.Context, conn *Conn, facts Facts) []Check {
	mode := Check{Name: "archive_mode", OK: facts.ArchiveMode == "on" || facts.ArchiveMode == "always"}
	if !mode.OK {
		mode.Hint = "please set it to 'on' or 'always'"
	}
	command := Check{Name: "archive_command", OK: facts.ArchiveLibrary != "" || facts.ArchiveCommand != "" && facts.ArchiveCommand != "(disabled)"}
	if !command.OK {
		command.Hint = "please set it accordingly to documentation"
	}
	rows := []Check{mode, command}
	if !mode.OK {
		return rows
	}
	continuous := Check{Name: "continuous archiving"}
	archiver, err := conn.Archiver(ctx)
	switch {
	case err != nil:
		continuous.Hint = err.Error()
	case !archiver.Healthy():
		continuous.Hint = fmt.Sprintf("the server could not archive %s (%d failures): see its log", archiver.LastFailed, archiver.Failed)
	default:
		continuous.OK = true
	}
	return append(rows, continuous)
}
