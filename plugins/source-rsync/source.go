package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/backupapi"
	"github.com/barman-go/barman/sdk/datadir"
)

// Source takes base backups with rsync.
type Source struct {
	server sdk.Server
	config *Config
}

// Open makes the source; it does not touch the network.
func Open(_ context.Context, server sdk.Server, config *Config) (sdk.BackupSource, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	return &Source{server: server, config: config}, nil
}

func (s *Source) conninfo() sdk.Secret {
	if s.config.Conninfo != "" {
		return s.config.Conninfo
	}
	return s.server.Conninfo
}

// Backup takes a base backup. See sdk.BackupSource.
func (s *Source) Backup(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	result, err := s.backup(ctx, request, emit)
	if err == nil {
		return result, nil
	}
	return sdk.BackupResult{}, sdk.Errorf(sdk.KindOf(err), "base backup of server %q: %w", s.server.Name, err)
}

func (s *Source) backup(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (result sdk.BackupResult, err error) {
	if request.Layout != sdk.LayoutPlain && request.Layout != sdk.LayoutTar {
		return result, sdk.Errorf(sdk.Invalid, "unknown layout %q", request.Layout)
	}
	if s.conninfo() == "" {
		return result, sdk.Errorf(sdk.Invalid, "the backup begins and ends with SQL: the server needs conninfo")
	}
	program, err := newRsync(ctx, s.config)
	if err != nil {
		return result, err
	}
	session, err := backupapi.Connect(ctx, s.conninfo(), s.config.ApplicationName)
	if err != nil {
		return result, err
	}
	defer session.Close()
	space, err := newScratch(s.place())
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, space.remove()) }()
	c := s.newCopying(ctx, program, request, emit, space)
	if c.server, err = session.Server(ctx); err != nil {
		return result, err
	}
	if err := c.reachable(ctx); err != nil { // before the checkpoint, which may take minutes
		return result, err
	}
	begin, err := session.Start(ctx, backupapi.StartOptions{Label: request.Label, Fast: s.config.ImmediateCheckpoint})
	if err != nil {
		return result, err
	}
	// Again: from now on WAL tells of every change.
	if c.server, err = session.Server(ctx); err != nil {
		return result, err
	}
	if err := session.During(ctx, s.config.keepAlive(), c.run); err != nil {
		return result, err
	}
	end, err := session.Stop(ctx)
	if err != nil {
		return result, err
	}
	result = sdk.BackupResult{
		SystemID: c.server.SystemID, Timeline: end.Timeline, BeginLSN: begin.LSN, EndLSN: end.LSN, BeginTime: begin.Time, EndTime: end.Time,
		Label: end.Label, Tablespaces: c.server.Tablespaces,
	}
	// Without tablespace_map: PostgreSQL would link tablespaces to where they were on
	// this server, whereas recovery links them to where they are.
	if err := os.WriteFile(filepath.Join(c.target, "data", datadir.Label), []byte(end.Label), 0o600); err != nil {
		return result, err
	}
	if s.config.AutogenerateManifest {
		if err := c.manifest(ctx, result); err != nil {
			return result, fmt.Errorf("backup manifest: %w", err)
		}
	}
	if request.Landing != nil {
		return result, nil
	}
	return result, emitAll(ctx, request, c, emit)
}

// place is where there is room for what lands on its way to another sink.
func (s *Source) place() string {
	switch {
	case s.config.Scratch != "":
		return s.config.Scratch
	case s.server.Directory != "":
		return s.server.Directory
	}
	return os.TempDir()
}

func (s *Source) newCopying(ctx context.Context, program *rsync, request sdk.BackupRequest, emit sdk.Emitter, space scratch) *copying {
	logger := hclog.FromContext(ctx)
	batch, period := number(s.config.StartBatchSize, 10), time.Duration(number(s.config.StartBatchPeriod, 1))*time.Second
	c := &copying{
		rsync: program, config: s.config, logger: logger, jobs: max(1, request.Jobs), lists: space.directory, reuse: s.config.ReuseBackup,
		starts: rate.NewLimiter(rate.Every(period/time.Duration(batch)), batch), progress: func(int64, int64) {}, expect: emit.Expect,
		target: space.directory,
	}
	switch landing := request.Landing; {
	case landing != nil:
		c.target, c.progress, c.horizon = landing.Directory, landing.Progress, landing.Horizon
		c.refer(landing.Reference)
	case c.reuse == reuseLink || c.reuse == reuseCopy:
		logger.Warn("reuse_backup has no effect: the files do not stay where they land", "server", s.server.Name)
	default:
	}
	return c
}

// refer decides how files of an earlier backup are used.
func (c *copying) refer(reference string) {
	if reference == "" || c.reuse != reuseLink && c.reuse != reuseCopy {
		return
	}
	version := filepath.Join(reference, "data", "PG_VERSION")
	if info, err := os.Lstat(version); err != nil || !info.Mode().IsRegular() {
		c.logger.Info("nothing is reused: the backup before is not stored as plain files", "reference", reference)
		return
	}
	c.earlier = reference
	if c.reuse == reuseCopy {
		return
	}
	// Whether hard links work shows only when one is made.
	probe := filepath.Join(c.target, ".link")
	if err := os.Link(version, probe); err != nil {
		c.logger.Warn("files cannot be linked to the backup before, so they are copied from it: hard links need one file system that has them", "reason", err)
		c.reuse = reuseCopy
		return
	}
	if err := os.Remove(probe); err != nil {
		c.logger.Warn("left behind", "error", err)
	}
}

// reachable makes sure that rsync gets to the data directory.
func (c *copying) reachable(ctx context.Context) error {
	from := filepath.Join(c.server.DataDirectory, "PG_VERSION")
	if c.rsync.remote == "" {
		if _, err := os.ReadFile(from); err != nil {
			return explained(err)
		}
		return nil
	}
	found := false
	err := c.rsync.run(ctx, func(string) error { found = true; return nil }, "--list-only", "--copy-links", c.rsync.from(from))
	if err == nil && !found {
		err = sdk.Errorf(sdk.NotFound, "it is not there: ssh_command, or this machine, must be PostgreSQL's host")
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", from, err)
	}
	return nil
}
