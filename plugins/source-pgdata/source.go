package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/backupapi"
	"github.com/barman-go/barman/sdk/datadir"
	"github.com/barman-go/barman/sdk/manifest"
)

// Source takes base backups from a data directory on this host.
type Source struct {
	server sdk.Server
	config *Config
}

// Open makes the source; it touches neither the network nor the directory.
func Open(_ context.Context, server sdk.Server, config *Config) (sdk.BackupSource, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	return &Source{server: server, config: config}, nil
}

// Backup takes a base backup. See sdk.BackupSource.
func (s *Source) Backup(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	if request.Layout != sdk.LayoutPlain && request.Layout != sdk.LayoutTar {
		return sdk.BackupResult{}, sdk.Errorf(sdk.Invalid, "unknown layout %q", request.Layout)
	}
	take := s.take
	if s.config.Copy != "" {
		take = s.repack
	}
	result, err := take(ctx, request, emit)
	if err != nil {
		return sdk.BackupResult{}, sdk.Errorf(sdk.KindOf(err), "base backup of server %q: %w", s.server.Name, err)
	}
	return result, nil
}

func (s *Source) take(ctx context.Context, request sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	conninfo := cmp.Or(s.config.Conninfo, s.server.Conninfo)
	session, err := backupapi.Connect(ctx, conninfo, s.config.ApplicationName)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	defer session.Close()
	server, err := session.Server(ctx)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	directory := cmp.Or(s.config.DataDirectory, server.DataDirectory)
	if err := (place{conninfo: conninfo, applicationName: s.config.ApplicationName, directory: directory, server: server}).verify(ctx); err != nil {
		return sdk.BackupResult{}, err
	}
	begin, err := session.Start(ctx, backupapi.StartOptions{Label: request.Label, Fast: s.config.Checkpoint == "fast"})
	if err != nil {
		return sdk.BackupResult{}, err
	}
	// From here on it is certain which tablespaces the backup has.
	if server, err = session.Server(ctx); err != nil {
		return sdk.BackupResult{}, err
	}
	lines, err := s.newListing(server)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	t := &transfer{
		packer: newPacker(emit, request, workersFor(request), lines), logger: hclog.FromContext(ctx), directory: directory,
		trees: treesOf(directory, server), outside: outside(directory, server),
	}
	end, err := t.run(ctx, session)
	if err != nil {
		return sdk.BackupResult{}, err
	}
	result := sdk.BackupResult{
		SystemID: server.SystemID, Timeline: end.Timeline, BeginLSN: begin.LSN, EndLSN: end.LSN, BeginTime: begin.Time, EndTime: end.Time,
		Label: end.Label, Tablespaces: server.Tablespaces,
	}
	return result, t.emitListing(ctx, []manifest.WALRange{{Timeline: end.Timeline, Start: begin.LSN, End: end.LSN}})
}

// firstWithSystemID is the first version whose manifests tell the cluster.
const firstWithSystemID = 17

func (s *Source) newListing(server backupapi.Server) (*listing, error) {
	if !s.config.Manifest {
		return nil, nil
	}
	algorithm, err := s.config.algorithm()
	if err != nil {
		return nil, err
	}
	id := ""
	if server.Major >= firstWithSystemID {
		id = server.SystemID
	}
	return newListing(algorithm, id)
}

// treesOf are the tablespaces and then the data directory.
func treesOf(directory string, server backupapi.Server) []tree {
	var trees []tree
	for _, t := range server.Tablespaces {
		trees = append(trees, tree{oid: t.OID, root: t.Location, list: datadir.Tablespace(server.Major)})
	}
	later := []string{datadir.Control}
	for _, path := range outside(directory, server) {
		later = append(later, filepath.Base(path))
	}
	return append(trees, tree{root: directory, list: datadir.DataDirectory(server.DataDirectory, server.Tablespaces), later: later})
}

// outside are the server's configuration files that are not in its data
// directory. They go into the backup under their base names, in the place of what
// has such a name in the data directory.
func outside(directory string, server backupapi.Server) []string {
	var paths []string
	for _, path := range []string{server.ConfigFile, server.HBAFile, server.IdentFile} {
		inside := strings.HasPrefix(path, strings.TrimSuffix(server.DataDirectory, "/")+"/") || strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
		if _, err := os.Stat(path); path != "" && !inside && err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// transfer is one backup on its way.
type transfer struct {
	packer    *packer
	logger    hclog.Logger
	directory string
	trees     []tree
	outside   []string
}

// run copies everything while the server is in backup mode, ends that, and adds
// what is only known then.
func (t *transfer) run(ctx context.Context, session *backupapi.Session) (backupapi.End, error) {
	group, groupCtx := t.start(ctx)
	var control *member
	err := session.During(ctx, backupapi.DefaultKeepAlive, func(held context.Context) (err error) {
		select {
		case <-t.packer.drained:
		case <-groupCtx.Done():
			return context.Cause(groupCtx)
		case <-held.Done():
			return context.Cause(held)
		}
		control, err = inMemory(filepath.Join(t.directory, datadir.Control), datadir.Control)
		return err
	})
	var end backupapi.End
	if err == nil {
		end, err = session.Stop(ctx)
	}
	label := &member{name: datadir.Label, content: []byte(end.Label), mode: 0o600, modified: end.Time}
	return end, t.conclude(groupCtx, group, err, label, control)
}

// workers emit the backup; cancel ends them.
type workers struct {
	*errgroup.Group
	cancel context.CancelCauseFunc
}

// start begins to walk through the trees and to emit what is found.
func (t *transfer) start(ctx context.Context) (workers, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	group, ctx := errgroup.WithContext(ctx)
	p := t.packer
	for range p.working {
		group.Go(func() error { return p.work(ctx) })
	}
	group.Go(func() error { return t.walk(ctx) })
	group.Go(func() error { t.measure(ctx); return nil })
	return workers{group, cancel}, ctx
}

func (t *transfer) walk(ctx context.Context) error {
	w := walker{logger: t.logger, take: func(m *member) error {
		select {
		case t.packer.queue <- m:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
	for _, tree := range t.trees {
		if err := w.walk(ctx, tree); err != nil {
			return err
		}
	}
	for _, path := range t.outside {
		if err := w.take(&member{name: filepath.Base(path), path: path}); err != nil {
			return err
		}
	}
	close(t.packer.queue)
	return nil
}

// measure tells how much there is, as far as that can be told: it is for progress
// only.
func (t *transfer) measure(ctx context.Context) {
	var total int64
	w := walker{logger: hclog.NewNullLogger(), take: func(m *member) error {
		total += m.size
		return nil
	}}
	for _, tree := range t.trees {
		if w.walk(ctx, tree) != nil {
			return // the walk that matters reports it
		}
		t.packer.emit.Expect(total)
	}
}

// conclude emits what comes last and waits for the workers; or it ends them because
// of a failure, which may be theirs.
func (t *transfer) conclude(ctx context.Context, group workers, failed error, last ...*member) error {
	defer group.cancel(nil)
	if failed != nil {
		group.cancel(failed)
		_ = group.Wait() // either that failure or what came of it
		return failed
	}
	group.Go(func() error {
		defer close(t.packer.last)
		for _, m := range last {
			select {
			case t.packer.last <- m:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	group.Go(func() error { return t.packer.finish(ctx) })
	return group.Wait()
}

// emitListing emits the manifest.
func (t *transfer) emitListing(ctx context.Context, ranges []manifest.WALRange) error {
	p := t.packer
	if p.listing == nil {
		return nil
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := p.listing.writeTo(w, ranges)
		written <- errors.Join(err, w.CloseWithError(err))
	}()
	err := p.emit.Emit(ctx, sdk.Object{
		Name: p.request.Prefix + "data/" + datadir.Manifest, Mode: 0o600, Size: sdk.SizeUnknown, Verbatim: p.request.Layout != sdk.LayoutPlain,
	}, r)
	if err != nil {
		err = errors.Join(err, r.CloseWithError(err)) // ends the writer
	}
	if wrote := <-written; err == nil {
		err = wrote
	}
	return err
}

// inMemory reads a small file.
func inMemory(path, name string) (*member, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(err)
	}
	m := &member{name: name, content: content, mode: 0o600, modified: time.Now()}
	if info, err := os.Stat(path); err == nil {
		m.mode, m.modified = info.Mode()&fs.ModePerm, info.ModTime()
	}
	return m, nil
}
