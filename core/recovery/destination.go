package recovery

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/sdk"
)

const (
	pidFile = "postmaster.pid"
	// guardText begins the guard. PostgreSQL reads a process ID there, finds none,
	// shows the line and does not start.
	guardText = "barman: recovery is not complete"
	// markLine begins the guard's line that tells which recovery can go on.
	markLine = "mark: "
)

// destination is a directory that is being restored into.
type destination struct {
	host hostfs.Host
	path string
	wal  bool // it is for WAL to wait in
}

// hold creates the directory if need be and keeps other recoveries out of it
// until the lock is closed.
func (d destination) hold() (io.Closer, error) {
	if !filepath.IsAbs(d.path) {
		return nil, sdk.Errorf(sdk.Invalid, "%s: give an absolute path", d.path)
	}
	held, err := d.host.Lock(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDirectory(d.host, d.path); err != nil {
			return nil, err
		}
		held, err = d.host.Lock(d.path)
	}
	if err != nil {
		return nil, inDestination(err)
	}
	return held, nil
}

// errand is what a recovery is about, as far as its destinations are concerned.
type errand struct {
	// what is being recovered, for people.
	what string
	// mark is the same for recoveries that can go on with each other's files.
	mark string
	// onto is not nil when the files of a cluster that does not run may be reused.
	onto *catalogue.Backup
}

// content is what a destination holds before a recovery.
type content int

const (
	nothing content = iota
	begun           // what the same recovery left when it was interrupted
	foreign         // what another recovery left
	cluster         // the files of a cluster that does not run
)

// missing are the paths of the directories that do not exist.
func missing(all []destination) []string {
	var paths []string
	for _, d := range all {
		if _, err := d.host.Lstat(d.path); errors.Is(err, fs.ErrNotExist) {
			paths = append(paths, d.path)
		}
	}
	return paths
}

// occupied tells whether any directory holds something that no recovery left.
func occupied(all []destination) bool {
	for _, d := range all {
		entries, err := d.host.ReadDir(d.path)
		if err != nil || empty(entries) {
			continue // what is wrong with it is told when it is written to
		}
		if guard, err := readOptional(d.host, filepath.Join(d.path, pidFile)); err != nil || !strings.HasPrefix(string(guard), guardText) {
			return true
		}
	}
	return false
}

// prepareAll prepares all directories of a recovery, or none: a tablespace that
// is in use leaves the data directory as it was. It tells whether any of them
// holds files to go on with.
func prepareAll(all []destination, e errand) (reuse bool, err error) {
	if err := reclaim(all, e); err != nil {
		return false, err
	}
	holding := make([]content, len(all))
	for i, d := range all {
		if holding[i], err = d.look(e, i == 0); err != nil {
			return false, err
		}
	}
	for i, d := range all {
		if err := d.prepare(e, holding[i]); err != nil {
			return false, err
		}
		reuse = reuse || e.reuses(holding[i]) && !d.wal
	}
	return reuse, nil
}

// reuses tells whether files are of use.
func (e errand) reuses(c content) bool {
	return c == begun || c == cluster || c == foreign && e.onto != nil
}

// look finds out what is in the directory. What this recovery must not touch is
// an error of kind Exists.
func (d destination) look(e errand, isData bool) (content, error) {
	entries, err := d.host.ReadDir(d.path)
	if err != nil {
		return nothing, inDestination(err)
	}
	guard, err := readOptional(d.host, filepath.Join(d.path, pidFile))
	if err != nil {
		return nothing, inDestination(err)
	}
	alive, err := running(d.host, guard)
	switch {
	case err != nil:
		return nothing, err
	case strings.HasPrefix(string(guard), guardText) && markOf(guard) == e.mark && e.mark != "":
		return begun, nil
	case strings.HasPrefix(string(guard), guardText):
		return foreign, nil
	case empty(entries):
		return nothing, nil
	case alive:
		return nothing, sdk.Errorf(sdk.Exists, "%s is the data directory of a running PostgreSQL (its postmaster.pid names a live process): recover into another directory", d.path)
	case e.onto == nil || d.wal:
		return nothing, sdk.Errorf(sdk.Exists, "%s is not empty: recover into a new or empty directory; if this is an older or damaged copy of the same cluster, --delta-restore reuses its files", d.path)
	case isData:
		return cluster, d.holdsCluster(e.onto)
	}
	ours, err := d.holdsOurs()
	if err == nil && !ours {
		err = sdk.Errorf(sdk.Exists, "%s holds other things than a tablespace: give the tablespace another directory with --tablespace", d.path)
	}
	return cluster, err
}

// holdsCluster makes sure that a directory whose files are to be replaced is an
// older or damaged copy of the cluster that a backup is of.
func (d destination) holdsCluster(b *catalogue.Backup) error {
	major, err := readOptional(d.host, filepath.Join(d.path, versionFile))
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(major)); text != majorText(b.Version) {
		return sdk.Errorf(sdk.Exists, "%s is not empty, and no data directory of PostgreSQL %s (its PG_VERSION says %q): only such a directory is restored onto", d.path, majorText(b.Version), clipped(text))
	}
	control, err := readOptional(d.host, filepath.Join(d.path, "global", "pg_control"))
	if err != nil || len(control) < 8 {
		return err // lost or damaged, which may be why it is to be restored
	}
	// The system identifier comes first (PostgreSQL's src/include/catalog/pg_control.h).
	if id := strconv.FormatUint(binary.LittleEndian.Uint64(control), 10); b.SystemID != "" && id != b.SystemID {
		return sdk.Errorf(sdk.Exists, "%s holds another cluster: its system identifier is %s, that of backup %s is %s", d.path, id, b.ID, b.SystemID)
	}
	return nil
}

// majorText is the major version as PG_VERSION has it.
func majorText(version int) string {
	if version < version10 {
		return fmt.Sprintf("%d.%d", version/10000, version/100%100)
	}
	return strconv.Itoa(version / 10000)
}

func clipped(text string) string { return text[:min(len(text), 20)] }

// prepare puts up the guard, and clears the directory of what is of no use.
func (d destination) prepare(e errand, holds content) error {
	if !e.reuses(holds) || d.wal {
		if err := d.clear(); err != nil {
			return err
		}
	}
	if err := d.host.Chmod(d.path, 0o700); err != nil {
		return inDestination(err)
	}
	return d.guard(e)
}

// clear removes what another recovery left. Hidden files that no recovery makes
// are the user's.
func (d destination) clear() error {
	entries, err := d.host.ReadDir(d.path)
	if err != nil {
		return inDestination(err)
	}
	for _, entry := range entries {
		if entry.Name == pidFile || theirs(entry.Name) {
			continue
		}
		if err := d.host.RemoveAll(filepath.Join(d.path, entry.Name)); err != nil {
			return sdk.Errorf(sdk.Denied, "clear what an earlier recovery left: %w", err)
		}
	}
	return nil
}

// guard puts up the guard, with lines for whoever comes after a crash.
func (d destination) guard(e errand, lines ...string) error {
	text := fmt.Sprintf("%s: %s; run the same command again\n%s%s\n", guardText, e.what, markLine, e.mark)
	for _, line := range lines {
		text += line + "\n"
	}
	if err := d.host.WriteFile(filepath.Join(d.path, pidFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	return nil
}

// disown makes the next recovery begin anew: what came out of a damaged backup is
// not to be relied on.
func disown(all []destination, e errand) error {
	for _, d := range all {
		if err := d.guard(errand{what: e.what}); err != nil {
			return err
		}
	}
	return nil
}

// markOf is the mark of the recovery that put up a guard.
func markOf(guard []byte) string {
	for line := range strings.Lines(string(guard)) {
		if mark, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), markLine); ok {
			return mark
		}
	}
	return ""
}

// empty tells whether nothing is there but hidden files, as Barman in Python sees
// it.
func empty(entries []hostfs.Entry) bool {
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name, ".") {
			return false
		}
	}
	return true
}

// theirs tells of a name at the top of a destination whether it is a hidden file
// of the user's.
func theirs(name string) bool {
	return strings.HasPrefix(name, ".") && name != recoverInfo && !hostfs.Temporary(name, pidFile)
}

// complete takes the guard away: from here on PostgreSQL can start.
func (d destination) complete() error {
	if err := d.host.SyncDirectory(d.path); err != nil {
		return err
	}
	return d.host.Remove(filepath.Join(d.path, pidFile))
}

// running reports whether a postmaster.pid names a live process.
func running(host hostfs.Host, pidFile []byte) (bool, error) {
	first, _, _ := strings.Cut(string(pidFile), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return false, nil
	}
	return host.Running(pid)
}

// makeDirectory creates a directory and those above it, durably.
func makeDirectory(host hostfs.Host, path string) error {
	return inDestination(host.MakeDirectory(path))
}

// inDestination tells that an error is about where a recovery writes.
func inDestination(err error) error {
	if err == nil {
		return nil
	}
	return sdk.Errorf(cmp.Or(sdk.KindOf(err), sdk.Denied), "destination: %w", err)
}

func readOptional(host hostfs.Host, path string) ([]byte, error) {
	content, err := host.ReadFile(path, maxSettingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
