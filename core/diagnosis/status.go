package diagnosis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// statusKeys are those that are there also when PostgreSQL cannot be asked.
var statusKeys = []string{
	"server_txt_version", "version_supported", "is_in_recovery", "is_superuser", "has_backup_privileges", "postgres_systemid", "timeline", "xlogpos",
	"current_xlog", "current_size", "data_directory", "archive_mode", "archive_command", "replication_slot", "streaming", "streaming_systemid",
	"connection_error", "streaming_connection_error",
}

// Status asks a server about itself, over both of its connections at once. It has
// no error: why a connection failed is in connection_error or in
// streaming_connection_error, and what is not known is nil.
func Status(ctx context.Context, s *server.Server) map[string]any {
	found := map[string]any{}
	for _, key := range statusKeys {
		found[key] = nil
	}
	if s.Config.Passive() {
		return found // whose PostgreSQL is left alone
	}
	streamed := make(chan streaming, 1)
	go func() { streamed <- askStreaming(ctx, s) }()
	if err := ask(ctx, s, found); err != nil {
		found["connection_error"] = err.Error()
	}
	if over := <-streamed; over.err != nil {
		found["streaming"], found["streaming_connection_error"] = false, over.err.Error()
	} else {
		found["streaming"], found["streaming_systemid"] = true, over.systemID
	}
	return found
}

type streaming struct {
	systemID string
	err      error
}

func askStreaming(ctx context.Context, s *server.Server) streaming {
	conn, err := postgres.ConnectReplication(ctx, s.Config.StreamingConninfo.Reveal(), "barman")
	if err != nil {
		return streaming{err: err}
	}
	system, err := conn.IdentifySystem(ctx)
	return streaming{systemID: system.ID, err: errors.Join(err, conn.Close())}
}

func ask(ctx context.Context, s *server.Server, found map[string]any) (err error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	facts, err := conn.Facts(ctx)
	if err != nil {
		return err
	}
	ofFacts(found, facts)
	privileges, err := conn.Privileges(ctx)
	if err != nil {
		return err
	}
	found["is_superuser"], found["has_backup_privileges"] = privileges.Superuser, privileges.Backup()
	switch size, err := conn.Size(ctx); {
	case err == nil:
		found["current_size"] = size
	case sdk.KindOf(err) != sdk.Denied:
		return err
	}
	if s.Config.WAL.Source == nil || s.Config.WAL.Source.Text("slot") == "" {
		return nil
	}
	switch slot, err := conn.Slot(ctx, s.Config.WAL.Source.Text("slot")); {
	case err == nil:
		found["replication_slot"] = []any{slot.Name, slot.Active, slot.RestartLSN.String()}
	case sdk.KindOf(err) != sdk.NotFound:
		return err
	}
	return nil
}

// Summary is what is known of a server by the names of its settings and of what it
// says of itself. now is what the age of the newest backup is counted from.
func Summary(ctx context.Context, c *config.Config, s *server.Server, now time.Time) (map[string]any, error) {
	found := Status(ctx, s)
	for _, o := range Options(c, s.Config) {
		found[o.Name] = o.Value
	}
	limit := s.Config.LastBackupMaximumAge
	if limit == 0 {
		return found, nil
	}
	newest, err := newestBackup(s)
	var age string
	switch {
	case newest.IsZero():
		age = "WARNING! latest backup is No available backups old"
	case now.Sub(newest) > limit:
		age = fmt.Sprintf("WARNING! latest backup is %s old", catalogue.PrettyDuration(now.Sub(newest)))
	default:
		age = fmt.Sprintf("latest backup: %s ", catalogue.PrettyDuration(now.Sub(newest)))
	}
	found["last_backup_maximum_age"] = fmt.Sprintf("%s (%s)", pretty(limit), age)
	return found, err
}

// newestBackup is when the newest complete backup ended; zero without one. The
// error tells of backups that cannot be read.
func newestBackup(s *server.Server) (end time.Time, damage error) {
	for entry, err := range s.Catalogue.Entries() {
		switch {
		case err != nil:
			return end, errors.Join(damage, err)
		case entry.Err != nil:
			damage = errors.Join(damage, entry.Err)
		case entry.Backup.State.CopyDone():
			end = entry.Backup.EndTime
		}
	}
	return end, damage
}

// pretty is a length of time for people; nil for none.
func pretty(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return catalogue.PrettyDuration(d)
}
