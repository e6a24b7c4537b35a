// Package datadir knows what of PostgreSQL's data directory, and of its
// tablespaces, is no part of a backup (PostgreSQL manual, sections 26.3.4.3,
// "Backing Up the Data Directory", and 55.4, BASE_BACKUP), for sources that copy
// files themselves.
//
// A List excludes names; Unlogged tells, directory by directory, which files hold
// nothing that survives a recovery anyway. Both leave directories in place:
// PostgreSQL does not start without them.
package datadir

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Control is the file of the data directory that must be copied after all
// others: on a standby it tells up to where recovery must go to make the other
// files consistent.
const Control = "global/pg_control"

// Label, TablespaceMap and Manifest are the files of the data directory that
// belong to one backup. The server's, if there are any, are those of another one.
const (
	Label         = "backup_label"
	TablespaceMap = "tablespace_map"
	Manifest      = "backup_manifest"
)

// everywhere are base names that are in no backup, wherever they are: what a
// query has spilled, and caches that are made anew.
var everywhere = []string{"pgsql_tmp*", "pg_internal.init*"}

// atTop are files and what is in directories at the top of a data directory.
var atTop = []string{
	"/pg_wal/*",           // comes from the archive
	"/log/*", "/pg_log/*", // of the server that was
	"/pg_dynshmem/*", "/pg_notify/*", "/pg_serial/*", // of the running server
	"/pg_snapshots/*", "/pg_stat_tmp/*", "/pg_subtrans/*",
	"/pg_replslot/*", // would hold back WAL for nobody
	"/postmaster.pid", "/postmaster.opts", "/postgresql.auto.conf.tmp", "/current_logfiles.tmp",
	"/recovery.conf", "/recovery.signal", "/standby.signal", // how a recovered copy begins is for its recovery to say
	"/" + Label, "/" + TablespaceMap, "/" + Manifest,
	"/base/*/t[0-9]*_[0-9]*", // temporary relations
}

// inTablespace are names below a tablespace's location.
var inTablespace = []string{"/PG_*/*/t[0-9]*_[0-9]*"}

// List excludes names of a directory. Its patterns are those of rsync, of which
// it uses a part: a pattern that begins with "/" is anchored at the directory,
// any other one is for base names; "*" matches within one component; "[0-9]" and
// a backslash before a special character are as in path.Match.
type List struct {
	patterns []string
	// only are the names at the top that are included; all if empty.
	only string
}

// DataDirectory returns the list for the data directory at pgdata. A tablespace
// that lies within it is left out, as are the links to all of them.
func DataDirectory(pgdata string, tablespaces []sdk.Tablespace) List {
	list := List{patterns: slices.Concat(everywhere, atTop)}
	for _, t := range tablespaces {
		list.patterns = append(list.patterns, fmt.Sprintf("/pg_tblspc/%d", t.OID))
		if inside, ok := strings.CutPrefix(t.Location, strings.TrimSuffix(pgdata, "/")+"/"); ok {
			list.patterns = append(list.patterns, "/"+literally(inside))
		}
	}
	return list
}

// Tablespace returns the list for a tablespace's location, where servers of
// several versions may each have a directory: only that of the major version is
// in the backup.
func Tablespace(major int) List {
	return List{patterns: slices.Concat(everywhere, inTablespace), only: fmt.Sprintf("PG_%d_*", major)}
}

// literally escapes a name for use in a pattern.
func literally(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// Excludes reports whether what a clean relative name stands for is in no backup:
// because of the name, or of a directory that it is in.
func (l List) Excludes(name string) bool {
	if l.only != "" {
		top, _, _ := strings.Cut(name, "/")
		if included, _ := path.Match(l.only, top); !included {
			return true
		}
	}
	for end := 0; end < len(name); {
		next := strings.IndexByte(name[end+1:], '/')
		if next < 0 {
			end = len(name)
		} else {
			end += 1 + next
		}
		if l.matches(name[:end]) {
			return true
		}
	}
	return false
}

func (l List) matches(name string) bool {
	for _, pattern := range l.patterns {
		anchored, ok := strings.CutPrefix(pattern, "/")
		subject := name
		if !ok {
			subject = path.Base(name)
		}
		// Every pattern is well formed, which is the only error.
		if matched, _ := path.Match(anchored, subject); matched {
			return true
		}
	}
	return false
}

// FilterRules renders the list as rsync's filter rules, one an argument to
// --filter or a line of a file for --filter "merge FILE".
func (l List) FilterRules() []string {
	var rules []string
	for _, pattern := range l.patterns {
		rules = append(rules, "- "+pattern)
	}
	if l.only != "" {
		rules = append(rules, "+ /"+l.only, "- /*")
	}
	return rules
}

// Unlogged returns the base names, of the files of one directory, that belong to
// unlogged relations, but for their init forks, from which PostgreSQL makes them
// anew when it has recovered (PostgreSQL manual, section 73.5, "The
// Initialization Fork"). names are all base names in a directory of databases'
// files.
func Unlogged(names []string) map[string]bool {
	initial := map[string]bool{}
	for _, name := range names {
		if node, ok := strings.CutSuffix(name, "_init"); ok && digits(node) {
			initial[node] = true
		}
	}
	left := map[string]bool{}
	if len(initial) == 0 {
		return left
	}
	for _, name := range names {
		if node, fork := relation(name); initial[node] && fork != "init" {
			left[name] = true
		}
	}
	return left
}

// relation splits the name of a relation's file: "16384", "16384.1",
// "16384_fsm", "16384_vm.2". node is empty for other files.
func relation(name string) (node, fork string) {
	stem, segment, segmented := strings.Cut(name, ".")
	if segmented && !digits(segment) {
		return "", ""
	}
	node, fork, _ = strings.Cut(stem, "_")
	if !digits(node) {
		return "", ""
	}
	return node, fork
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
