package check

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// BeforeBackup checks a server that is about to be backed up, and says why that
// is of no use: an error of kind Invalid with all checks that stand against it.
// What only keeps the backup's WAL from coming is logged as a warning: the copy
// is good, and complete as soon as WAL arrives. What a backup itself says better,
// such as that nobody answers, is left to it.
func BeforeBackup(ctx context.Context, s *server.Server, now time.Time) error {
	var reasons []string
	failed := Server(ctx, s, now).Failed()
	if slices.ContainsFunc(failed, func(row postgres.Check) bool { return row.Name == "PostgreSQL" }) {
		return nil // nothing else that was found out counts
	}
	for _, row := range failed {
		told := row.Name
		if row.Hint != "" {
			told += " (" + row.Hint + ")"
		}
		switch weigh(row) {
		case aboutWAL:
			s.Logger.Warn("a check fails without which the backup's WAL may not come", "check", told)
		case harmless:
			s.Logger.Info("a failed check is no obstacle to a backup", "check", told)
		case critical:
			reasons = append(reasons, told)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(reasons) > 0 {
		return sdk.Errorf(sdk.Invalid, "Impossible to start the backup of server %s: %s; see 'barman check %s'", s.Name(), strings.Join(reasons, "; "), s.Name())
	}
	return nil
}

// weight is what a failed check means for a backup.
type weight int

const (
	critical weight = iota
	harmless
	aboutWAL
	toldByBackup
)

func weigh(row postgres.Check) weight {
	for kind, names := range map[weight][]string{
		harmless: {
			"minimum redundancy requirements", "backup maximum age", "backup minimum size", "failed backups", "archiver errors", "empty incoming directory",
			"empty streaming directory", "incoming WALs directory", "streaming WALs directory", "wal maximum age", "PostgreSQL server is standby",
			// A gap, or an old backup that cannot be read, is what a new one is good for.
			"WAL continuity", "catalogue", "sinks",
		},
		aboutWAL: {
			"WAL archive", "archive_mode", "archive_command", "continuous archiving", "replication slot", "receive-wal running",
			"pg_receivexlog",
		},
		toldByBackup: {
			"PostgreSQL", "PostgreSQL streaming", "free WAL sender", "systemid coherence", "backup pipeline", "WAL pipeline",
			"pg_basebackup compatible", "pg_receivexlog compatible",
		},
	} {
		if slices.Contains(names, row.Name) {
			return kind
		}
	}
	if strings.HasSuffix(row.Name, "(WAL streaming)") {
		return aboutWAL
	}
	return critical
}
