package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/continuity"
	"github.com/barman-go/barman/core/postgres"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
)

// arrival tells whether WAL arrives at all. Where none is archived yet, what has
// come is archived, and then PostgreSQL is made to close a segment, for whose
// arrival a third of the time is given. It returns what the catalogue holds
// afterwards.
func (c *checker) arrival(ctx context.Context, l catalogued, remote postgres.CheckReport) catalogued {
	if l.newest != nil || l.waiting {
		return l
	}
	arrived, err := false, error(nil)
	if c.server.Config.Active {
		if arrived, err = c.archive(ctx); !arrived && err == nil && c.expected(remote) {
			arrived, err = c.provoke(ctx)
		}
	}
	if arrived {
		return c.read()
	}
	hint := "please make sure WAL shipping is setup"
	if err != nil {
		hint += ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	c.bad("WAL archive", hint)
	return l
}

// archive archives what has come.
func (c *checker) archive(ctx context.Context) (arrived bool, err error) {
	report, err := wal.Archive(ctx, c.server, wal.ArchiveOptions{})
	if sdk.KindOf(err) == sdk.Busy {
		err = nil // somebody else does
	}
	return report.Archived+report.Known > 0, err
}

// expected tells whether a segment that PostgreSQL closes would be brought by
// somebody: it is not worth waiting for what is known to be missing.
func (c *checker) expected(remote postgres.CheckReport) bool {
	if _, running, err := c.server.Catalogue.Holder(catalogue.LockReceiveWAL); err == nil && running {
		return true
	}
	for _, row := range remote.FileArchiver {
		if !row.OK {
			return false
		}
	}
	return len(remote.FileArchiver) > 0
}

// arrivalTimeout is how long a closed segment may take when the checks of a
// server are without limit.
const arrivalTimeout = 10 * time.Second

// provoke makes PostgreSQL close a segment and waits for it.
func (c *checker) provoke(ctx context.Context) (arrived bool, err error) {
	limit := c.server.Config.CheckTimeout / 3
	if limit == 0 {
		limit = arrivalTimeout
	}
	done, err := c.switchWAL(ctx)
	if err != nil || done.Closed == "" {
		return false, err
	}
	err = wal.WaitFor(ctx, c.server, done.Closed, limit, wal.ArchiveOptions{})
	if sdk.KindOf(err) == sdk.Unavailable {
		err = fmt.Errorf("%s was closed and did not arrive within %s", done.Closed, catalogue.PrettyDuration(limit))
	}
	return err == nil, err
}

func (c *checker) switchWAL(ctx context.Context) (done postgres.Switch, err error) {
	conn, err := c.server.Connect(ctx)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// A segment in which nothing was written is not closed.
	if _, err := conn.CreateRestorePoint(ctx, "barman check"); err != nil {
		return done, err
	}
	return conn.SwitchWAL(ctx)
}

// unwanted tells of WAL where nobody takes it.
func (c *checker) unwanted() {
	directories := c.server.Config.Directories
	if !c.server.Config.WAL.Archive {
		c.empty("empty incoming directory", directories.IncomingWALs, "archive = false: set it to true in the wal block if archive_command delivers there")
	}
	if c.server.Config.WAL.Source == nil {
		c.empty("empty streaming directory", directories.StreamingWALs, "there is no WAL source")
	}
}

// empty adds a row when a directory that nobody fills has files. The segment that
// was under way when its receiver ended may stay.
func (c *checker) empty(name, directory, when string) {
	files, err := visible(directory)
	switch {
	case err != nil:
		c.bad(name, err.Error())
	case len(withoutPartial(files)) > 0:
		c.bad(name, fmt.Sprintf("'%s' must be empty when %s", directory, when))
	}
}

// queues adds a row for each way of WAL on which more files wait to be archived
// than is allowed.
func (c *checker) queues() {
	most := c.server.Config.WAL.MaximumQueue
	if most == 0 {
		return
	}
	for _, queue := range []struct{ name, directory string }{
		{"incoming WALs directory", c.server.Config.Directories.IncomingWALs},
		{"streaming WALs directory", c.server.Config.Directories.StreamingWALs},
	} {
		files, err := visible(queue.directory)
		if err != nil {
			c.bad(queue.name, err.Error())
			continue
		}
		if n := len(withoutPartial(files)); n > most {
			c.bad(queue.name, fmt.Sprintf("there are too many WALs in queue: %d, max %d", n, most))
		}
	}
}

// visible lists a directory without hidden files; one that is not there is empty.
func visible(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// withoutPartial leaves out the segment under way.
func withoutPartial(files []string) []string {
	for i, file := range files {
		if strings.HasSuffix(file, ".partial") {
			return append(files[:i:i], files[i+1:]...)
		}
	}
	return files
}

// continuity tells whether all WAL that the backups need is there.
func (c *checker) continuity(ctx context.Context) postgres.Check {
	row := postgres.Check{Name: "WAL continuity"}
	report, err := continuity.Check(ctx, c.server)
	switch {
	case err != nil && len(report.Backups) == 0: // else it is about a damaged backup, of which another row tells
		row.Hint = strings.ReplaceAll(err.Error(), "\n", "; ")
	case report.Lost():
		row.Hint = report.String()
	case len(report.Gaps) > 0:
		row.Hint = fmt.Sprintf("%s: 'barman wal-gaps %s' tells which backups are affected", report, c.server.Name())
	default:
		row.OK, row.Hint = true, report.String()
	}
	return row
}

// receiver tells whether somebody streams WAL, where it is to be streamed.
func (c *checker) receiver(remote postgres.CheckReport) {
	if c.server.Config.WAL.Source == nil {
		return
	}
	c.streaming(remote)
	_, running, err := c.server.Catalogue.Holder(catalogue.LockReceiveWAL)
	switch {
	case err != nil:
		c.bad("receive-wal running", err.Error())
	case !running:
		c.bad("receive-wal running", fmt.Sprintf("barman cron starts it, or 'barman receive-wal %s'", c.server.Name()))
	default:
		c.good("receive-wal running", "")
	}
}

// refused counts the WAL files that could not be archived.
func (c *checker) refused() {
	files, err := visible(c.server.Config.Directories.Errors)
	if err != nil {
		c.bad("archiver errors", err.Error())
		return
	}
	suffixes := []struct{ suffix, name string }{{".error", "not relevant"}, {".duplicate", "duplicates"}, {".unknown", "unknown"}, {"", "unknown failure"}}
	counts := map[string]int{}
	for _, file := range files {
		for _, s := range suffixes {
			if strings.HasSuffix(file, s.suffix) {
				counts[s.name]++
				break
			}
		}
	}
	var parts []string
	for _, s := range suffixes {
		if n := counts[s.name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", s.name, n))
		}
	}
	c.add("archiver errors", len(files) == 0, strings.Join(parts, ", "))
}
