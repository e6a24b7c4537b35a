package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status SERVER…",
		Short: "Show the state of servers, their WAL and their backups",
		Long: `Show the state of one or more servers, or of "all": what PostgreSQL says of
itself and of its archiving, which backups there are, and the WAL since the last
of them.

The exit code is 2 when an active server's PostgreSQL is out of reach; what is
known without it is shown nevertheless.

` + exitCodesHelp,
		Example:           "  barman status main\n  barman -f json status all",
		Args:              someServers,
		ValidArgsFunction: a.completeServers,
		RunE:              func(cmd *cobra.Command, args []string) error { return runStatus(cmd.Context(), a, args) },
	}
}

func runStatus(ctx context.Context, a *app, args []string) error {
	return a.forServers(ctx, args, func(ctx context.Context, configured *config.Server) error {
		s, err := a.catalogued(configured)
		if err != nil {
			return err
		}
		found, err := readListing(s)
		if err != nil {
			return err
		}
		status := serverStatus{server: s.Name()}
		status.about(configured)
		unreachable := status.postgreSQL(ctx, s)
		status.backups(configured, found)
		a.print().answer(status)
		for _, warning := range found.warnings {
			a.print().warn(warning)
		}
		if !configured.Active || configured.Err() != nil {
			unreachable = nil // nobody expects it to be there
		}
		return errors.Join(unreachable, found.damage)
	})
}

// serverStatus is what is known of a server, in the order in which it is shown.
type serverStatus struct {
	server string
	rows   []statusRow
}

// statusRow is one of Barman's keys and its description.
type statusRow struct{ key, description, message string }

func (s *serverStatus) add(key, description, format string, args ...any) {
	s.rows = append(s.rows, statusRow{key, description, fmt.Sprintf(format, args...)})
}

func (s serverStatus) text(w io.Writer, _ style) {
	fmt.Fprintf(w, "Server %s:\n", s.server)
	for _, r := range s.rows {
		fmt.Fprintf(w, "\t%s: %s\n", r.description, r.message)
	}
}

func (s serverStatus) document() map[string]any {
	rows := map[string]any{}
	for _, r := range s.rows {
		rows[r.key] = map[string]any{"description": r.description, "message": r.message}
	}
	return map[string]any{s.server: rows}
}

// boolean is how Barman shows one.
func boolean(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func (s *serverStatus) about(c *config.Server) {
	s.add("description", "Description", "%s", c.Description)
	s.add("active", "Active", "%s", boolean(c.Active))
	s.add("disabled", "Disabled", "%s", boolean(c.Err() != nil))
	if c.ActiveModel != "" {
		s.add("active_model", "Active configuration model", "%s", c.ActiveModel)
	}
}

// postgreSQL adds what PostgreSQL says; what it does not say has no row. The
// error is why it could not be asked.
func (s *serverStatus) postgreSQL(ctx context.Context, of *server.Server) error {
	if of.Config.Passive() {
		return nil // whose PostgreSQL is left alone
	}
	err := askPostgreSQL(ctx, of.Connect, func(conn *postgres.Conn, facts postgres.Facts) error { return s.facts(ctx, conn, facts) })
	if err == nil {
		return nil
	}
	if !slices.ContainsFunc(s.rows, func(r statusRow) bool { return r.key == "pg_version" }) {
		s.add("pg_version", "PostgreSQL version", "FAILED trying to get PostgreSQL version")
	}
	return fmt.Errorf("server %s: %w", of.Name(), err)
}

// facts adds what PostgreSQL says of itself.
func (s *serverStatus) facts(ctx context.Context, conn *postgres.Conn, facts postgres.Facts) error {
	s.add("pg_version", "PostgreSQL version", "%s", facts.ShortVersion())
	state := "in production"
	if facts.InRecovery {
		state = "in archive recovery"
	}
	s.add("is_in_recovery", "Cluster state", "%s", state)
	switch size, err := conn.Size(ctx); {
	case err == nil:
		s.add("current_size", "Current data size", "%s", catalogue.PrettySize(size))
	case sdk.KindOf(err) != sdk.Denied:
		return err
	}
	if facts.Knows("data_directory") {
		s.add("data_directory", "PostgreSQL Data directory", "%s", facts.DataDirectory)
	}
	if !facts.InRecovery {
		s.add("current_xlog", "Current WAL segment", "%s", facts.CurrentWAL())
	}
	return s.archiver(ctx, conn, facts)
}

// archiver adds what PostgreSQL says of its own archiver.
func (s *serverStatus) archiver(ctx context.Context, conn *postgres.Conn, facts postgres.Facts) error {
	a, err := conn.Archiver(ctx)
	if err != nil {
		return err
	}
	if facts.ArchiveLibrary != "" {
		s.add("archive_library", "PostgreSQL 'archive_library' setting", "%s", facts.ArchiveLibrary)
	} else {
		s.add("archive_command", "PostgreSQL 'archive_command' setting", "%s", facts.ArchiveCommand)
	}
	last := "No WAL segment shipped yet"
	if a.LastArchived != "" && a.ArchivedAt != nil {
		last = fmt.Sprintf("%s, at %s", a.LastArchived, a.ArchivedAt.Format(time.ANSIC))
	}
	s.add("last_archived_wal", "Last archived WAL", "%s", last)
	failures := fmt.Sprint(a.Failed)
	if a.LastFailed != "" && a.FailedAt != nil {
		failures += fmt.Sprintf(" (%s at %s)", a.LastFailed, a.FailedAt.Format(time.ANSIC))
	}
	s.add("failed_count", "Failures of WAL archiver", "%s", failures)
	if a.PerSecond > 0 {
		s.add("server_archived_wals_per_hour", "Server WAL archiving rate", "%.2f/hour", 3600*a.PerSecond)
	}
	return nil
}

// backups adds what the catalogue says.
func (s *serverStatus) backups(c *config.Server, found listing) {
	var complete []*catalogue.Backup // newest first
	done, redundant := 0, 0
	for _, b := range found.backups() {
		if b.State.CopyDone() {
			complete = append(complete, b)
		}
		if b.State == catalogue.StateDone {
			done++
			if b.Type() != catalogue.TypeIncremental {
				redundant++
			}
		}
	}
	first, last := catalogue.BackupID("None"), catalogue.BackupID("None")
	if len(complete) > 0 {
		first, last = complete[len(complete)-1].ID, complete[0].ID
	}
	s.add("passive_node", "Passive node", "%s", boolean(c.Passive()))
	if c.Passive() {
		s.add("primary_ssh_command", "SSH command to primary server", "%s", c.PrimarySSHCommand)
	}
	policy := retentionNotEnforced
	if !c.Retention.Policy.IsZero() {
		policy = fmt.Sprintf("enforced (mode: auto, retention: %s, WAL retention: MAIN)", c.Retention.Policy)
	}
	s.add("retention_policies", "Retention policies", "%s", policy)
	s.add("backups_number", "No. of available backups", "%d", done)
	s.add("first_backup", "First available backup", "%s", first)
	s.add("last_backup", "Last available backup", "%s", last)
	satisfied := "satisfied"
	if redundant < c.Retention.MinimumRedundancy {
		satisfied = "FAILED"
	}
	s.add("minimum_redundancy", "Minimum redundancy requirements", "%s (%d/%d)", satisfied, redundant, c.Retention.MinimumRedundancy)
	if len(complete) > 0 {
		s.sinceLast(found.wal[complete[0].ID])
	}
}

// sinceLast adds the figures of the WAL since the last backup, its own included.
func (s *serverStatus) sinceLast(w catalogue.WALStatistics) {
	files, size := w.Count+w.UntilNextCount, w.Size+w.UntilNextSize
	s.add("wal_since_last_backup", "WAL since the last backup", "%s, %s", plural(files, "file"), catalogue.PrettySize(size))
	if rate := walRate(w); rate != "" {
		s.add("wal_rate", "WAL rate since the last backup", "%s", rate)
	}
	if ratio := percent(w.WholeCompressionRatio()); ratio != "" {
		s.add("wal_compression_ratio", "WAL compression ratio", "%s", ratio)
	}
	if w.Last != "" {
		s.add("last_available_wal", "Last WAL in the archive", "%s", w.Last)
	}
}
