package diagnosis

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/core/version"
)

// Request says what to tell.
type Request struct {
	// Config is the configuration; nil when it cannot be read, for which Errors
	// says why.
	Config *config.Config
	Errors []string
	// Servers are those of the configuration.
	Servers []*server.Server
	// Sources adds the file that each setting of a server was written in.
	Sources bool
	// Plugins are the paths of the plugins that are found, by their names.
	Plugins map[string]string
	Now     time.Time
}

// timeout is how long a server may take to answer.
const timeout = 30 * time.Second

// Report tells everything, as a document for JSON. Servers are asked side by side.
func Report(ctx context.Context, r Request) map[string]any {
	servers := make([]any, len(r.Servers))
	var group errgroup.Group
	for i, s := range r.Servers {
		group.Go(func() error { servers[i] = r.ofServer(ctx, s); return nil })
	}
	_ = group.Wait() // none has an error
	named, models := map[string]any{}, map[string]any{}
	for i, s := range r.Servers {
		named[s.Name()] = servers[i]
	}
	if r.Config != nil {
		for _, m := range r.Config.Models {
			models[m.Name] = map[string]any{"config": map[string]any{"name": m.Name, "cluster": m.Cluster, "model": true}}
		}
	}
	return map[string]any{
		"global":  map[string]any{"config": r.global(), "system_info": r.system(ctx)},
		"servers": named, "models": models,
	}
}

func (r Request) global() map[string]any {
	errs := r.Errors
	if errs == nil {
		errs = []string{}
	}
	global := map[string]any{"errors_list": errs}
	if r.Config == nil {
		return global
	}
	g := r.Config.Global
	global["barman_home"], global["barman_lock_directory"], global["lock_directory_cleanup"] = g.Home, g.LockDirectory, g.LockDirectoryCleanup
	global["barman_user"], global["config_changes_queue"] = orNil(g.User), orNil(g.ConfigChangesQueue)
	global["log_file"], global["log_level"] = orNil(g.LogFile), strings.ToUpper(g.LogLevel)
	global["configuration_files"] = r.Config.Paths
	global["plugins"] = r.Plugins
	return global
}

func (r Request) system(ctx context.Context) map[string]any {
	executable, err := os.Executable()
	if err != nil {
		executable = err.Error()
	}
	return map[string]any{
		"barman_ver": version.Compatible, "barman_go_ver": version.String(), "go_ver": runtime.Version(), "executable": executable,
		"release": release(), "kernel_ver": kernel(),
		"rsync_ver": firstLine(ctx, "rsync", "--version"), "ssh_ver": firstLine(ctx, "ssh", "-V"),
		"timestamp": r.Now.Format(timeFormat),
	}
}

const timeFormat = "2006-01-02T15:04:05.999999-07:00"

// release is what the operating system calls itself.
func release() string {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if name, found := strings.CutPrefix(line, "PRETTY_NAME="); found {
			return strings.Trim(strings.TrimSpace(name), `"'`)
		}
	}
	return ""
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	var parts []string
	for _, field := range [][65]byte{u.Sysname, u.Nodename, u.Release, u.Version, u.Machine} {
		parts = append(parts, unix.ByteSliceToString(field[:]))
	}
	return strings.Join(parts, " ")
}

// firstLine is the first line that a program prints; empty when there is none.
func firstLine(ctx context.Context, program string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func (r Request) ofServer(ctx context.Context, s *server.Server) map[string]any {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	backups, damage := backupsOf(s)
	last, err := lastWAL(s)
	settings := map[string]any{}
	told := map[string]any{
		"config": settings, "status": Status(ctx, s), "backups": backups, "wals": map[string]any{"last_archived_wal_per_timeline": last},
	}
	for _, o := range Options(r.Config, s.Config) {
		switch {
		case o.Name == "msg_list" || o.Name == "active_model":
			told[o.Name] = o.Value
		case r.Sources:
			settings[o.Name] = map[string]any{"value": o.Value, "source": cmp.Or(o.Source, "default")}
		default:
			settings[o.Name] = o.Value
		}
	}
	if err != nil {
		damage = append(damage, err.Error())
	}
	if len(damage) > 0 {
		told["errors_list"] = damage
	}
	return told
}

func backupsOf(s *server.Server) (backups map[string]any, damage []string) {
	backups = map[string]any{}
	for entry, err := range s.Catalogue.Entries() {
		switch {
		case err != nil:
			return backups, append(damage, err.Error())
		case entry.Err != nil:
			damage = append(damage, entry.Err.Error())
		default:
			backups[string(entry.ID)] = fields(entry.Backup)
		}
	}
	return backups, damage
}

// lastWAL returns the newest archived segment of each timeline.
func lastWAL(s *server.Server) (map[string]any, error) {
	newest := map[string]catalogue.WALRecord{}
	for record, err := range s.Catalogue.WALRecords() {
		if err != nil {
			return shownWAL(newest), err
		}
		timeline := record.Name.String()[:8]
		if known, ok := newest[timeline]; !ok || known.Name.String() < record.Name.String() {
			newest[timeline] = record
		}
	}
	return shownWAL(newest), nil
}

func shownWAL(newest map[string]catalogue.WALRecord) map[string]any {
	shown := map[string]any{}
	for timeline, r := range newest {
		shown[timeline] = map[string]any{
			"name": r.Name.String(), "size": r.Size, "time": float64(r.ModTime.UnixMicro()) / 1e6,
			"compression": orNil(string(r.Compression)), "encryption": orNil(r.Encryption),
		}
	}
	return shown
}

// fields are those of backup.info.
func fields(b *catalogue.Backup) map[string]any {
	var spaces []any
	for _, t := range b.Tablespaces {
		spaces = append(spaces, []any{t.Name, t.OID, t.Location})
	}
	var children []string
	for _, id := range b.ChildrenIDs {
		children = append(children, string(id))
	}
	return map[string]any{
		"backup_id": string(b.ID), "backup_name": orNil(b.Name), "server_name": orNil(b.Server), "status": string(b.State), "error": orNil(b.Error),
		"mode": orNil(b.Mode), "compression": orNil(b.Compression), "encryption": orNil(b.Encryption), "systemid": orNil(b.SystemID),
		"version": orNil(b.Version), "timeline": orNil(uint32(b.Timeline)), "xlog_segment_size": uint64(b.SegmentSize),
		"pgdata": orNil(b.PGData), "config_file": orNil(b.ConfigFile), "hba_file": orNil(b.HBAFile), "ident_file": orNil(b.IdentFile),
		"included_files": b.IncludedFiles, "tablespaces": spaces, "backup_label": orNil(b.Label),
		"begin_time": moment(b.BeginTime), "end_time": moment(b.EndTime), "begin_xlog": position(b.BeginLSN), "end_xlog": position(b.EndLSN),
		"begin_wal": orNil(b.BeginWAL), "end_wal": orNil(b.EndWAL), "begin_offset": b.BeginOffset, "end_offset": b.EndOffset,
		"size": b.Size, "deduplicated_size": b.DeduplicatedSize, "cluster_size": b.ClusterSize, "copy_stats": catalogue.JSONValue(b.CopyStats),
		"data_checksums": orNil(b.DataChecksums), "summarize_wal": orNil(b.SummarizeWAL),
		"parent_backup_id": orNil(string(b.ParentID)), "children_backup_ids": children,
	}
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Local().Format(timeFormat)
}

func position[T interface {
	comparable
	String() string
}](lsn T) any {
	var zero T
	if lsn == zero {
		return nil
	}
	return lsn.String()
}
