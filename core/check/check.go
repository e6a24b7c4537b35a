package check

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/core/backup"
	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
)

// Report is what was found out about a server.
type Report struct {
	// Rows are the checks in the order in which they are shown.
	Rows []postgres.Check
	// BackupSize is the size of the newest complete backup, WALSize that of the
	// WAL after it, in bytes; zero without one.
	BackupSize, WALSize int64
}

// Failed returns the rows that are not good.
func (r Report) Failed() []postgres.Check {
	var failed []postgres.Check
	for _, row := range r.Rows {
		if !row.OK {
			failed = append(failed, row)
		}
	}
	return failed
}

// Server checks a server; now is what ages are counted from. It has no error:
// whatever goes wrong is a failed row. It takes no longer than the server's
// check_timeout.
func Server(ctx context.Context, s *server.Server, now time.Time) Report {
	cancel := func() {}
	if limit := s.Config.CheckTimeout; limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	c := &checker{server: s, now: now}
	if s.Config.Passive() {
		return c.ofPassive(ctx)
	}

	var group errgroup.Group
	var remote postgres.CheckReport
	var plugins []postgres.Check
	var whole postgres.Check
	var reached []postgres.Check
	group.Go(func() error { remote = postgres.CheckServer(ctx, c.request()); return nil })
	group.Go(func() error { plugins = c.plugins(ctx); return nil })
	group.Go(func() error { whole = c.continuity(ctx); return nil })
	group.Go(func() error { reached = c.overSSH(ctx); return nil })
	local := c.read()
	if err := group.Wait(); err != nil {
		c.bad("check", err.Error())
	}

	local = c.arrival(ctx, local, remote)
	c.unwanted()
	c.queues()
	c.rows = append(c.rows, remote.PostgreSQL...)
	c.directories()
	c.retention()
	c.ages(local)
	c.rows = append(c.rows, whole)
	c.rows = append(c.rows, plugins...)
	c.compression()
	c.backups(local)
	c.sinks()
	c.baseBackup(remote)
	c.rows = append(c.rows, reached...)
	c.localDirectory(remote)
	c.configuration()
	c.rows = append(c.rows, remote.Identity...)
	c.receiver(remote)
	c.rows = append(c.rows, remote.FileArchiver...)
	c.refused()
	c.late(ctx)
	return Report{Rows: c.rows, BackupSize: local.backupSize(), WALSize: local.walSize}
}

// late adds a row when the time was up.
func (c *checker) late(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.bad("check timeout", "barman check command timed out")
	}
}

// checker collects the rows of one server.
type checker struct {
	server *server.Server
	now    time.Time
	rows   []postgres.Check
}

func (c *checker) add(name string, ok bool, hint string) {
	c.rows = append(c.rows, postgres.Check{Name: name, OK: ok, Hint: hint})
}

func (c *checker) good(name, hint string) { c.add(name, true, hint) }

func (c *checker) bad(name, hint string) { c.add(name, false, hint) }

// request says what PostgreSQL is to be checked for.
func (c *checker) request() postgres.CheckRequest {
	config := c.server.Config
	request := postgres.CheckRequest{
		Server: c.server.Name(), Conninfo: config.Conninfo.Reveal(), StreamingConninfo: config.StreamingConninfo.Reveal(),
		Slot: c.slot(), Archiver: config.WAL.Archive, StreamingArchiver: config.WAL.Source != nil,
		PrimaryConninfo: config.PrimaryConninfo.Reveal(), IdentityFile: filepath.Join(config.Directories.Backup, "identity.json"),
	}
	if c.server.SeparateWALHost() {
		request.WALConninfo, request.WALStreamingConninfo = config.WALConninfo.Reveal(), config.WALStreamingConninfo.Reveal()
	}
	if identity, err := c.server.Catalogue.ReadIdentity(); err == nil {
		request.StoredSystemID = identity.SystemID
	}
	return request
}

// catalogued is what the catalogue holds.
type catalogued struct {
	complete, done []*catalogue.Backup // in ascending order
	failed         int
	waiting        bool
	newest         *catalogue.WALRecord // last recorded segment; some other where its age does not matter
	walSize        int64                // of the WAL after the newest complete backup
	errs           []error
}

func (l catalogued) last() *catalogue.Backup {
	if len(l.complete) == 0 {
		return nil
	}
	return l.complete[len(l.complete)-1]
}

func (l catalogued) backupSize() int64 {
	if b := l.last(); b != nil && b.Size != nil {
		return *b.Size
	}
	return 0
}

// read reads the catalogue, after the remains of killed processes were marked
// as FAILED. What cannot be read becomes a row.
func (c *checker) read() catalogued {
	entries, err := c.entries()
	if slices.ContainsFunc(entries, func(e catalogue.Entry) bool { return e.Backup != nil && e.Backup.State.Unfinished() }) {
		reaped := backup.Reap(c.server)
		entries, err = c.entries()
		err = errors.Join(reaped, err)
	}
	var l catalogued
	if err != nil {
		l.errs = append(l.errs, err)
	}
	for _, entry := range entries {
		if entry.Err != nil {
			l.errs = append(l.errs, entry.Err)
			continue
		}
		l.count(entry.Backup)
	}
	c.readWAL(&l)
	return l
}

func (c *checker) entries() (entries []catalogue.Entry, err error) {
	for entry, err := range c.server.Catalogue.Entries() {
		if err != nil {
			return entries, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// readWAL looks at the WAL after the newest complete backup, and for the newest of
// all. An index of many lines is read once where that tells enough.
func (c *checker) readWAL(l *catalogued) {
	newest := l.last()
	whole := newest == nil || c.server.Config.LastWALMaximumAge > 0
	for record, err := range c.server.Catalogue.WALRecords() {
		damaged := sdk.KindOf(err) == sdk.Corrupt
		if err != nil && (whole || !damaged) { // else WALStatistics tells of it
			l.errs = append(l.errs, err)
		}
		if damaged {
			continue
		}
		if err != nil {
			break
		}
		if l.newest = &record; !whole {
			break
		}
	}
	if newest == nil {
		return
	}
	figures, err := c.server.Catalogue.WALStatistics([]*catalogue.Backup{newest})
	if err != nil && (!whole || sdk.KindOf(err) != sdk.Corrupt) {
		l.errs = append(l.errs, err)
	}
	l.walSize = figures[newest.ID].UntilNextSize
}

func (l *catalogued) count(b *catalogue.Backup) {
	if b.State.CopyDone() {
		l.complete = append(l.complete, b)
	}
	switch b.State {
	case catalogue.StateDone:
		if b.Type() != catalogue.TypeIncremental {
			l.done = append(l.done, b)
		}
	case catalogue.StateFailed:
		l.failed++
	case catalogue.StateWaitingForWALs:
		l.waiting = true
	}
}
