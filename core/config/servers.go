package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/retention"
	"github.com/barman-go/barman/sdk/schema"
)

var serverName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$`)

// maxJobs is far above what is of use and far below what exhausts descriptors.
const maxJobs = 64

func (l *loader) decodeServers() {
	if l.defaults != nil && len(l.servers) == 0 {
		l.readLayer(l.defaults.Body, l.defaults.DefRange, forServer(l.ctx, "example"))
	}
	places := map[string]hcl.Range{}
	for _, block := range l.servers {
		name := block.Labels[0]
		before := len(l.diags)
		l.checkServerName(name, block.LabelRanges[0])
		if first, taken := places[name]; taken {
			detail := fmt.Sprintf("There is already a server %q at %s.", name, position(first))
			l.add(mistake(block.DefRange, "Duplicate server", detail))
			continue
		}
		places[name] = block.DefRange
		s := l.decodeServer(block)
		if l.classic != nil {
			// A mistake in one section of a barman.conf leaves the other servers alone.
			errs, warnings := split(l.diags[before:])
			l.diags = append(l.diags[:before:before], warnings...)
			s.Problems = append(append(s.Problems, l.classic.Problems[name]...), errs...)
		}
		l.config.Servers = append(l.config.Servers, s)
	}
	for key, block := range l.changed {
		if name, isServer := strings.CutPrefix(key, "server "); isServer && places[name] == (hcl.Range{}) {
			l.add(warning(block.DefRange, "Unknown server", fmt.Sprintf("There is no server %q any more that this could change.", name)))
		}
	}
}

func (l *loader) checkServerName(name string, where hcl.Range) {
	switch {
	case name == "all":
		l.add(mistake(where, "Reserved server name", `"all" stands for all servers on the command line; choose another name.`))
	case !serverName.MatchString(name):
		detail := fmt.Sprintf("%q cannot name a server, for it names a directory too: letters, digits, hyphens, underscores and dots, not a dot or a hyphen first.", name)
		l.add(mistake(where, "Invalid server name", detail))
	}
}

func (l *loader) decodeServer(block *hcl.Block) *Server {
	name := block.Labels[0]
	owner := fmt.Sprintf("server %q", name)
	ctx := forServer(l.ctx, name)
	read := l.readLayer(block.Body, block.DefRange, ctx)
	if l.defaults != nil {
		read = read.over(l.readLayer(l.defaults.Body, l.defaults.DefRange, ctx))
	}
	if block := l.changed["server "+name]; block != nil {
		read = l.readLayer(block.Body, block.DefRange, ctx).over(read)
	}
	active, problems := l.activeModel(read.server, name)
	if active != nil {
		read = active.layer(l, ctx).over(read)
	}
	var b serverBlocks
	l.decode(l.sections.server, read.server, &b.Server, owner)
	l.decode(l.sections.backup, read.backup.settings, &b.Backup, "backup of "+owner)
	l.decode(l.sections.wal, read.wal.settings, &b.WAL, "wal of "+owner)
	l.decode(l.sections.retention, read.retention, &b.Retention, "retention of "+owner)
	l.decode(l.sections.recovery, read.recovery, &b.Recovery, "recovery of "+owner)

	l.checkConnections(read.server, &b.Server, name)
	l.fillDirectories(read.server, &b.Server, name)
	s := &Server{
		Name: name, Description: b.Server.Description, Active: b.Server.Active, Cluster: cmp.Or(b.Server.Cluster, name),
		Conninfo: schema.Secret(b.Server.Conninfo), StreamingConninfo: schema.Secret(b.Server.StreamingConninfo),
		WALConninfo: schema.Secret(b.Server.WALConninfo), WALStreamingConninfo: schema.Secret(b.Server.WALStreamingConninfo),
		PrimarySSHCommand: b.Server.PrimarySSHCommand, ForwardConfigPath: b.Server.ForwardConfigPath,
		Directories:           b.Server.directories(),
		CheckTimeout:          b.Server.CheckTimeout,
		LastBackupMaximumAge:  l.interval(read.server, "last_backup_maximum_age", b.Server.LastBackupMaximumAge),
		LastWALMaximumAge:     l.interval(read.server, "last_wal_maximum_age", b.Server.LastWALMaximumAge),
		LastBackupMinimumSize: b.Server.LastBackupMinimumSize,
		PrimaryConninfo:       schema.Secret(b.Server.PrimaryConninfo), PrimaryCheckpointTimeout: b.Server.PrimaryCheckpoint,
		Retention: l.retention(read.retention, b.Retention),
		Recovery:  l.recovery(read.recovery, b.Recovery),
		Hooks:     read.hooks,
		DefRange:  block.DefRange,
	}
	if b.WAL.Archive == nil {
		archive := read.wal.source == nil
		b.WAL.Archive = &archive
	}
	s.Backup, s.WAL = l.pipelines(read, b, block.DefRange, ctx)
	b.Retention.Policy = s.Retention.Policy.String()
	b.Server.Cluster, s.Problems = s.Cluster, problems
	if active != nil {
		s.ActiveModel = active.name
	}
	if l.classic != nil {
		s.ActiveModel, s.Retention.Refused = l.classic.ActiveModels[name], l.classic.RefusedPolicies[name]
	}
	s.blocks, s.read, s.files = b, read, l.config.files
	return s
}

// checkConnections checks the connection strings and fills in those that follow
// from the others.
func (l *loader) checkConnections(s *settings, b *serverBlock, name string) {
	b.StreamingConninfo = cmp.Or(b.StreamingConninfo, b.Conninfo)
	b.WALConninfo = cmp.Or(b.WALConninfo, b.WALStreamingConninfo, b.Conninfo)
	b.WALStreamingConninfo = cmp.Or(b.WALStreamingConninfo, b.StreamingConninfo)
	if b.Conninfo == "" && b.PrimarySSHCommand == "" {
		if _, given := s.attributes["conninfo"]; !given {
			l.add(mistake(s.where, "Missing argument", fmt.Sprintf(`server %q needs "conninfo", a string. libpq connection string of the management connection: keywords and values or a URI.`, name)))
		}
	}
	for setting, conninfo := range map[string]string{
		"conninfo": b.Conninfo, "streaming_conninfo": b.StreamingConninfo,
		"wal_conninfo": b.WALConninfo, "wal_streaming_conninfo": b.WALStreamingConninfo, "primary_conninfo": b.PrimaryConninfo,
	} {
		v, given := s.attributes[setting]
		if !given || v.broken {
			continue
		}
		if err := checkConninfo(conninfo); err != nil {
			l.add(mistake(v.whole, "Invalid connection string", fmt.Sprintf("%q: %v.", setting, err)))
		}
		if l.exposed[v.whole.Filename] && v.isLiteral() && HasPassword(schema.Secret(conninfo)) {
			l.add(exposed(v.whole, setting))
		}
	}
}

func (l *loader) fillDirectories(s *settings, b *serverBlock, name string) {
	b.BackupDirectory = l.absolute(s, "backup_directory", cmp.Or(b.BackupDirectory, filepath.Join(l.config.Global.Home, name)))
	for attribute, field := range b.subdirectories() {
		*field.path = l.absolute(s, attribute, cmp.Or(*field.path, filepath.Join(b.BackupDirectory, field.fallback)))
	}
	if b.XlogDBDirectory != "" {
		b.XlogDBDirectory = l.absolute(s, "xlogdb_directory", b.XlogDBDirectory)
	}
	b.XlogDBDirectory = cmp.Or(b.XlogDBDirectory, b.WALsDirectory)
}

type subdirectory struct {
	path     *string
	fallback string
}

func (b *serverBlock) subdirectories() map[string]subdirectory {
	return map[string]subdirectory{
		"basebackups_directory":    {&b.BasebackupsDirectory, "base"},
		"wals_directory":           {&b.WALsDirectory, "wals"},
		"incoming_wals_directory":  {&b.IncomingWALsDirectory, "incoming"},
		"streaming_wals_directory": {&b.StreamingWALDirectory, "streaming"},
		"errors_directory":         {&b.ErrorsDirectory, "errors"},
	}
}

func (b *serverBlock) directories() Directories {
	return Directories{
		Backup: b.BackupDirectory, Basebackups: b.BasebackupsDirectory, WALs: b.WALsDirectory,
		IncomingWALs: b.IncomingWALsDirectory, StreamingWALs: b.StreamingWALDirectory, XlogDB: b.XlogDBDirectory, Errors: b.ErrorsDirectory,
	}
}

func (l *loader) interval(s *settings, name, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := retention.ParseInterval(text)
	if err != nil {
		l.add(mistake(s.place(name), "Invalid interval", fmt.Sprintf("%q: %v.", name, err)))
	}
	return d
}

func (l *loader) retention(s *settings, b retentionBlock) Retention {
	policy, err := retention.Parse(b.Policy)
	if err != nil {
		l.add(mistake(s.place("policy"), "Invalid retention policy", fmt.Sprintf(`"policy": %v.`, err)))
	}
	if b.MinimumRedundancy < 0 {
		l.add(mistake(s.place("minimum_redundancy"), "Wrong value", `"minimum_redundancy" must be 0 or more.`))
	}
	return Retention{Policy: policy, MinimumRedundancy: b.MinimumRedundancy}
}

func (l *loader) recovery(s *settings, b recoveryBlock) Recovery {
	for _, option := range b.Options {
		l.choice(s, "options", option, recoveryOptions())
	}
	return Recovery(b)
}

// pipelines fills the places that nobody filled: the source pgbasebackup and
// the sink posix. WAL is streamed only when a source says so.
func (l *loader) pipelines(read layer, b serverBlocks, where hcl.Range, ctx *hcl.EvalContext) (BackupPipeline, WALPipeline) {
	if b.Backup.Jobs < 1 || b.Backup.Jobs > maxJobs {
		l.add(mistake(read.backup.settings.place("jobs"), "Wrong value", fmt.Sprintf(`"jobs" must be from 1 to %d.`, maxJobs)))
	}
	if b.Backup.RetryTimes < 0 {
		l.add(mistake(read.backup.settings.place("retry_times"), "Wrong value", `"retry_times" must be 0 or more.`))
	}
	if b.Backup.Layout != "" {
		l.choice(read.backup.settings, "layout", b.Backup.Layout, layouts())
	}
	if b.Backup.ArchiveSize != nil && *b.Backup.ArchiveSize < 0 {
		l.add(mistake(read.backup.settings.place("archive_size"), "Wrong value", `"archive_size" must be 0 or more.`))
	}
	backup := BackupPipeline{
		Transforms: read.backup.transforms, Sinks: l.sinks(read.backup, where, ctx), Jobs: b.Backup.Jobs, Layout: b.Backup.Layout, ArchiveSize: (*int64)(b.Backup.ArchiveSize),
		RetryTimes: b.Backup.RetryTimes, RetrySleep: b.Backup.RetrySleep,
		Source: absentStage(kindSource, "pgbasebackup", where, ctx),
	}
	if read.backup.source != nil {
		backup.Source = *read.backup.source
	}
	wal := WALPipeline{
		Archive: *b.WAL.Archive, IncomingBatchSize: b.WAL.IncomingBatchSize, StreamingBatchSize: b.WAL.StreamingBatchSize,
		MaximumQueue: b.WAL.MaximumQueue, Source: read.wal.source, Transforms: read.wal.transforms, Sinks: l.sinks(read.wal, where, ctx),
	}
	for _, number := range []struct {
		name string
		of   int
	}{{"incoming_batch_size", wal.IncomingBatchSize}, {"streaming_batch_size", wal.StreamingBatchSize}, {"maximum_queue", wal.MaximumQueue}} {
		if number.of < 0 {
			l.add(mistake(read.wal.settings.place(number.name), "Wrong value", fmt.Sprintf("%q must be 0 or more.", number.name)))
		}
	}
	if !wal.Archive && wal.Source == nil {
		detail := `No WAL would be kept and no backup could be recovered: set "archive" to true or stream WAL with a source.`
		l.add(mistake(read.wal.settings.place("archive"), "No WAL", detail))
	}
	return backup, wal
}

func (l *loader) sinks(p pipeline, where hcl.Range, ctx *hcl.EvalContext) []Stage {
	if len(p.sinks) == 0 {
		return []Stage{absentStage(kindSink, "posix", where, ctx)}
	}
	if !p.sinks[0].Required {
		detail := "The first sink of a pipeline is the one that recovery reads from: it must be required. Put a sink that need not succeed behind it."
		l.add(mistake(p.sinks[0].DefRange, "First sink not required", detail))
	}
	return p.sinks
}

// checkDirectories refuses two purposes for one directory. Paths are compared as
// they are written: what is behind symbolic links is not looked at.
func (l *loader) checkDirectories() {
	type user struct {
		server *Server
		what   string
		where  hcl.Range
	}
	users := map[string]user{}
	for _, s := range l.config.Servers {
		claim := func(attribute, path string) bool {
			u := user{s, fmt.Sprintf("%s of server %q", attribute, s.Name), s.read.server.place(attribute)}
			first, taken := users[path]
			if taken {
				detail := fmt.Sprintf("%s is %s and also %s (%s). Every directory has one purpose.", path, u.what, first.what, position(first.where))
				if d := mistake(u.where, "Shared directory", detail); l.classic != nil && first.server == s {
					s.Problems = append(s.Problems, d)
				} else {
					l.add(d)
				}
				return false
			}
			users[path] = u
			return true
		}
		d := s.Directories
		if !claim("backup_directory", d.Backup) {
			continue // all that is below it would be told of too
		}
		claim("basebackups_directory", d.Basebackups)
		claim("wals_directory", d.WALs)
		claim("incoming_wals_directory", d.IncomingWALs)
		claim("streaming_wals_directory", d.StreamingWALs)
		claim("errors_directory", d.Errors)
	}
}
