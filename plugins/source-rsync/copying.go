package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/backupapi"
	"github.com/barman-go/barman/sdk/datadir"
)

// copying is one copy of a server's files into a directory.
type copying struct {
	rsync   *rsync
	config  *Config
	logger  hclog.Logger
	server  backupapi.Server
	starts  *rate.Limiter
	jobs    int
	lists   string // a directory for lists of files
	target  string // where everything goes
	reuse   string
	earlier string // the backup to reuse, in the form of target; empty for none
	horizon time.Time

	progress func(files, bytes int64)
	expect   func(bytes int64)

	files, bytes, expected atomic.Int64
}

// item is a directory of the server.
type item struct {
	name      string // of the tablespace; empty for the data directory
	source    string
	target    string
	reference string
	list      datadir.List
	control   bool // pg_control is copied by itself
}

// items are in the order in which they are copied.
func (c *copying) items() []item {
	var items []item
	for _, t := range c.server.Tablespaces {
		oid := strconv.FormatUint(uint64(t.OID), 10)
		items = append(items, item{
			name: c.server.Names[t.OID], source: t.Location, target: filepath.Join(c.target, oid), list: datadir.Tablespace(c.server.Major), reference: c.referenceOf(oid),
		})
	}
	return append(items, item{
		source: c.server.DataDirectory, target: filepath.Join(c.target, "data"), reference: c.referenceOf("data"),
		list: datadir.DataDirectory(c.server.DataDirectory, c.server.Tablespaces), control: true,
	})
}

func (c *copying) referenceOf(name string) string {
	if c.earlier == "" {
		return ""
	}
	directory := filepath.Join(c.earlier, name)
	if info, err := os.Lstat(directory); err != nil || !info.IsDir() {
		return ""
	}
	return directory
}

// run copies everything. Nothing that rsync does outlives it.
func (c *copying) run(ctx context.Context) error {
	for _, it := range c.items() {
		if err := c.item(ctx, it); err != nil {
			return err
		}
	}
	if err := c.configuration(ctx); err != nil {
		return err
	}
	return c.control(ctx)
}

// item copies a directory with as many rsyncs as there are jobs.
func (c *copying) item(ctx context.Context, it item) error {
	if err := os.Mkdir(it.target, 0o700); err != nil {
		return sdk.Errorf(sdk.Exists, "where the backup lands: %w", err)
	}
	l, err := c.list(ctx, it)
	if err != nil {
		return err
	}
	c.expect(c.expected.Add(l.bytes))
	even, doubtful, err := c.shares(l, it)
	if err = errors.Join(err, l.close()); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	parts := 0
	for _, s := range append(even, doubtful) {
		if s.files > 0 {
			parts++
		}
	}
	for _, s := range even {
		group.Go(func() error { return c.share(ctx, it, s, parts) })
	}
	// Reading both sides of what is in doubt goes on beside the copying of the rest.
	group.Go(func() error { return c.share(ctx, it, doubtful, parts, "--checksum") })
	return group.Wait()
}

// share copies the files of one list. All parts of an item together keep to its
// limit.
func (c *copying) share(ctx context.Context, it item, s *share, parts int, more ...string) error {
	if s.files == 0 {
		return os.Remove(s.list.Name())
	}
	if err := c.starts.Wait(ctx); err != nil {
		return context.Cause(ctx)
	}
	args := append(c.transfer(it, parts), "--from0", "--files-from="+s.list.Name(), "--no-implied-dirs")
	vanished, err := c.copy(ctx, append(append(args, more...), c.rsync.from(it.source+"/"), it.target+"/")...)
	if err != nil {
		return fmt.Errorf("copy %s: %w", it.source, err)
	}
	// What it was told to copy must be there, or it must have said why not.
	left, example, err := s.missing(it.target)
	if err != nil {
		return err
	}
	if left > vanished {
		return sdk.Errorf(sdk.Corrupt, "copy %s: rsync says that all is well and left out %d files, %s among them, of which %d vanished", it.source, left, example, vanished)
	}
	return os.Remove(s.list.Name())
}

// transfer are the options of a copy. There is no --inplace: a file that is linked
// to another backup's must be replaced, never written to.
func (c *copying) transfer(it item, parts int) []string {
	args := []string{"--copy-links", "--perms", "--times", "--itemize-changes", "--itemize-changes", "--out-format=%l"}
	if it.reference != "" {
		args = append(args, "--"+c.reuse+"-dest="+it.reference)
	}
	if c.config.NetworkCompression && c.rsync.remote != "" {
		args = append(args, "--compress")
	}
	if limit := c.config.limit(it.name); limit > 0 {
		args = append(args, "--bwlimit="+strconv.Itoa(max(1, limit/parts)))
	}
	return args
}

// copy runs rsync and tells of the progress, and how many files vanished.
func (c *copying) copy(ctx context.Context, args ...string) (vanished int, err error) {
	return c.rsync.watched(ctx, func(line string) error {
		size, err := strconv.ParseInt(strings.NewReplacer(",", "").Replace(line), 10, 64)
		if err != nil {
			return nil // a remark between the lines that were asked for
		}
		c.progress(c.files.Add(1), c.bytes.Add(size))
		return nil
	}, args...)
}

// configuration copies the configuration files that lie outside of the data
// directory into it, where recovery, and pg_createcluster after it, look for them.
func (c *copying) configuration(ctx context.Context) error {
	for _, file := range []struct {
		path     string
		optional bool
	}{{c.server.ConfigFile, false}, {c.server.HBAFile, false}, {c.server.IdentFile, true}} {
		if file.path == "" || strings.HasPrefix(file.path, strings.TrimSuffix(c.server.DataDirectory, "/")+"/") {
			continue
		}
		name := filepath.Base(file.path)
		it := item{source: file.path, target: filepath.Join(c.target, "data", name), reference: c.referenceOf("data")}
		_, err := c.copy(ctx, append(c.transfer(it, 1), c.rsync.from(file.path), filepath.Join(c.target, "data")+"/")...)
		if err != nil {
			return fmt.Errorf("copy %s: %w", file.path, err)
		}
		if _, err := os.Lstat(it.target); errors.Is(err, fs.ErrNotExist) && file.optional {
			c.logger.Debug("the server has no such file", "name", file.path)
		} else if err != nil {
			return sdk.Errorf(sdk.NotFound, "configuration file %s of the server was not copied: is it there?", file.path)
		}
	}
	return nil
}

// control copies global/pg_control, and makes sure that it, and so everything else,
// is of the cluster on which the backup was begun.
func (c *copying) control(ctx context.Context) error {
	from := filepath.Join(c.server.DataDirectory, datadir.Control)
	to := filepath.Join(c.target, "data", datadir.Control)
	if _, err := c.copy(ctx, append(c.transfer(item{}, 1), c.rsync.from(from), filepath.Dir(to)+"/")...); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	content, err := os.ReadFile(to)
	if err != nil {
		return sdk.Errorf(sdk.NotFound, "%s was not copied: %w", from, err)
	}
	const identifierSize = 8 // the first member of ControlFileData
	if len(content) < identifierSize {
		return sdk.Errorf(sdk.Corrupt, "%s has only %d bytes", from, len(content))
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if strconv.FormatUint(order.Uint64(content), 10) == c.server.SystemID {
			return nil
		}
	}
	return sdk.Errorf(sdk.Invalid, "%s is of another cluster than the one with system identifier %s that conninfo leads to: ssh_command, or this machine, must be PostgreSQL's host",
		from, c.server.SystemID)
}
