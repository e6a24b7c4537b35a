package main

import (
	"fmt"
	"io"
	"time"

	"github.com/barman-go/barman/core/catalogue"
)

// takenBackup is the outcome of a backup.
type takenBackup struct {
	server  string
	backup  *catalogue.Backup
	elapsed time.Duration
	// alone is true when one server was asked for by its name: its fields stand
	// at the top of the document then.
	alone bool
}

func (t takenBackup) text(w io.Writer, s style) {
	b := t.backup
	if !b.State.CopyDone() {
		fmt.Fprintf(w, "Backup %s of server %s: %s\n", b.ID, t.server, s.bad(string(b.State)))
		return
	}
	state := s.good(string(b.State))
	if b.State != catalogue.StateDone {
		state = s.notice(string(b.State))
	}
	fmt.Fprintf(w, "Backup %s of server %s: %s\n", b.ID, t.server, state)
	fmt.Fprintf(w, "  Size: %s, elapsed time: %s\n", catalogue.PrettySize(sizeOf(b.Size)), catalogue.PrettyDuration(t.elapsed))
	fmt.Fprintf(w, "  Begin: %s (%s), end: %s (%s)\n", b.BeginLSN, b.BeginWAL, b.EndLSN, b.EndWAL)
}

// document has the fields of backup.info.
func (t takenBackup) document() map[string]any {
	b := t.backup
	fields := map[string]any{
		"backup_id": b.ID, "server_name": t.server, "status": b.State, "backup_name": orNull(b.Name), "error": orNull(b.Error),
		"mode": orNull(b.Mode), "compression": orNull(b.Compression), "systemid": orNull(b.SystemID), "version": b.Version,
		"timeline": b.Timeline, "begin_wal": orNull(b.BeginWAL), "end_wal": orNull(b.EndWAL),
		"begin_offset": b.BeginOffset, "end_offset": b.EndOffset, "size": b.Size, "deduplicated_size": b.DeduplicatedSize,
		"begin_time": orNull(timestamp(b.BeginTime)), "end_time": orNull(timestamp(b.EndTime)), "pgdata": orNull(b.PGData),
		"elapsed_seconds": t.elapsed.Seconds(),
	}
	if b.State.CopyDone() {
		fields["begin_xlog"], fields["end_xlog"] = b.BeginLSN.String(), b.EndLSN.String()
	}
	if t.alone {
		return fields
	}
	return map[string]any{t.server: fields}
}
