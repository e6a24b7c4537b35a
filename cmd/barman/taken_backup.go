package main

import (
	"fmt"
	"io"
	"time"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/sinks"
	"github.com/barman-go/barman/core/wal"
)

// backupNews tells how a backup gets on, in the lines of Barman in Python.
type backupNews struct {
	app            *app
	server         *server.Server
	method         string
	begun, copying time.Time
	origin         wal.Origin // of the WAL files told of last

	// Progress is shown while the copy runs; nil before and after.
	tell func(pipeline.Progress)
	end  func()
}

// progress passes on how far the copy has come.
func (n *backupNews) progress(p pipeline.Progress) {
	if n.tell != nil {
		n.tell(p)
	}
}

// settle takes the progress away, so that lines can be printed.
func (n *backupNews) settle() {
	if n.end != nil {
		n.end()
	}
	n.tell, n.end = nil, nil
}

func (n *backupNews) say(format string, args ...any) {
	n.app.print().info(fmt.Sprintf(format, args...))
}

func (n *backupNews) reached(step backup.Step, b *catalogue.Backup) {
	switch step {
	case backup.Registered:
		n.say("Starting backup using %s method for server %s in %s", b.Mode, n.server.Name(), n.server.Catalogue.Directory(b.ID))
	case backup.Copying:
		n.copying = time.Now()
		if b.BeginWAL != "" {
			n.say("Backup start at LSN: %s (%s, %08X)", b.BeginLSN, b.BeginWAL, *b.BeginOffset)
		}
		n.say("Starting backup copy via %s for %s", n.method, b.ID)
		n.tell, n.end = n.app.progress("backup of " + n.server.Name())
	case backup.Copied:
		n.settle()
		n.say("Copy done (time: %s)", catalogue.PrettyDuration(time.Since(n.copying)))
		n.say("Finalising the backup.")
	case backup.Stored:
		n.say("Backup size: %s", catalogue.PrettySize(sizeOf(b.Size)))
		n.say("Backup end at LSN: %s (%s, %08X)", b.EndLSN, b.EndWAL, *b.EndOffset)
		n.say("Backup completed (start time: %s, elapsed time: %s)", n.begun.Format("2006-01-02 15:04:05.000000"), catalogue.PrettyDuration(time.Since(n.begun)))
	case backup.Waiting:
		n.say("Waiting for the WAL file %s from server '%s'", b.EndWAL, n.server.Name())
	}
}

// file tells of a WAL file that was archived meanwhile.
func (n *backupNews) file(f wal.File) {
	if f.Outcome != wal.Archived && f.Outcome != wal.Known {
		return
	}
	if n.origin != f.Origin {
		n.origin = f.Origin
		n.say("%s", heading(n.server, f.Origin))
	}
	n.say("\t%s", f.Name)
}

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
	state := s.bad(string(b.State))
	switch {
	case b.State == catalogue.StateDone:
		state = s.good(string(b.State))
	case b.State.CopyDone():
		state = s.notice(string(b.State))
	}
	fmt.Fprintf(w, "Backup %s of server %s: %s\n", b.ID, t.server, state)
	if b.State == catalogue.StateWaitingForWALs {
		fmt.Fprintf(w, "It cannot be recovered before all WAL up to %s is archived, which makes it DONE by itself. --wait waits for that.\n", b.EndWAL)
	}
}

// document has the fields of backup.info.
func (t takenBackup) document() map[string]any {
	fields, err := t.backup.Document()
	if err != nil {
		// It was written to backup.info a moment ago.
		fields = map[string]any{"backup_id": t.backup.ID, "status": t.backup.State, "error": err.Error()}
	}
	fields["elapsed_seconds"] = t.elapsed.Seconds()
	if t.alone {
		return fields
	}
	return map[string]any{t.server: fields}
}

// tellSinks warns of the sinks that lack a backup which was just taken.
func (a *app) tellSinks(s *server.Server, b *catalogue.Backup) {
	if !b.State.CopyDone() {
		return
	}
	states, err := sinks.States(s, b)
	if err != nil {
		a.print().warn(err.Error())
	}
	for _, state := range states {
		if state.Lacks != "" {
			a.print().warn(fmt.Sprintf("server %s: backup %s: sink %s: %s; barman cron makes up for it, or 'barman sync-sink %s'", s.Name(), b.ID, state.Sink, state, s.Name()))
		}
	}
}
